"""A replayed load becomes an ordinary KernelObject, in place, with the descriptors that it has."""

from __future__ import annotations

from functools import cached_property, partial

from osmia.engine.reuse import effective
from osmia.engine.tail_call_returns import check_slots
from osmia.formats.open import read_elf
from osmia.kernel.load.data_sections import LoadedSection, open_section
from osmia.kernel.load.definitions import section_map
from osmia.kernel.load.held_maps import HeldMap
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.replay import Descriptors
from osmia.kernel.load.replayed import ReplayedObject
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.locks import make_lock
from osmia.object import model
from osmia.object.model import DataKind, Object, variables
from osmia.object.uapi import MapType
from osmia.prepared.unread import Held
from osmia.values.variables import Variables

# The name that type checkers know; `typing` is dear, as is what only passes need.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.passes.stages import Prepared

#: Changes an object's class, whatever its own `__class__` says.
_change_class = vars(object)["__class__"].__set__
_changing = make_lock()


class AdoptedObject(KernelObject):
    """A KernelObject whose code was not made in this process: the passes run when somebody asks
    for what they gave."""

    def __init__(self, source: Object, made: Descriptors) -> None:
        programs = {
            name: _program(source, source.programs[name], fd) for name, fd in made.programs.items()
        }
        cpus = possible_cpus()
        maps = {
            name: HeldMap(effective(source.maps[name], cpus), fd, source.btf)
            for name, fd in made.maps.items()
        }
        sections = {name: _section(source, name, fd) for name, fd in made.sections.items()}
        super().__init__(source, programs, maps, sections, {}, source=source, linked=source)
        del vars(self)["object"]
        self._closed = made.closed
        arrays = {n: m for n, m in maps.items() if m.definition.type is MapType.PROG_ARRAY}
        if arrays and not made.closed:
            self.tail_call_returns = check_slots(self.object, arrays, {})

    @cached_property
    def _prepared(self) -> Prepared:
        from osmia.kernel.load.target import kernel_target
        from osmia.passes.stages import prepare

        return prepare(self.source, kernel_target())

    @cached_property
    def object(self) -> Object:  # type: ignore[override]  # it may be set, too
        """As of every loaded object; what passes leave alone is asked of `source`."""
        return self._prepared.object

    @property
    def name(self) -> str:
        return self.source.name

    @cached_property
    def data(self) -> Variables:
        return variables(self.source, self._store, read_only=(DataKind.RODATA,))

    @property
    def load_clone(self) -> Any:  # type: ignore[override]  # kept nowhere: it holds the object
        """What `KernelObject.clone` does."""
        from osmia.kernel.load.loader import clone_of

        return partial(clone_of, self, self._prepared)


def adopt(loaded: Any) -> None:
    """Make `loaded` an AdoptedObject; nothing happens when it is one. It stays as it was when
    that fails."""
    with _changing:
        if type(loaded) is not ReplayedObject:
            return
        held: Held = vars(loaded)["_held"]
        made: Descriptors = vars(loaded)["_made"]
        whole = AdoptedObject(read_elf(held.data, held.path, held.name), made)
        if type(loaded) is not ReplayedObject:  # by a signal's handler, which has the lock, too
            return
        vars(loaded).update(vars(whole))
        _change_class(loaded, AdoptedObject)
        vars(loaded).pop("_held", None)
        vars(loaded).pop("_made", None)
    if made.closed:  # perhaps meanwhile, by who did not see the new class; twice does no harm
        loaded.close()


def _program(source: Object, definition: model.Program, fd: FileDescriptor) -> KernelProgram:
    program = KernelProgram(
        fd,
        type=definition.type,
        name=definition.name,
        expected_attach_type=definition.expected_attach_type,
        definition=definition,
    )
    function = source.functions[definition.function]
    if source.btf is not None and function.btf_id:
        program.declared = source.btf, function.btf_id
    return program


def _section(source: Object, name: str, fd: FileDescriptor) -> LoadedSection:
    section = source.data_sections[name]
    definition = section_map(source.name, section, source.btf)
    # What is closed already is not mapped any more; asking for it says so.
    flags = 0 if fd.closed else definition.flags
    memory = open_section(fd, len(section.contents), flags, writable=section.writable)
    return LoadedSection(section, definition, fd, memory)
