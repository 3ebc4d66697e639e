"""When types of an object and of a kernel count as the same: CO-RE's three relations.

*Compatible* types (`types_are_compatible`, `fields_are_compatible`) agree in kind,
whatever their sizes; *matching* types (`types_match`) agree member by member. The rules
are those that libbpf applies (tools/lib/bpf/relo_core.c), so that a relocation has the
same answer here and there. A name's suffix from its last "___" on is a flavour and does
not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from osmia.btf.reader import BTF
from osmia.btf.types import (
    COMPOSITES,
    ENUMS,
    Array,
    Enum,
    Enum64,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Ptr,
    Struct,
    Type,
    Union,
)
from osmia.errors import ObjectFormatError

#: How deep types are compared; deeper ones are an error (as in libbpf).
MAX_DEPTH = 32


def essential_name(name: str) -> str:
    """`name` without its flavour: "task_struct___old" is "task_struct"."""
    # The separator is exactly three underscores between other characters; the last one counts.
    end = name.rfind("___")
    while end > 0:
        behind = name[end + 3 : end + 4]
        if behind and behind != "_" and name[end - 1] != "_":
            return name[:end]
        end = name.rfind("___", 0, end + 2)
    return name


def kinds_are_compatible(first: Kind, second: Kind) -> bool:
    """Equal kinds; enumerations of 32 and 64 bits count as one."""
    return first == second or (first in ENUMS and second in ENUMS)


def types_are_compatible(local: BTF, local_id: int, target: BTF, target_id: int) -> bool:
    """Whether a type exists under its name as the same kind of thing (TYPE_EXISTS, ksyms)."""
    if not kinds_are_compatible(local.kind_of(local_id), target.kind_of(target_id)):
        return False
    return _Compatibility(local, target).check(local_id, target_id, MAX_DEPTH)


class _Compatibility:
    """One comparison; remembers pairs, since parameters can share types at every level."""

    def __init__(self, local: BTF, target: BTF) -> None:
        self.local = local
        self.target = target
        self.known: dict[tuple[int, int], bool] = {}

    def check(self, local_id: int, target_id: int, depth: int) -> bool:
        key = (local_id, target_id)
        if key not in self.known:
            self.known[key] = self._check(local_id, target_id, depth)
        return self.known[key]

    def _check(self, local_id: int, target_id: int, depth: int) -> bool:
        for left in range(depth, 0, -1):
            mine = self.local.type(self.local.resolve(local_id))
            other = self.target.type(self.target.resolve(target_id))
            if not kinds_are_compatible(mine.kind, other.kind):
                return False
            match mine, other:
                case Int(), Int():
                    return mine.offset == 0 and other.offset == 0
                case Ptr(), Ptr():
                    local_id, target_id = mine.target, other.target
                case Array(), Array():
                    local_id, target_id = mine.element, other.element
                case FuncProto(), FuncProto():
                    if len(mine.parameters) != len(other.parameters):
                        return False
                    for here, there in zip(mine.parameters, other.parameters, strict=True):
                        if not self.check(here.type_id, there.type_id, left - 1):
                            return False
                    local_id, target_id = mine.return_type, other.return_type
                case _:
                    return mine.kind in _NAMED_ONLY or mine.kind in ENUMS
        raise _too_deep(self.local, local_id)


_NAMED_ONLY = (Kind.VOID, Kind.STRUCT, Kind.UNION, Kind.FWD)


def fields_are_compatible(local: BTF, local_id: int, target: BTF, target_id: int) -> bool:
    """Whether a field of one type can be read where the object expects one of the other."""
    for _ in range(MAX_DEPTH):
        mine, other = local.type(local.resolve(local_id)), target.type(target.resolve(target_id))
        if mine.kind in COMPOSITES and other.kind in COMPOSITES:
            return True
        if not kinds_are_compatible(mine.kind, other.kind):
            return False
        match mine, other:
            case Array(), Array():
                local_id, target_id = mine.element, other.element
            case Int(), Int():
                return mine.offset == 0 and other.offset == 0
            case _:
                if mine.kind in (Kind.PTR, Kind.FLOAT):
                    return True
                return mine.kind in (Kind.FWD, *ENUMS) and _may_be_same(mine.name, other.name)
    raise _too_deep(local, local_id)


def _may_be_same(mine: str, other: str) -> bool:
    return not mine or not other or essential_name(mine) == essential_name(other)


def types_match(local: BTF, local_id: int, target: BTF, target_id: int) -> bool:
    """Whether everything the object's type says holds for the kernel's (TYPE_MATCHES)."""
    return _Matcher(local, target).match(local_id, target_id, behind_pointer=False, depth=MAX_DEPTH)


class _Matcher:
    """One comparison; remembers pairs that matched, so that shared types cost once."""

    def __init__(self, local: BTF, target: BTF) -> None:
        self.local = local
        self.target = target
        self.known: dict[tuple[int, int, bool], bool] = {}

    def match(self, local_id: int, target_id: int, *, behind_pointer: bool, depth: int) -> bool:
        key = (local_id, target_id, behind_pointer)
        if key not in self.known:
            self.known[key] = self._match(local_id, target_id, behind_pointer, depth)
        return self.known[key]

    def _match(self, local_id: int, target_id: int, behind_pointer: bool, depth: int) -> bool:
        if depth <= 0:
            raise _too_deep(self.local, local_id)
        mine = self.local.type(self.local.resolve(local_id))
        other = self.target.type(self.target.resolve(target_id))
        if essential_name(mine.name) != essential_name(other.name):
            return False
        match mine, other:
            case ((Enum() | Enum64()), (Enum() | Enum64())):
                return _enums_match(mine, other)
            case Int(), Int():
                return mine.size == other.size and mine.signed == other.signed
            case ((Struct() | Union() | Fwd()), _) if behind_pointer or mine.kind == Kind.FWD:
                return _named_match(mine, other, behind_pointer)
            case ((Struct() | Union()), (Struct() | Union())):
                return mine.kind == other.kind and self._composites(mine, other, depth)
            case Ptr(), Ptr():
                return self.match(mine.target, other.target, behind_pointer=True, depth=depth - 1)
            case Array(), Array():
                return mine.count == other.count and self.match(
                    mine.element, other.element, behind_pointer=behind_pointer, depth=depth - 1
                )
            case FuncProto(), FuncProto():
                return self._prototypes(mine, other, behind_pointer, depth)
        return mine.kind == Kind.VOID and other.kind == Kind.VOID

    def _composites(self, mine: Struct | Union, other: Struct | Union, depth: int) -> bool:
        if len(mine.members) > len(other.members):
            return False
        by_name: dict[str, list[int]] = {}
        for member in other.members:
            by_name.setdefault(essential_name(member.name), []).append(member.type_id)
        return all(
            any(
                self.match(member.type_id, candidate, behind_pointer=False, depth=depth - 1)
                for candidate in by_name.get(essential_name(member.name), ())
            )
            for member in mine.members
        )

    def _prototypes(
        self, mine: FuncProto, other: FuncProto, behind_pointer: bool, depth: int
    ) -> bool:
        pairs = [(mine.return_type, other.return_type)]
        if len(mine.parameters) != len(other.parameters):
            return False
        for here, there in zip(mine.parameters, other.parameters, strict=True):
            pairs.append((here.type_id, there.type_id))
        return all(
            self.match(here, there, behind_pointer=behind_pointer, depth=depth - 1)
            for here, there in pairs
        )


def _enums_match(mine: Enum | Enum64, other: Enum | Enum64) -> bool:
    if mine.size != other.size or len(mine.values) > len(other.values):
        return False
    names = {essential_name(value.name) for value in other.values}
    return all(essential_name(value.name) in names for value in mine.values)


def _named_match(mine: Struct | Union | Fwd, other: Type, behind_pointer: bool) -> bool:
    """Behind a pointer a declaration is as good as a definition, of the same kind."""
    if not behind_pointer:
        return isinstance(mine, Fwd) and isinstance(other, Fwd) and mine.is_union == other.is_union
    return _is_union(mine) is not None and _is_union(mine) == _is_union(other)


def _is_union(kind: Type) -> bool | None:
    match kind:
        case Fwd():
            return kind.is_union
        case Struct() | Union():
            return kind.kind == Kind.UNION
    return None


def _too_deep(btf: BTF, type_id: int) -> ObjectFormatError:
    return ObjectFormatError(f"type {type_id} is nested too deeply", file=btf.name)


class Candidates:
    """Types of a kernel and its modules by essential name; the modules' are read when a name is
    not among the kernel's."""

    def __init__(self, kernel: BTF, modules: Callable[[], Mapping[str, BTF]]) -> None:
        self.kernel = kernel
        self.modules = modules

    def find(self, name: str, kind: Kind) -> list[tuple[BTF, int]]:
        """All types of this essential name and kind: the kernel's, else the modules'."""
        wanted = essential_name(name)
        kinds = tuple(ENUMS) if kind in ENUMS else (kind,)
        found = self._find_in(self.kernel, wanted, kinds)
        if found:
            return found
        modules = self.modules().values()
        return [entry for btf in modules for entry in self._find_in(btf, wanted, kinds)]

    def _find_in(self, btf: BTF, name: str, kinds: tuple[Kind, ...]) -> list[tuple[BTF, int]]:
        known = _FOUND.setdefault(btf, {})
        found = known.get((name, kinds))
        if found is None:
            first = btf.first_id if btf is not self.kernel else 1
            names = [name, *_flavours(btf).get(name, ())]
            ids = {i for spelled in names for i in btf.find_all(spelled, *kinds) if i >= first}
            if len(known) >= _MOST_NAMES:
                known.clear()
            found = known[(name, kinds)] = tuple(sorted(ids))
        return [(btf, type_id) for type_id in found]


#: The kernel's own BTF is asked by every load: what was found in it stays known.
_FLAVOURED: WeakKeyDictionary[BTF, dict[str, list[str]]] = WeakKeyDictionary()
_FOUND: WeakKeyDictionary[BTF, dict[tuple[str, tuple[Kind, ...]], tuple[int, ...]]] = (
    WeakKeyDictionary()
)
_MOST_NAMES = 4096


def _flavours(btf: BTF) -> dict[str, list[str]]:
    """The flavoured names among the strings of `btf`, by essential name."""
    found = _FLAVOURED.get(btf)
    if found is None:
        found = _FLAVOURED[btf] = {}
        for text in btf.flavoured_strings():
            essential = essential_name(text)
            if essential != text:
                found.setdefault(essential, []).append(text)
    return found
