"""What a BPF object says: programs, functions, maps, data, externs, relocations.

Nothing here depends on a file format, on a kernel or on an engine. Relocations name
their targets; only an engine turns names into numbers.
"""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from osmia.arguments import names_wrong_arguments
from osmia.btf import BTF, Kind, Struct
from osmia.btf.core.kinds import CoreKind as CoreKind
from osmia.enums import IntEnum
from osmia.errors import AmbiguousNameError
from osmia.named_tuples import NamedTuple
from osmia.object.jump_tables import JumpTable
from osmia.object.keys import Named, find_key
from osmia.object.other_sections import OtherSection
from osmia.object.parts import Part
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.records import dataclass, field, replace
from osmia.values import Codec, codec, plain_codec
from osmia.values.names import PartsByName, unknown_name
from osmia.values.variables import MemoryStore, Slot, Store, Variables

if TYPE_CHECKING:
    from typing import Unpack

    # What `Object.load` takes and gives: the engines are above, and found by name when it runs.
    from osmia.engine.loaded import LoadedObject
    from osmia.kernel.load.loaded import KernelObject
    from osmia.kernel.options import KernelOptions
    from osmia.passes.options import ObjectOptions
    from osmia.vm.loaded import VmObject
    from osmia.vm.options import VmOptions

#: The module that writes ELF files: `formats` is above this layer, and found by name, too.
BACK_END = "osmia.formats.elf_writer"

#: What finds engines by name. It is above this layer, so it is found by name, too.
ENGINES = "osmia.engine.registry"

#: Kinds of types that can be values and have names.
VALUE_KINDS = (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF, Kind.INT)


_Part = TypeVar("_Part")


class RelocationKind(Enum):
    """What an instruction needs to be told, and so what its `target` names."""

    MAP = "map"  # ld_imm64 of a map: `Object.maps`
    DATA = "data"  # ld_imm64 of an address in a data section: `Object.data_sections`, plus addend
    CALL = "call"  # call of a function of this object: `Object.functions`
    FUNCTION = "function"  # ld_imm64 of a function's address (callbacks): `Object.functions`
    JUMP_TABLE = (
        "jump_table"  # ld_imm64 of an address in a table: `Object.jump_tables`, plus addend
    )
    EXTERN = "extern"  # ld_imm64 of an extern variable: `Object.externs`
    EXTERN_CALL = "extern_call"  # call of an extern function (kfunc): `Object.externs`
    # What the passes turn externs into; `addend` is a type id in the BTF that `target` names.
    KERNEL_VARIABLE = "kernel_variable"  # ld_imm64 of an address in "vmlinux" or a module
    KERNEL_FUNCTION = "kernel_function"  # call of a function of "vmlinux" or a module
    KERNEL_SYMBOL = "kernel_symbol"  # ld_imm64 of the address of the kernel symbol `target`
    ENGINE_FUNCTION = "engine_function"  # call of what the engine itself has as `target`
    ENGINE_ADDRESS = "engine_address"  # ld_imm64 of a number for it: not 0, as it is there


class Relocation(NamedTuple):
    """One instruction that names something; `offset` is in bytes into the function's code.

    Or an address in a data section, `offset` bytes into it, of `size` bytes: that of the
    target plus the addend. There a FUNCTION may have an addend, too.
    """

    offset: int
    kind: RelocationKind
    target: str
    addend: int = 0
    size: int = 8


class CoreRelocation(NamedTuple):
    """A CO-RE record: the instruction at `offset` depends on the target kernel's types."""

    offset: int
    kind: int
    type_id: int
    access: str
    number: int = 0  # of the record among those of its ELF section


class Unresolved(NamedTuple):
    """An impossible call that a pass put at `offset` for want of an answer; `what` says what
    is missing. It does no harm where nobody comes by; engines explain it where somebody does.
    """

    offset: int
    what: str


class SourceLine(NamedTuple):
    """Where the code at `slot` and after it comes from; `text` is the line itself."""

    slot: int
    file: str
    line: int
    column: int
    text: str


class Linkage(IntEnum):
    """Of functions and variables, as in BTF (enum btf_func_linkage)."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


@dataclass(frozen=True, slots=True)
class Function:
    """Code with a name. `code` is packed instructions, 8 bytes a slot, in the target's order.

    `relocations`, `core_relocations` and `unresolved` are sorted by offset.
    `name` is the symbol's; its key in `Object.functions` is another where static functions
    share a name (see `object.keys`). `file` is the source file of a static one, if told.

    `line_info` is packed too: records of struct bpf_line_info (include/uapi/linux/bpf.h, since
    5.0), instruction offsets in slots from the function's start, strings in `Object.btf`;
    `Object.source_lines` reads them.
    """

    name: str
    section: str
    code: bytes = field(repr=False)
    relocations: tuple[Relocation, ...] = field(default=(), repr=False)
    core_relocations: tuple[CoreRelocation, ...] = field(default=(), repr=False)
    line_info: bytes = field(default=b"", repr=False)
    btf_id: int = 0  # of the FUNC in Object.btf; 0: none
    linkage: Linkage = Linkage.GLOBAL
    weak: bool = False
    hidden: bool = False
    file: str = ""
    unresolved: tuple[Unresolved, ...] = ()

    @property
    def instruction_count(self) -> int:
        """The number of 8-byte instruction slots."""
        return len(self.code) // 8


@dataclass(frozen=True, slots=True)
class Program:
    """An entry function with the type and place that its section name gives it.

    `function` is a key of `Object.functions`. `attach_to` is what follows the section's
    prefix ("fentry/NAME" gives NAME); `auto_attach` tells whether the section says enough
    to attach without further arguments. `exception_callback` is the function that takes over
    when bpf_throw() is called (since 6.7); "" leaves it to the kernel.
    """

    name: str
    function: str
    section: str
    type: ProgramType
    expected_attach_type: AttachType | None = None
    attach_to: str = ""
    flags: int = 0
    autoload: bool = True
    auto_attach: bool = False
    exception_callback: str = ""


class Pinning(IntEnum):
    """Where a map is pinned: enum libbpf_pin_type, and the places that iproute2 has.

    A number from 3 on is a namespace that /etc/iproute2/bpf_pinning names.
    """

    OBJECT = -1  # tc/<sha1 of the file>/NAME, for this file's loads alone (PIN_OBJECT_NS)
    NONE = 0
    BY_NAME = 1  # in the directory that `load(pin_root=…)` says
    GLOBAL = 2  # tc/globals/NAME (PIN_GLOBAL_NS)


@dataclass(frozen=True, slots=True)
class Map:
    """A map's definition. Sizes in bytes; type ids are those of `Object.btf`, 0 for none.

    `inner` is the template of a map in maps. `slots` initialise the map when it is made:
    pairs of an index and the name of a map, program or function of the object, or of an extern.
    `exclusive_to` names the one program that may use the map (since 6.18).
    `attributes` are those of a declaration that are no field here, by name (see
    `object.map_attributes`): `id`, `inner_id`, `inner_idx`, and whatever was registered.
    """

    name: str
    type: MapType
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    flags: int = 0
    key_type_id: int = 0
    value_type_id: int = 0
    numa_node: int | None = None
    map_extra: int = 0
    pinning: int = Pinning.NONE
    pin_path: str = ""
    inner: Map | None = None
    slots: tuple[tuple[int, str], ...] = ()
    btf_id: int = 0  # of the VAR that declares it
    weak: bool = False
    hidden: bool = False
    attributes: Mapping[str, int] = field(default_factory=dict)
    autocreate: bool = True
    exclusive_to: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """A global variable in a data section; `offset` and `size` in bytes.

    `name` is the symbol's; its key in `DataSection.variables` is another where static
    variables share a name (see `object.keys`), and no other variable of the object has it.
    `file` is the source file of a static one, if told.
    `autocreate` counts for struct_ops: whether load makes a map of this one.
    """

    name: str
    offset: int
    size: int
    type_id: int = 0
    linkage: Linkage = Linkage.GLOBAL
    weak: bool = False
    hidden: bool = False
    autocreate: bool = True
    file: str = ""


class DataKind(Enum):
    """What a data section becomes."""

    DATA = "data"
    RODATA = "rodata"
    BSS = "bss"
    KCONFIG = "kconfig"
    STRUCT_OPS = "struct_ops"
    ARENA = "arena"


@dataclass(slots=True)
class DataSection:
    """Global data: initial `contents` and the variables in it; at load, a map of its own.

    `relocations` are addresses stored in the data, sorted by place: of data (DATA), functions
    (FUNCTION), maps (MAP) and externs (EXTERN). In struct_ops they are programs alone. What
    `contents` have there is what a loader leaves that knows no relocations of data.
    """

    name: str
    kind: DataKind
    contents: bytearray = field(repr=False)
    variables: dict[str, Variable] = field(default_factory=dict)
    btf_id: int = 0  # of the DATASEC
    relocations: tuple[Relocation, ...] = ()
    alignment: int = 8

    def __repr__(self) -> str:
        size, count = len(self.contents), len(self.variables)
        return f"<DataSection {self.name!r}: {self.kind.value}, {size} bytes, {count} variables>"

    def copy(self) -> DataSection:
        """A copy whose contents and variables can be changed on their own."""
        made = DataSection(*_section_fields(self))
        made.contents, made.variables = bytearray(self.contents), dict(self.variables)
        return made

    def variable_at(self, offset: int) -> str | None:
        """The key of the variable that byte `offset` lies in; None between variables."""
        before = [each for each in self.variables.items() if each[1].offset <= offset]
        if not before:
            return None
        key, variable = max(before, key=lambda each: each[1].offset)
        return key if offset < variable.offset + max(1, variable.size) else None

    @property
    def writable(self) -> bool:
        """Whether programs may write to it."""
        return self.kind is not DataKind.RODATA and self.kind is not DataKind.KCONFIG


class ExternKind(Enum):
    """Where an extern is looked for."""

    KCONFIG = "kconfig"  # a kernel configuration value
    KSYM = "ksym"  # a kernel variable, typed by BTF or an untyped address
    KFUNC = "kfunc"  # a kernel function
    OBJECT = "object"  # something that another object defines


@dataclass(frozen=True, slots=True)
class Extern:
    """A name that this object uses and does not define. `type_id` is that of the VAR's or
    FUNC's *type*; 0 where the compiler told none. `map` is what the object says of a map that
    another one defines (kind OBJECT)."""

    name: str
    kind: ExternKind
    type_id: int = 0
    weak: bool = False
    btf_id: int = 0  # of the VAR or FUNC
    hidden: bool = False
    map: Map | None = None


@dataclass(slots=True)
class Object:
    """A BPF object: everything that a file says and nothing that a machine adds.

    `name` is the file's stem; it names internal maps. `byteorder` is the target's,
    "little" or "big". Passes take an Object and return another; `obj.data["x"] = 1`
    and `obj.programs[...]` replacements are how a user edits one before load.
    """

    name: str
    path: str = ""
    byteorder: str = "little"
    pin_digest: str = ""  # SHA-1 of the file, hex, where a map is pinned for the file alone
    license: str = ""
    kernel_version: int = 0
    functions: dict[str, Function] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    maps: dict[str, Map] = field(default_factory=dict)
    data_sections: dict[str, DataSection] = field(default_factory=dict)
    externs: dict[str, Extern] = field(default_factory=dict)
    jump_tables: dict[str, JumpTable] = field(default_factory=dict)
    other_sections: dict[str, OtherSection] = field(default_factory=dict)
    btf: BTF | None = None
    dialect: str = "libbpf"
    remarks: tuple[str, ...] = ()  # what the file says that hardly was meant; open warns of it
    parts: dict[str, Part] = field(default_factory=dict)  # of a linked object: its inputs

    def __post_init__(self) -> None:
        """Let a wrong name of a part say which are near; the dictionaries are the object's own."""
        owner = self.path or self.name
        self.functions = _named(owner, "function", self.functions)
        self.programs = _named(owner, "program", self.programs)
        self.maps = _named(owner, "map", self.maps)
        self.externs = _named(owner, "extern", self.externs)
        self.data_sections = _named(owner, "data section", self.data_sections)

    def __repr__(self) -> str:
        counts = (
            (len(self.programs), "program"),
            (len(self.maps), "map"),
            (sum(len(each.variables) for each in self.data_sections.values()), "variable"),
            (len(self.externs), "extern"),
        )
        told = ", ".join(f"{n} {what}{'s' * (n != 1)}" for n, what in counts if n)
        return f"<Object {self.name!r}: {told or 'empty'}, {self.dialect}>"

    def copy(self, **changes: Any) -> Object:
        """A copy whose dictionaries and data contents can be changed on their own."""
        made = Object(*_object_fields(self))
        for name, each in self.data_sections.items():
            made.data_sections[name] = each.copy()
        made.jump_tables = dict(self.jump_tables)
        made.other_sections = dict(self.other_sections)
        for name, value in changes.items():
            if name not in Object.__match_args__:
                raise TypeError(unknown_name("an Object", name, Object.__match_args__))
            if name in _BY_NAME and not isinstance(value, dict):
                raise _no_dict(name, value)
            setattr(made, name, value)
        return made

    @property
    def digest(self) -> str:
        """SHA-256 over what the object says, in hexadecimal: code, relocations, types, maps,
        data, license and all else but its name and path. Two opens of one file have the same
        one, in every process; an object that was edited has another."""
        from osmia.object.digest import object_digest  # brings OpenSSL along, 3 ms

        return object_digest(self)

    def to_bytes(self) -> bytes:
        """The object as a relocatable ELF file in libbpf's dialect, which libbpf and bpftool
        take and `osmia.open` reads back.

        What is for `load` alone (`autoload`, `autocreate`, pin paths) is left out.
        RelocationError for what names something that the object lacks or that passes took from
        a kernel; ObjectFormatError (a ValueError) for what ELF or BTF cannot hold.
        """
        written: bytes = importlib.import_module(BACK_END).write_object(self)
        return written

    @names_wrong_arguments
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_bytes()` to a file, whole or not at all. OSError if it cannot be written."""
        from pathlib import Path

        from osmia.files import write_whole

        write_whole(Path(path), self.to_bytes())

    @overload
    def load(
        self, engine: Literal["kernel"] = "kernel", **options: Unpack[KernelOptions]
    ) -> KernelObject: ...
    @overload
    def load(self, engine: Literal["vm"], **options: Unpack[VmOptions]) -> VmObject: ...
    @overload
    def load(self, engine: str, **options: Unpack[ObjectOptions]) -> LoadedObject: ...
    @names_wrong_arguments
    def load(self, engine: str = "kernel", **options: Any) -> LoadedObject:
        """Load into an engine: "kernel" (bpf(2)), "vm" (this process, no privileges), or one
        that an installed package brings (entry points `osmia.engines`).

        Options are those of the passes (`osmia.passes.options`), on every engine, and those of
        the engine's own `load`: `osmia.kernel.load.loader.load`, `osmia.vm.loader.load`. Gives a
        LoadedObject, which looks the same from each: `.programs`, `.maps`, `.data`, `.links`,
        `attach()`, `close()`, a context manager.

        Raises ValueError for an engine that is not there, TypeError for an option that nobody
        has, NotSupportedError for one that another engine has.
        """
        registry = importlib.import_module(ENGINES)  # waits for a thread that is just importing it
        loaded: LoadedObject = registry.load(self, engine, options)
        return loaded

    @names_wrong_arguments
    def set_autoload(self, program: str, load: bool = True) -> None:
        """Whether `load` takes this program. KeyError when there is none of that name."""
        self.programs[program] = replace(self.programs[program], autoload=load)

    @names_wrong_arguments
    def set_autocreate(self, name: str, create: bool = True) -> None:
        """Whether `load` makes this map or struct_ops. KeyError when there is none.

        Code that refers to a map that is not made is refused by the verifier if it can be
        reached.
        """
        if name in self.maps:
            self.maps[name] = replace(self.maps[name], autocreate=create)
            return
        try:
            section, key = self._struct_ops(name)
        except AmbiguousNameError:
            raise
        except KeyError:
            message = unknown_name(
                self.path or self.name, name, [*self.maps, *self._struct_ops_names()]
            )
            raise KeyError(f"{message}: no map and no struct_ops") from None
        section.variables[key] = replace(section.variables[key], autocreate=create)

    @names_wrong_arguments
    def set_callback(self, struct_ops: str, member: str, program: str | None) -> None:
        """Put a program, or none, into a member of a struct_ops variable before load.

        The program that was there is not loaded any more, unless another member has it.
        KeyError when there is no such variable, member or program. Other members are set
        through `data`.
        """
        section, key = self._struct_ops(struct_ops)
        variable = section.variables[key]
        offset = variable.offset + self._member_offset(variable, member)
        replaced = {r.target for r in section.relocations if r.offset == offset}
        kept = [r for r in section.relocations if r.offset != offset]
        if program is not None:
            function = self.programs[program].function
            kept.append(Relocation(offset, RelocationKind.FUNCTION, function))
        section.relocations = tuple(sorted(kept, key=lambda r: r.offset))
        structs = (s for s in self.data_sections.values() if s.kind is DataKind.STRUCT_OPS)
        used = {r.target for each in structs for r in each.relocations}
        for name in replaced - used:
            self.set_autoload(name, False)

    def _struct_ops(self, name: str) -> tuple[DataSection, str]:
        key = self.find_variable(name)
        for section in self.data_sections.values():
            if section.kind is DataKind.STRUCT_OPS and key in section.variables:
                return section, key
        known = self._struct_ops_names()
        raise KeyError(unknown_name(self.path or self.name, name, known, kind="struct_ops "))

    def _struct_ops_names(self) -> list[str]:
        sections = self.data_sections.values()
        return [
            key for each in sections if each.kind is DataKind.STRUCT_OPS for key in each.variables
        ]

    @names_wrong_arguments
    def find_variable(self, word: str) -> str:
        """The key of the variable that `word` means: its key, its name, "file:name",
        "section:name" or "file:section:name". KeyError if there is none, AmbiguousNameError
        if there are several."""
        things = {
            key: Named(each.name, each.file, section.name, each.linkage is Linkage.STATIC)
            for section in self.data_sections.values()
            for key, each in section.variables.items()
        }
        key = find_key(word, things, "variables")
        if key is None:
            raise KeyError(unknown_name(self.path or self.name, word, things, kind="variable "))
        return key

    @names_wrong_arguments
    def find_function(self, word: str) -> str:
        """The same for functions: a key of `functions`."""
        things = {
            key: Named(each.name, each.file, each.section, each.linkage is Linkage.STATIC)
            for key, each in self.functions.items()
        }
        key = find_key(word, things, "functions")
        if key is None:
            raise KeyError(unknown_name(self.path or self.name, word, things, kind="function "))
        return key

    def _member_offset(self, variable: Variable, name: str) -> int:
        """Of a member of the variable's struct, in bytes."""
        kind = self.btf.type(self.btf.resolve(variable.type_id)) if self.btf is not None else None
        members = kind.members if isinstance(kind, Struct) else ()
        for member in members:
            if member.name == name:
                return member.bit_offset // 8
        known = [each.name for each in members if each.name]
        raise KeyError(unknown_name(variable.name, name, known, kind="member "))

    @property
    def data(self) -> Variables:
        """The global variables' initial values: `obj.data["rate"] = 128`, before load."""
        return variables(self, lambda section: MemoryStore(section.contents))

    @names_wrong_arguments
    def source_lines(self, function: str) -> list[SourceLine]:
        """The source lines of a function's code, in order; empty without BTF."""
        if self.btf is None:
            return []
        order = "<" if self.byteorder == "little" else ">"
        records = struct.iter_unpack(f"{order}IIII", self.functions[function].line_info)
        string = self.btf.string
        return [
            SourceLine(slot, string(file), place >> 10, place & 0x3FF, string(text).strip())
            for slot, file, text, place in records
        ]

    @names_wrong_arguments
    def codec(self, type_name: str) -> Codec:
        """How values of the named type ("flow_event", "struct flow_event") are read and written.

        For events of a ring buffer, whose type no map tells:
        `bpf.maps["events"].event_codec = obj.codec("flow_event")`.
        Raises KeyError when the object's BTF has no type of that name.
        """
        name = type_name.removeprefix("struct ").removeprefix("union ").removeprefix("enum ")
        type_id = self.btf.find(name, *VALUE_KINDS) if self.btf is not None else 0
        if self.btf is None or not type_id:
            message = unknown_name(self.path or self.name, name, self._type_names(), kind="type ")
            raise KeyError(message)
        return codec(self.btf, type_id)

    def _type_names(self) -> set[str]:
        btf = self.btf
        return (
            set() if btf is None else {btf.name_of(i) for i in btf if btf.kind_of(i) in VALUE_KINDS}
        )

    @names_wrong_arguments
    def variable_codec(self, variable: Variable) -> Codec:
        """How a variable's bytes are read: by its type, or plainly where none is told."""
        if self.btf is not None and variable.type_id:
            return codec(self.btf, variable.type_id)
        return plain_codec(variable.size)

    @names_wrong_arguments
    def callees(self, function: str) -> Iterator[str]:
        """The functions that `function` refers to, itself excluded, each once, callers first."""
        seen = {function}
        queue = [function]
        while queue:
            for relocation in self.functions[queue.pop(0)].relocations:
                wanted = relocation.kind in (RelocationKind.CALL, RelocationKind.FUNCTION)
                if wanted and relocation.target not in seen:
                    seen.add(relocation.target)
                    queue.append(relocation.target)
                    yield relocation.target


def variables(
    obj: Object,
    store: Callable[[DataSection], Store | None],
    *,
    read_only: Collection[DataKind] = (),
) -> Variables:
    """A view of all variables of `obj`, in the stores that `store` gives for its sections.

    Sections of the kinds in `read_only` cannot be assigned to. A section without a store
    is left out.
    """
    slots: dict[str, Slot] = {}
    for section in obj.data_sections.values():
        memory = store(section)
        if memory is None:
            continue
        writable = section.kind not in read_only
        for key, variable in section.variables.items():
            if variable.size:
                slots[key] = Slot(memory, variable.offset, obj.variable_codec(variable), writable)
    return Variables(slots, obj.find_variable)


def _named(owner: str, kind: str, parts: dict[str, _Part]) -> PartsByName[_Part]:
    if not isinstance(parts, dict):
        raise _no_dict(f"{kind}s", parts)
    return PartsByName(owner, kind, parts)


#: The fields of an Object that are dictionaries of parts.
_BY_NAME = frozenset({"functions", "programs", "maps", "externs", "data_sections"})


def _no_dict(parts: str, value: object) -> TypeError:
    words = parts.replace("_", " ")
    return TypeError(f"an Object's {words} are a dict by name, not {value!r:.80}")


# Every open of a file that was read before makes copies: `replace` takes twice as long.
_section_fields = attrgetter(*DataSection.__match_args__)
_object_fields = attrgetter(*Object.__match_args__)
