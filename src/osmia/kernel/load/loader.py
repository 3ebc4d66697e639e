"""Load an object into the kernel: from an Object to a LoadedObject, step by step."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Unpack

from osmia.btf import BTF
from osmia.btf.patch import CONFIG_SECTION, SectionLayout, without_externs
from osmia.engine.maps import Map
from osmia.errors import KernelError, RelocationError, VerifierError
from osmia.kernel.load import attach_target, image
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.map_loader import MapLoader
from osmia.kernel.load.object_btf import load_object_btf
from osmia.kernel.load.struct_ops import Callback, StructOps, programs_to_load
from osmia.kernel.load.target import kernel_target, module_btf_descriptor
from osmia.kernel.programs.loading import ProgramImage
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import btf_from_id
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.token import with_token
from osmia.object import model
from osmia.object.data_pointers import warn_of_pointers
from osmia.object.model import DataKind, Object
from osmia.object.sections import unknown_section
from osmia.object.uapi import AttachType, ProgramType
from osmia.passes.layout import ProgramLayout
from osmia.passes.options import PassOptions
from osmia.passes.running import RunningKernel, running_version
from osmia.passes.stages import prepare
from osmia.passes.target import Target

if TYPE_CHECKING:
    from osmia.passes.imports import Imports


def load(
    obj: Object,
    *,
    target: Target | None = None,
    pin_root: str | os.PathLike[str] = "/sys/fs/bpf",
    maps: Mapping[str, Map] | None = None,
    attach_to: Mapping[str, KernelProgram] | None = None,
    log_level: int = 0,
    token: str | os.PathLike[str] | None = None,
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
    `imports` and `bind` are those of every engine (see `CommonOptions`).
    The other options are those of passes (see `PassOptions`).

    Raises what `osmia.errors` says: RelocationError, VerifierError, MapMismatchError,
    NotSupportedError, BpfPermissionError, KernelError. Nothing is left behind then: no
    descriptor, and no pin that was not there before.
    """

    for name, program in (attach_to or {}).items():
        _check_own(obj, name, program)

    def attempt(token_fd: int) -> KernelObject:
        loader = _Loader(obj, target or kernel_target(), attach_to or {}, log_level, token_fd)
        if imports or bind != "copy":
            loader.import_from(imports, bind)
        return loader.load(pin_root, maps or {}, options)

    return with_token(attempt, token, obj)


def _check_own(obj: Object, name: str, program: object) -> None:
    """See that a program of the object can be for a program that is given for it."""
    if name not in obj.programs:
        raise RelocationError(f"{obj.name} has no program {name!r} that could be attached")
    if not isinstance(program, KernelProgram):
        other = getattr(program, "name", program)
        raise RelocationError(f"program {name!r} is for {other!r}, which the kernel does not hold")
    program.fileno()  # ClosedError


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
        self.copies: dict[str, dict[int, int]] = {}
        self.imports: Imports | None = None

    def import_from(self, given: Any, bind: str) -> None:
        """Look for externs in what was given as `imports=`."""
        from osmia.engine.importing import read_imports

        self.imports = read_imports(given, bind, "kernel", obj=self.source)

    def load(
        self, pin_root: str | os.PathLike[str], given: Mapping[str, Map], options: PassOptions
    ) -> KernelObject:
        self._check_types()
        resolvers = [self.imports] if self.imports is not None else ()
        self.prepared = prepare(
            self.source, self.target, resolvers, given_maps=given.keys(), **options
        )
        self.obj = self.prepared.object
        with ExitStack() as undo:
            self._load_btf(undo)
            self.maps = MapLoader(
                self.prepared, self.btf, pin_root, undo, self.target, self.token_fd
            )
            self.maps.create(given, self.imports)
            if any(s.relocations for s in self.obj.data_sections.values()):
                warn_of_pointers(self.obj)
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
            undo.pop_all()
        if self.btf is not None:
            self.btf.close()
        if self.imports is not None:
            self.imports.note_users(loaded)
        return loaded

    def _callbacks(self, programs: Mapping[str, KernelProgram]) -> dict[str, bytes]:
        """The values of struct_ops maps: what registering them hands to the kernel."""
        descriptors = {name: program.fileno() for name, program in programs.items()}
        return {name: ops.value_with(descriptors) for name, ops in self.maps.struct_ops.items()}

    def _check_types(self) -> None:
        for program in self.source.programs.values():
            if program.autoload and program.type is ProgramType.UNSPEC:
                raise unknown_section(program.section, self.source.path or self.source.name)

    def _load_btf(self, undo: ExitStack) -> None:
        if self.obj.btf is None:
            return
        btf = without_externs(self.obj.btf, self._config_layout())
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

    def _config_layout(self) -> SectionLayout | None:
        section = self.obj.data_sections.get(CONFIG_SECTION)
        if section is None:
            return None
        offsets = {name: variable.offset for name, variable in section.variables.items()}
        return SectionLayout(len(section.contents), offsets)

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

    def _load_program(self, program: model.Program, layout: ProgramLayout) -> KernelProgram:
        with ExitStack() as descriptors:
            numbers = self._numbers(layout, descriptors)
            attach_btf_id, attach_fd = self._attach_target(program, descriptors)
            expected_attach_type: int | None = program.expected_attach_type
            if program.type is ProgramType.STRUCT_OPS:
                expected_attach_type = self._callback_of(program)[1].member
            elif _traces_static_probes(program):
                expected_attach_type = _static_probe_attach_type()
            code, fd_array = image.resolve(layout, numbers, self.obj.byteorder)
            typed = self.with_functions and bool(layout.function_info)
            made = ProgramImage(
                program.type,
                code,
                license=self.obj.license,
                name=program.name,
                expected_attach_type=expected_attach_type,
                flags=program.flags,
                token_fd=self.token_fd,
                kernel_version=self._kernel_version(program),
                attach_btf_id=attach_btf_id,
                attach_fd=attach_fd,
                btf_fd=self.btf.fileno() if self.btf is not None and typed else 0,
                func_info=self._function_info(layout) if typed else b"",
                line_info=layout.line_info if typed else b"",
                fd_array=fd_array,
                source_lines=lambda: self._source_lines(layout),
            )
            try:
                return KernelProgram.from_image(made, definition=program, log_level=self.log_level)
            except VerifierError as error:
                from osmia.kernel.load.poison import explained

                raise explained(error, layout.unresolved) from None

    def _function_info(self, layout: ProgramLayout) -> bytes:
        """The records for BPF_PROG_LOAD, with the copies that stand for some functions."""
        copies = self.copies.get(layout.name)
        if not copies:
            return layout.function_info
        records = struct.iter_unpack("=II", layout.function_info)
        return b"".join(struct.pack("=II", at, copies.get(i, i)) for at, i in records)

    def _numbers(self, layout: ProgramLayout, descriptors: ExitStack) -> image.Numbers:
        kernel_kinds = (
            model.RelocationKind.KERNEL_FUNCTION,
            model.RelocationKind.KERNEL_VARIABLE,
        )
        modules = {
            relocation.target
            for relocation in layout.relocations
            if relocation.kind in kernel_kinds and relocation.target != image.VMLINUX
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


def _traces_static_probes(program: model.Program) -> bool:
    return program.section.lstrip("?").partition("/")[0].removesuffix(".s") == "usdt"


def _static_probe_attach_type() -> int:
    """One link for all places of a probe where the kernel has such links; the program says
    at load which kind it will have."""
    from osmia.kernel.probes import features

    multi = AttachType.TRACE_UPROBE_MULTI
    return multi if features.has_attach_type(multi) else 0
