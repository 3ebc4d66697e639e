"""Load an object into the kernel: from an Object to a LoadedObject, step by step."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from osmia.btf import BTF
from osmia.btf.patch import without_externs
from osmia.engine.maps import Map
from osmia.errors import KernelError, NotSupportedError, RelocationError, VerifierError
from osmia.kernel.load import attach_target, image
from osmia.kernel.load.definitions import config_layout
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.map_loader import MapLoader
from osmia.kernel.load.object_btf import load_object_btf
from osmia.kernel.load.pin_paths import pinned_keys
from osmia.kernel.load.struct_ops import Callback, StructOps, programs_to_load
from osmia.kernel.load.target import kernel_target, module_btf_descriptor
from osmia.kernel.programs.loading import ProgramImage
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import btf_from_id
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.token import with_token
from osmia.object import model
from osmia.object.data_pointers import warn_of_pointers
from osmia.object.model import DataKind, Object
from osmia.object.sections import unknown_section
from osmia.object.uapi import ProgramType
from osmia.passes.layout import ProgramLayout
from osmia.passes.options import PassOptions
from osmia.passes.running import RunningKernel, running_version
from osmia.passes.stages import Prepared, prepare
from osmia.passes.target import Target

if TYPE_CHECKING:
    from osmia.passes.imports import Imports
    from osmia.passes.parts import Part

_KERNEL_KINDS = (model.RelocationKind.KERNEL_FUNCTION, model.RelocationKind.KERNEL_VARIABLE)


def load(
    obj: Object,
    *,
    target: Target | None = None,
    pin_root: str | os.PathLike[str] = "/sys/fs/bpf",
    maps: Mapping[str, Map] | None = None,
    attach_to: Mapping[str, KernelProgram] | None = None,
    log_level: int = 0,
    token: str | os.PathLike[str] | None = None,
    ifindex: int = 0,
    imports: Any = (),
    bind: str = "copy",
    **options: Unpack[PassOptions],
) -> KernelObject:
    """Load all programs of `obj` that have `autoload` on, with their maps.

    `target` is the kernel to resolve against (default: the running one). Maps that ask for
    pinning are pinned under `pin_root`, or reused from there. `maps` gives existing maps to
    use instead of new ones, by name. `attach_to` gives, by program name, the loaded program
    that an freplace or fentry program is for. `log_level` as for `Program.load`. `token` is
    a bpffs whose BPF token stands in for capabilities (since 6.9); see `kernel.sys.token`.
    `ifindex` is an interface that runs the programs itself and holds the maps (since 4.16); of
    programs with the flag XDP_DEV_BOUND_ONLY (since 6.3) the one whose kfuncs they may call.
    `imports` and `bind` are those of every engine (see `CommonOptions`).
    The other options are those of passes (see `PassOptions`).

    Raises what `osmia.errors` says: RelocationError, VerifierError, MapMismatchError,
    NotSupportedError, BpfPermissionError, KernelError. Nothing is left behind then: no
    descriptor, and no pin that was not there before.
    """

    for name, program in (attach_to or {}).items():
        attach_target.check_own(obj, name, program)
    special = (target, maps, attach_to, log_level, token is not None, ifindex, imports, options)
    plain = not any(special) and bind == "copy"

    def attempt(token_fd: int) -> KernelObject:
        loader = _Loader(obj, target or kernel_target(), attach_to or {}, log_level, token_fd)
        loader.ifindex = ifindex
        loaded = _linked(loader, imports, bind, pin_root, maps or {}, options)
        loaded.load_clone = partial(_clone, loader, token)
        if plain and not token_fd:
            from osmia.kernel.load.keeping import keep_load

            try:
                keep_load(obj, loader.prepared, loader.target)
            except BaseException:  # Ctrl-C, no memory
                loaded.close()
                raise
        return loaded

    return with_token(attempt, token, obj)


def _linked(
    loader: _Loader,
    imports: Any,
    bind: str,
    pin_root: str | os.PathLike[str],
    maps: Mapping[str, Map],
    options: PassOptions,
) -> KernelObject:
    """The object loaded, and linked against what it imports."""
    if not imports and bind == "copy":
        return loader.load(pin_root, maps, options)
    from osmia.kernel.load.importing import KernelImports

    with closing(KernelImports(loader.source, imports, bind, loader.load_part)) as imported:
        loader.imports = imported.resolver
        loaded = loader.load(pin_root, maps, options)
        with ExitStack() as undo:
            undo.enter_context(loaded)
            imported.finish(loaded, loader.functions())
            undo.pop_all()
        return loaded


def _clone(
    loader: _Loader,
    token: str | os.PathLike[str] | None,
    program: model.Program,
    other: KernelProgram | None,
    log_level: int,
) -> KernelProgram:
    """A program of a load once more, with its maps; see `KernelObject.clone`."""

    def attempt(token_fd: int) -> KernelProgram:
        loader.token_fd, loader.log_level = token_fd, log_level
        return loader.clone(program, other)

    return with_token(attempt, token, loader.source)


def clone_of(
    loaded: KernelObject,
    prepared: Prepared,
    program: model.Program,
    other: KernelProgram | None,
    log_level: int,
) -> KernelProgram:
    """`_clone` where another process did the passes: `prepared` is what they gave it."""
    loader = _Loader(loaded.source, kernel_target(), {}, log_level, 0)
    loader.prepared, loader.obj = prepared, prepared.object
    loader.maps = MapLoader(prepared, None, "", ExitStack(), loader.target)
    loader.maps.user_maps, loader.maps.sections = loaded.held()
    return _clone(loader, None, program, other, log_level)


def images(
    obj: Object,
    target: Target | None = None,
    pin_root: str | os.PathLike[str] = "/sys/fs/bpf",
    **options: Unpack[PassOptions],
) -> Generator[tuple[ProgramLayout, ProgramImage], None, None]:
    """The programs that `load` would load, one after the other, as it would hand them to the
    kernel. Maps, pins and types that they need are there until the generator is closed."""
    yield from _Loader(obj, target or kernel_target(), {}, 0, 0).images(pin_root, options)


class _Loader:
    """One load: what its steps share."""

    def __init__(
        self,
        obj: Object,
        target: Target,
        attach_to: Mapping[str, KernelProgram],
        log_level: int,
        token_fd: int,
    ) -> None:
        self.source = obj
        self.target = target
        self.attach_to = attach_to
        self.log_level = log_level
        self.btf: FileDescriptor | None = None
        self.with_functions = False
        self.token_fd = token_fd
        self.ifindex = 0
        self.copies: dict[str, dict[int, int]] = {}
        self.imports: Imports | Part | None = None

    def load_part(self, part: Part, target: KernelProgram) -> KernelObject:
        """Load a function of an object in place of one of `target`, with that object's maps."""
        (program,) = part.object.programs.values()
        loader = _Loader(
            part.object, self.target, {program.name: target}, self.log_level, self.token_fd
        )
        loader.imports = part
        return loader.load("", {}, {})

    def functions(self) -> dict[str, frozenset[str]]:
        """The functions in each program, after `load`."""
        return {
            name: frozenset(key for _, key in self.prepared.layout(name).functions)
            for name in self.obj.programs
        }

    def load(
        self, pin_root: str | os.PathLike[str], given: Mapping[str, Map], options: PassOptions
    ) -> KernelObject:
        self._prepare(pin_root, given, options)
        with ExitStack() as undo:
            self._create(undo, pin_root, given)
            if any(s.relocations for s in self.obj.data_sections.values()):
                warn_of_pointers(self.obj)
            returns = self.maps.check_slots(given)
            programs = self._load_programs(undo)
            self.maps.fill_slots(programs)
            loaded = KernelObject(
                self.obj,
                programs,
                self.maps.user_maps,
                self.maps.sections,
                self._callbacks(programs),
                source=self.source.copy(),
                linked=self.prepared.linked,
            )
            loaded.tail_call_returns = returns
            if self.prepared.counted is not None:
                loaded.count(self.prepared.counted)
            undo.pop_all()
        self.attach_to = {}  # who clones says of what
        if self.btf is not None:
            self.btf.close()
        return loaded

    def _prepare(
        self, pin_root: str | os.PathLike[str], given: Mapping[str, Map], options: PassOptions
    ) -> None:
        self._check_types()
        resolvers = [self.imports] if self.imports is not None else ()
        self.prepared = prepare(
            self.source,
            self.target,
            resolvers,
            given_maps=given,
            pinned=partial(pinned_keys, pin_root=pin_root),
            cpus=possible_cpus() if options.get("cover") else 1,
            **options,
        )
        self.obj = self.prepared.object

    def _create(
        self, undo: ExitStack, pin_root: str | os.PathLike[str], given: Mapping[str, Map]
    ) -> None:
        """Make what programs need: types and maps."""
        self._load_btf(undo)
        self.maps = MapLoader(self.prepared, self.btf, pin_root, undo, self.target, self.token_fd)
        self.maps.ifindex = 0 if attach_target.only_bound(self.obj) else self.ifindex
        self.maps.create(given, self.imports)

    def images(
        self, pin_root: str | os.PathLike[str], options: PassOptions
    ) -> Iterator[tuple[ProgramLayout, ProgramImage]]:
        """Each program as BPF_PROG_LOAD would take it; what was made for them is undone then."""
        self._prepare(pin_root, {}, options)
        with ExitStack() as undo:
            self._create(undo, pin_root, {})
            wanted = programs_to_load(self.obj, self.maps.struct_ops.values())
            for program in self.obj.programs.values():
                if program.name in wanted:
                    layout = self.prepared.layout(program.name)
                    with ExitStack() as descriptors:
                        yield layout, self._image(program, layout, descriptors)

    def clone(self, program: model.Program, other: KernelProgram | None) -> KernelProgram:
        """A program once more, with the maps of the load that was; `other` as in `attach_to`."""
        self.attach_to = {program.name: other} if other is not None else {}
        layout = self.prepared.layout(program.name)
        with ExitStack() as types:
            self._load_btf(types)
            made = self._load_program(program, layout)
        self._bind_constants(made, layout)
        return made

    def _callbacks(self, programs: Mapping[str, KernelProgram]) -> dict[str, bytes]:
        """The values of struct_ops maps: what registering them hands to the kernel."""
        descriptors = {name: program.fileno() for name, program in programs.items()}
        return {name: ops.value_with(descriptors) for name, ops in self.maps.struct_ops.items()}

    def _check_types(self) -> None:
        if self.source.byteorder != sys.byteorder:
            order = self.source.byteorder
            raise NotSupportedError(
                f"object {self.source.name!r} is for {order}-endian machines; this one is not"
            )
        for program in self.source.programs.values():
            if program.autoload and program.type is ProgramType.UNSPEC:
                raise unknown_section(program.section, self.source.path or self.source.name)

    def _load_btf(self, undo: ExitStack) -> None:
        if self.obj.btf is None:
            return
        btf = without_externs(self.obj.btf, config_layout(self.obj))
        if btf.string_offset("arg:ctx") is not None:
            btf = self._with_context_types(btf)
        needed = any(s.kind is DataKind.STRUCT_OPS for s in self.obj.data_sections.values())
        loaded = load_object_btf(btf, self.obj.name, needed=needed, token_fd=self.token_fd)
        if loaded is not None:
            self.btf = undo.enter_context(loaded.fd)
            self.with_functions = loaded.functions

    def _with_context_types(self, btf: BTF) -> BTF:
        """Tags of context arguments (`__arg_ctx`) in other words for kernels without them."""
        from osmia.kernel.probes import features
        from osmia.passes.context_arguments import with_context_types

        if not features.kernel_is_older_than("6.8"):
            return btf
        programs = [each for each in self.obj.programs.values() if each.autoload]
        changed, self.copies = with_context_types(btf, self.prepared, programs)
        return changed

    def _load_programs(self, undo: ExitStack) -> dict[str, KernelProgram]:
        loaded = {}
        wanted = programs_to_load(self.obj, self.maps.struct_ops.values())
        for program in self.obj.programs.values():
            if program.name in wanted:
                layout = self.prepared.layout(program.name)
                made = undo.enter_context(self._load_program(program, layout))
                self._bind_constants(made, layout)
                loaded[program.name] = made
        return loaded

    def _bind_constants(self, program: KernelProgram, layout: ProgramLayout) -> None:
        """Hold read-only data as long as the program lives, also where its code has none of it.

        As libbpf does: who looks at a program later finds the object's constants with it.
        """
        used = {relocation.target for relocation in layout.relocations}
        for loaded in self.maps.constants:
            if loaded.section.name not in used:
                with suppress(KernelError):  # before 5.10
                    syscall.prog_bind_map(program.fileno(), loaded.fd.fileno())

    def _image(
        self, program: model.Program, layout: ProgramLayout, descriptors: ExitStack
    ) -> ProgramImage:
        """The program as BPF_PROG_LOAD takes it, as long as `descriptors` are open."""
        numbers = self._numbers(layout, descriptors)
        attach_btf_id, attach_fd = self._attach_target(program, descriptors)
        expected_attach_type: int | None = program.expected_attach_type
        if program.type is ProgramType.STRUCT_OPS:
            expected_attach_type = self._callback_of(program)[1].member
        elif attach_target.traces_static_probes(program):
            expected_attach_type = attach_target.static_probe_attach_type()
        code, fd_array = image.resolve(layout, numbers, self.obj.byteorder)
        typed = self.with_functions and bool(layout.function_info)
        return ProgramImage(
            program.type,
            code,
            license=self.obj.license,
            name=program.name,
            expected_attach_type=expected_attach_type,
            flags=program.flags,
            token_fd=self.token_fd,
            ifindex=self.ifindex,
            kernel_version=self._kernel_version(program),
            attach_btf_id=attach_btf_id,
            attach_fd=attach_fd,
            btf_fd=self.btf.fileno() if self.btf is not None and typed else 0,
            func_info=self._function_info(layout) if typed else b"",
            line_info=layout.line_info if typed else b"",
            fd_array=fd_array,
            source_lines=lambda: self._source_lines(layout),
        )

    def _load_program(self, program: model.Program, layout: ProgramLayout) -> KernelProgram:
        with ExitStack() as descriptors:
            made = self._image(program, layout, descriptors)
            try:
                loaded = KernelProgram.from_image(
                    made, definition=program, log_level=self.log_level
                )
            except VerifierError as error:
                from osmia.kernel.load.poison import explained

                error = explained(error, layout.unresolved)
                if self.prepared.counted is not None:
                    from osmia.kernel.load.counters import refused

                    error = refused(error, self.prepared.counted)
                raise error from None
            function = self.obj.functions[program.function]
            if self.obj.btf is not None and function.btf_id:
                loaded.declared = self.obj.btf, function.btf_id
            return loaded

    def _function_info(self, layout: ProgramLayout) -> bytes:
        """The records for BPF_PROG_LOAD, with the copies that stand for some functions."""
        copies = self.copies.get(layout.name)
        if not copies:
            return layout.function_info
        records = struct.iter_unpack("=II", layout.function_info)
        return b"".join(struct.pack("=II", at, copies.get(i, i)) for at, i in records)

    def _numbers(self, layout: ProgramLayout, descriptors: ExitStack) -> image.Numbers:
        modules = {
            relocation.target
            for relocation in layout.relocations
            if relocation.kind in _KERNEL_KINDS and relocation.target != image.VMLINUX
        }
        return image.Numbers(
            maps=self.maps.descriptors,
            data=self.maps.data_descriptors,
            modules={
                name: descriptors.enter_context(module_btf_descriptor(name)).fileno()
                for name in sorted(modules)
            },
            jump_tables=self._jump_tables(layout, descriptors),
            symbols=image.symbols_of(layout, self.target),
        )

    def _jump_tables(self, layout: ProgramLayout, descriptors: ExitStack) -> dict[str, int]:
        if not self.obj.jump_tables:
            return {}
        from osmia.kernel.load.jump_tables import create_tables

        return create_tables(self.obj, layout, descriptors, self.token_fd)

    def _attach_target(self, program: model.Program, descriptors: ExitStack) -> tuple[int, int]:
        if program.type is ProgramType.STRUCT_OPS:
            ops, _ = self._callback_of(program)
            return ops.type_id, self._module_fd(ops.module, descriptors)
        if not attach_target.needs_target(program):
            return 0, 0
        other = self.attach_to.get(program.name)
        if other is not None:
            btf = btf_from_id(other.info.btf_id) if other.info.btf_id else None
            found = attach_target.find_in_program(program, btf, program.attach_to)
            return found.type_id, other.fileno()
        if program.type is ProgramType.EXT:
            raise RelocationError(
                f"program {program.name!r} replaces a function of another program; say of"
                f" which: load(attach_to={{{program.name!r}: program}})"
            )
        found = attach_target.find_in_kernel(program, self.target)
        return found.type_id, self._module_fd(found.module, descriptors)

    @staticmethod
    def _module_fd(module: str, descriptors: ExitStack) -> int:
        if module == image.VMLINUX:
            return 0
        return descriptors.enter_context(module_btf_descriptor(module)).fileno()

    def _callback_of(self, program: model.Program) -> tuple[StructOps, Callback]:
        """Where a struct_ops program stands."""
        for ops in self.maps.struct_ops.values():
            for callback in ops.callbacks:
                if callback.program == program.name:
                    return ops, callback
        raise RelocationError(f"program {program.name!r} is in no struct_ops that this kernel has")

    def _kernel_version(self, program: model.Program) -> int:
        """Before 5.0 the kernel compared it with its own for kprobe programs; later it does
        not look."""
        if self.obj.kernel_version or program.type is not ProgramType.KPROBE:
            return self.obj.kernel_version
        is_this = isinstance(self.target, RunningKernel)
        return self.target.version if is_this else running_version()

    def _source_lines(self, layout: ProgramLayout) -> list[model.SourceLine]:
        return [
            line._replace(slot=line.slot + slot)
            for slot, name in layout.functions
            for line in self.obj.source_lines(name)
        ]
