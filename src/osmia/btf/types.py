"""What a BTF type is once decoded: one immutable class per kind.

Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h. Type ids are those of
the `BTF` that a type came from; id 0 is `void` everywhere.

Named tuples, not data classes: they are made three times faster, and two dozen data
classes would add 12 ms to every start. `kind` is a field, so that types of different
kinds are never equal.
"""

from __future__ import annotations

from typing import TypeAlias

from osmia.enums import IntEnum, IntFlag
from osmia.named_tuples import NamedTuple


class Kind(IntEnum):
    """BTF_KIND_*, with the kernel that brought it."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12  # 5.0
    FUNC_PROTO = 13  # 5.0
    VAR = 14  # 5.2
    DATASEC = 15  # 5.2
    FLOAT = 16  # 5.13
    DECL_TAG = 17  # 5.16
    TYPE_TAG = 18  # 5.17
    ENUM64 = 19  # 6.0


class IntEncoding(IntFlag):
    """BTF_INT_*: how an integer's bits are meant. 0 is unsigned."""

    SIGNED = 1
    CHAR = 2
    BOOL = 4


class FuncLinkage(IntEnum):
    """enum btf_func_linkage, of `Func`."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


class VarLinkage(IntEnum):
    """BTF_VAR_*, of `Var`."""

    STATIC = 0
    GLOBAL_ALLOCATED = 1
    GLOBAL_EXTERN = 2


class Member(NamedTuple):
    """A field of a struct or union; `bitfield_size` is in bits, 0 for no bitfield."""

    name: str
    type_id: int
    bit_offset: int
    bitfield_size: int = 0


class EnumValue(NamedTuple):
    """One enumerator."""

    name: str
    value: int


class Parameter(NamedTuple):
    """One parameter of a function; a last one with type 0 and no name stands for `...`."""

    name: str
    type_id: int


class SectionVariable(NamedTuple):
    """Where a `Var` (or extern `Func`) lies in its section; bytes."""

    type_id: int
    offset: int
    size: int


class Void(NamedTuple):
    """No type; id 0."""

    id: int = 0
    name: str = ""
    kind: Kind = Kind.VOID


class Int(NamedTuple):
    """An integer of `size` bytes, `bits` of them used from bit `offset` on."""

    id: int
    name: str
    size: int
    encoding: IntEncoding
    bits: int
    offset: int = 0
    kind: Kind = Kind.INT

    @property
    def signed(self) -> bool:
        """Whether it has a sign."""
        return bool(self.encoding & IntEncoding.SIGNED)

    @property
    def is_char(self) -> bool:
        """Whether the compiler marked it a character (clang marks none)."""
        return bool(self.encoding & IntEncoding.CHAR)

    @property
    def is_bool(self) -> bool:
        """Whether it is a truth value."""
        return bool(self.encoding & IntEncoding.BOOL)


class Ptr(NamedTuple):
    """A pointer to `target`."""

    id: int
    name: str
    target: int
    kind: Kind = Kind.PTR


class Array(NamedTuple):
    """`count` elements; 0 for a flexible array."""

    id: int
    name: str
    element: int
    index_type: int
    count: int  # type: ignore[assignment]  # hides tuple.count
    kind: Kind = Kind.ARRAY


class Struct(NamedTuple):
    """A struct of `size` bytes. `bitfields` is the kind flag: members carry bitfield sizes."""

    id: int
    name: str
    size: int
    members: tuple[Member, ...]
    bitfields: bool = False
    kind: Kind = Kind.STRUCT


class Union(NamedTuple):
    """A union of `size` bytes. `bitfields` is the kind flag: members carry bitfield sizes."""

    id: int
    name: str
    size: int
    members: tuple[Member, ...]
    bitfields: bool = False
    kind: Kind = Kind.UNION


class Enum(NamedTuple):
    """An enumeration with values of 32 bits; `size` bytes are stored."""

    id: int
    name: str
    size: int
    signed: bool
    values: tuple[EnumValue, ...]
    kind: Kind = Kind.ENUM


class Enum64(NamedTuple):
    """An enumeration with values of 64 bits; since 6.0."""

    id: int
    name: str
    size: int
    signed: bool
    values: tuple[EnumValue, ...]
    kind: Kind = Kind.ENUM64


class Fwd(NamedTuple):
    """A struct or union that is declared and not defined here."""

    id: int
    name: str
    is_union: bool
    kind: Kind = Kind.FWD


class Typedef(NamedTuple):
    """Another name of `target`."""

    id: int
    name: str
    target: int
    kind: Kind = Kind.TYPEDEF


class Volatile(NamedTuple):
    """`target`, volatile."""

    id: int
    name: str
    target: int
    kind: Kind = Kind.VOLATILE


class Const(NamedTuple):
    """`target`, const."""

    id: int
    name: str
    target: int
    kind: Kind = Kind.CONST


class Restrict(NamedTuple):
    """`target` (a pointer), restrict."""

    id: int
    name: str
    target: int
    kind: Kind = Kind.RESTRICT


class Func(NamedTuple):
    """A function; `type_id` is its `FuncProto`, `linkage` a `FuncLinkage`."""

    id: int
    name: str
    type_id: int
    linkage: int
    kind: Kind = Kind.FUNC


class FuncProto(NamedTuple):
    """A function's type."""

    id: int
    name: str
    return_type: int
    parameters: tuple[Parameter, ...]
    kind: Kind = Kind.FUNC_PROTO


class Var(NamedTuple):
    """A global variable; `linkage` is a `VarLinkage`."""

    id: int
    name: str
    type_id: int
    linkage: int
    kind: Kind = Kind.VAR


class DataSec(NamedTuple):
    """A data section of `size` bytes (0 until something fills it in) and what lies in it."""

    id: int
    name: str
    size: int
    entries: tuple[SectionVariable, ...]
    kind: Kind = Kind.DATASEC


class Float(NamedTuple):
    """A floating-point number of `size` bytes."""

    id: int
    name: str
    size: int
    kind: Kind = Kind.FLOAT


class DeclTag(NamedTuple):
    """A word said about a declaration: `component` is a member's or parameter's index, or -1.

    `attribute` (the kind flag, since 6.14) says that `name` is a GNU attribute, not a
    btf_decl_tag.
    """

    id: int
    name: str
    type_id: int
    component: int
    attribute: bool = False
    kind: Kind = Kind.DECL_TAG


class TypeTag(NamedTuple):
    """A word said about `target`, behind a pointer.

    `attribute` (the kind flag, since 6.14) says that `name` is a GNU attribute, not
    a btf_type_tag.
    """

    id: int
    name: str
    target: int
    attribute: bool = False
    kind: Kind = Kind.TYPE_TAG


Type: TypeAlias = (
    Void
    | Int
    | Ptr
    | Array
    | Struct
    | Union
    | Enum
    | Enum64
    | Fwd
    | Typedef
    | Volatile
    | Const
    | Restrict
    | Func
    | FuncProto
    | Var
    | DataSec
    | Float
    | DeclTag
    | TypeTag
)

#: What only renames or qualifies another type.
MODIFIERS = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})

#: What has members.
COMPOSITES = frozenset({Kind.STRUCT, Kind.UNION})

#: What has enumerators.
ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})
