"""BTF deduplication: equal types of several compilation units become one.

Types are equal when they look equal from every side: kind, name, sizes, member names
and offsets, and the types they refer to, through all cycles (`partition`). A forward
declaration becomes the definition of its name when all definitions of that name are
one; then what refers to it is compared as if it had been the definition all along.

Variables and data sections stay apart: which of them are one is for symbols to say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from osmia.btf.builder import BTFBuilder
from osmia.btf.partition import equivalence_classes
from osmia.btf.reader import BTF
from osmia.btf.references import referenced_ids, with_references
from osmia.btf.types import (
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    Fwd,
    Kind,
    Struct,
    Type,
    Union,
    Var,
)
from osmia.errors import LinkError, ObjectFormatError

#: How often forward declarations are tried anew after some turned out ambiguous.
_MAX_TRIALS = 4

#: A tag as C sees it: the keyword and the name.
_Tag = tuple[str, str]


class Deduplicated(NamedTuple):
    """The types that are left, to be built or added to, and the new id of each old one."""

    builder: BTFBuilder
    ids: list[int]


class Merged(NamedTuple):
    """All types of several BTFs, each once; for each input, the new id of each old one."""

    btf: BTF
    ids: list[Sequence[int]]


def merge(inputs: Sequence[BTF], left_out: Sequence[Collection[int]] = ()) -> Merged:
    """The types of all `inputs`, each once.

    Not among them, with 0 for their new ids: data sections, which a linker makes anew,
    and of each input the VARs and FUNCs that `left_out` has, with the tags on them.
    Variables stay apart even when they are equal.

    Raises LinkError for inputs of different byte orders, ObjectFormatError for types that
    refer to types that do not exist, and for those that no sound BTF holds.
    """
    builder = BTFBuilder(byteorder=inputs[0].byteorder if inputs else "little")
    placed = []
    for number, btf in enumerate(inputs):
        if btf.byteorder != inputs[0].byteorder:
            orders = f"{inputs[0].name} is {inputs[0].byteorder}, {btf.name} {btf.byteorder}-endian"
            raise LinkError(f"objects of different byte orders: {orders}")
        _check_references(btf, [referenced_ids(btf.type(i)) for i in range(len(btf))])
        absent = _absent(btf, left_out[number] if left_out else ())
        ids = [0] * len(btf)
        for new_id, old_id in enumerate((i for i in btf if i not in absent), len(builder)):
            ids[old_id] = new_id
        for old_id in btf:
            if old_id not in absent:
                builder.add(btf.type(old_id), ids.__getitem__)
        placed.append(ids)
    merged, new_ids = deduplicate(builder.build())
    return Merged(merged.build(), [[new_ids[i] for i in ids] for ids in placed])


def _absent(btf: BTF, left_out: Collection[int]) -> set[int]:
    absent = {*btf.ids_of_kind(Kind.DATASEC), *left_out}
    for type_id in btf.ids_of_kind(Kind.DECL_TAG):
        tag = btf.type(type_id)
        if isinstance(tag, DeclTag) and tag.type_id in absent:
            absent.add(type_id)
    return absent


def deduplicate(btf: BTF) -> Deduplicated:
    """Make equal types of `btf` one.

    What is left keeps its order. With a base, types of `btf` that the base has already
    become the base's, and the base stays as it is. Strings that no type uses are
    dropped.

    Raises ObjectFormatError for types that refer to types that do not exist, and for
    those that no sound BTF holds.
    """
    canonical = _canonical_ids(btf)
    ids = list(range(btf.first_id)) + [0] * (len(btf) - btf.first_id)
    kept = [i for i in range(btf.first_id, len(btf)) if canonical[i] == i]
    for new_id, old_id in enumerate(kept, btf.first_id):
        ids[old_id] = new_id
    for old_id in range(btf.first_id, len(btf)):
        ids[old_id] = ids[canonical[old_id]]
    builder = BTFBuilder(btf.base, btf.byteorder)
    for old_id in kept:
        try:
            builder.add(btf.type(old_id), ids.__getitem__)
        except ValueError as error:  # what only a hostile writer puts into BTF
            raise ObjectFormatError(f"type {old_id}: {error}", file=btf.name) from None
    return Deduplicated(builder, ids)


def _canonical_ids(btf: BTF) -> list[int]:
    """For each type, the lowest id among those equal to it."""
    types = [btf.type(type_id) for type_id in range(len(btf))]
    labels = [_label(found) for found in types]
    children = [referenced_ids(found) for found in types]
    _check_references(btf, children)
    definitions = _definitions(types)
    declarations = _declarations(btf, types)
    forwards = _resolvable(set(declarations.values()), labels, definitions)
    for trial in range(_MAX_TRIALS + 1):
        standing_for = {i: forwards[tag] for i, tag in declarations.items() if tag in forwards}
        resolved = [[standing_for.get(child, child) for child in own] for own in children]
        class_of = equivalence_classes(labels, resolved)
        ambiguous = [tag for tag in forwards if len({class_of[i] for i in definitions[tag]}) > 1]
        if not ambiguous:
            break
        # Other names may hang on these; in the end, none that does is resolved.
        forwards = {} if trial == _MAX_TRIALS - 1 else _without(forwards, ambiguous)
    lowest: dict[int, int] = {}
    for type_id, number in enumerate(class_of):
        lowest.setdefault(number, type_id)
    return [lowest[class_of[standing_for.get(i, i)]] for i in range(len(types))]


def _check_references(btf: BTF, children: list[list[int]]) -> None:
    for type_id, own in enumerate(children):
        for child in own:
            if child >= len(children):
                problem = f"type {type_id} refers to type {child}, which does not exist"
                raise ObjectFormatError(problem, file=btf.name)


def _without(forwards: dict[_Tag, int], tags: list[_Tag]) -> dict[_Tag, int]:
    dropped = set(tags)
    return {tag: target for tag, target in forwards.items() if tag not in dropped}


def _definitions(types: list[Type]) -> dict[_Tag, list[int]]:
    found: dict[_Tag, list[int]] = {}
    for type_id, entry in enumerate(types):
        if entry.name and _is_definition(entry):
            found.setdefault(_tag(entry), []).append(type_id)
    return found


def _is_definition(found: Type) -> bool:
    match found:
        case Struct() | Union():
            return True
        case Enum() | Enum64():
            return bool(found.values)
    return False


def _is_forward(found: Type) -> bool:
    match found:
        case Fwd():
            return True
        case Enum() | Enum64():
            return not found.values
    return False


def _tag(found: Type) -> _Tag:
    match found:
        case Struct() | Fwd(is_union=False):
            return "struct", found.name
        case Union() | Fwd():
            return "union", found.name
    return "enum", found.name


def _declarations(btf: BTF, types: list[Type]) -> dict[int, _Tag]:
    """Forward declarations and their tags, without those of the base, which stay as they are."""
    return {
        type_id: _tag(types[type_id])
        for type_id in range(btf.first_id, len(types))
        if types[type_id].name and _is_forward(types[type_id])
    }


def _resolvable(
    declared: set[_Tag], labels: list[Type], definitions: dict[_Tag, list[int]]
) -> dict[_Tag, int]:
    """Of the declared tags, those whose definitions may all be one; with the first of these."""
    return {
        tag: candidates[0]
        for tag in declared
        if (candidates := definitions.get(tag, []))
        and all(labels[other] == labels[candidates[0]] for other in candidates)
    }


def _label(found: Type) -> Type:
    """All that a type says by itself; types of one label have equally many references."""
    if isinstance(found, Var | DataSec):
        return found  # with its id, so that it equals nothing else
    return with_references(found, _void)._replace(id=0)


def _void(_type_id: int) -> int:
    return 0
