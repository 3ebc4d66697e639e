"""Whether two declarations of a name agree, and how both look."""

from __future__ import annotations

from collections.abc import Iterable

from osmia.btf import BTF, Array, Ptr, Struct
from osmia.btf.agreement import declarations, disagreement, function_disagreement
from osmia.object.map_agreement import map_declaration, map_disagreement
from osmia.object.model import ExternKind, Map
from osmia.records import dataclass


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an object says of a name; `btf_id` is that of the VAR or FUNC, 0 where it has none.

    `what` is "function", "variable" or "map"; `kind` is an extern's, None is a definition.
    """

    where: str
    btf: BTF | None
    btf_id: int
    what: str
    type_id: int = 0
    map: Map | None = None
    kind: ExternKind | None = None
    arena: bool = False


def difference(first: Declaration, other: Declaration) -> str | None:
    """What tells two declarations apart, in words; None when they agree or say nothing."""
    if _looked_for(first) and _looked_for(other) and first.kind is not other.kind:
        assert first.kind is not None and other.kind is not None
        return f"a {first.kind.value} and a {other.kind.value} have one name"
    if first.what != other.what and "function" in (first.what, other.what):
        return f"a {first.what} and a {other.what} have one name"
    if first.arena != other.arena:
        return f"only in {first.where if first.arena else other.where} it is in the arena"
    if first.btf is None or other.btf is None:
        return None
    if first.what == "function":
        known = first.btf_id and other.btf_id
        if not known:
            return None
        return function_disagreement(first.btf, first.btf_id, other.btf, other.btf_id)
    if first.map is not None and other.map is not None:
        return map_disagreement(first.map, first.btf, other.map, other.btf)
    first_id, other_id = _type_id(first), _type_id(other)
    if not first_id or not other_id:
        return None
    found = disagreement(first.btf, first_id, other.btf, other_id)
    if found is None and (first.map or other.map):  # the other is no variable of `.maps`
        counts, others = _counts(first.btf, first_id), _counts(other.btf, other_id)
        differ = (f"{name}: {n} and {others.get(name)}" for name, n in counts.items()
                  if others.get(name) != n)  # fmt: skip
        return "; ".join(differ) or None
    return found


def _counts(btf: BTF, type_id: int) -> dict[str, int]:
    """What `__uint` says in a map's declaration: lengths of arrays behind pointers."""
    found = btf.type(btf.resolve(type_id))
    counts = {}
    for member in found.members if isinstance(found, Struct) else ():
        pointer = btf.type(member.type_id)
        array = btf.type(pointer.target) if isinstance(pointer, Ptr) else None
        if isinstance(array, Array):
            counts[member.name] = array.count
    return counts


def shown(sides: Iterable[Declaration]) -> str:
    """Lines with what each side says, as C, behind a message."""
    told: list[str] = []
    known = []
    for each in sides:
        if each.map is not None:
            storage = "extern " if each.kind is not None else ""
            text = map_declaration(each.map, each.btf)
            told.append(f'{each.where}: {storage}{text} SEC(".maps");')
        elif each.btf is not None and each.btf_id:
            known.append((each.where, each.btf, each.btf_id))
        else:
            told.append(f"{each.where}: a {each.what} without type information")
    # What is hidden is static for the kernel, and so in BTF; static ones nobody compares.
    texts = [text.replace(": static ", ": __hidden ", 1) for text in declarations(known)]
    lines = [line for text in [*texts, *told] for line in text.splitlines()]
    return "".join(f"\n    {line}" for line in lines)


def _looked_for(declaration: Declaration) -> bool:
    return declaration.kind not in (None, ExternKind.OBJECT)


def _type_id(declaration: Declaration) -> int:
    """The type of the variable; of the map, that of its declaration."""
    if declaration.type_id or declaration.btf is None or not declaration.btf_id:
        return declaration.type_id
    found = declaration.btf.type(declaration.btf_id)
    return int(getattr(found, "type_id", 0))
