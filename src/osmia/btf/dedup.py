"""BTF deduplication: equal types of several compilation units become one.

Types are equal when they look equal from every side: kind, name, sizes, member names
and offsets, and the types they refer to, through all cycles (`partition`). A forward
declaration becomes the definition of its name when all definitions of that name are
one; then what refers to it is compared as if it had been the definition all along.

Variables and data sections stay apart: which of them are one is for symbols to say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from osmia.arguments import names_wrong_arguments
from osmia.btf.builder import BTFBuilder
from osmia.btf.canonical import write
from osmia.btf.colours import Colours
from osmia.btf.forwards import classes_of
from osmia.btf.reader import BTF
from osmia.btf.references import referenced_ids, with_references
from osmia.btf.repainting import repaint
from osmia.btf.types import (
    DataSec,
    Enum,
    Enum64,
    Fwd,
    Struct,
    Type,
    Union,
    Var,
)
from osmia.errors import LinkError, ObjectFormatError
from osmia.named_tuples import NamedTuple

#: A tag as C sees it: the keyword and the name.
_Tag = tuple[str, str]


class Deduplicated(NamedTuple):
    """The types that are left, to be built or added to, and the new id of each old one."""

    builder: BTFBuilder
    ids: list[int]


class Merged(NamedTuple):
    """All types of several BTFs, each once; for each input, the new id of each old one."""

    btf: BTF
    ids: list[list[int]]


@names_wrong_arguments
def merge(inputs: Sequence[BTF], left_out: Sequence[Collection[int]] = ()) -> Merged:
    """The types of all `inputs`, each once.

    Not among them, with 0 for their new ids: data sections, which a linker makes anew,
    and of each input the VARs and FUNCs that `left_out` has, with the tags on them.
    Variables stay apart even when they are equal.

    Raises LinkError for inputs of different byte orders, ObjectFormatError for types that
    refer to types that do not exist, and for those that no sound BTF holds.
    """
    colours = Colours()
    for number, btf in enumerate(inputs):
        if btf.byteorder != inputs[0].byteorder:
            orders = f"{inputs[0].name} is {inputs[0].byteorder}, {btf.name} {btf.byteorder}-endian"
            raise LinkError(f"objects of different byte orders: {orders}")
        if btf.base is not None:
            raise LinkError(f"{btf.name}: types on top of others (split BTF) cannot be merged")
        colours.paint(btf, left_out[number] if left_out else ())
    byteorder = inputs[0].byteorder if inputs else "little"
    data, ids = write(repaint(colours), byteorder)
    new_ids = [list(map(ids.__getitem__, unit.colours)) for unit in colours.units]
    return Merged(BTF(data, unique_strings=True), new_ids)


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
        builder.add_from(btf, old_id, ids.__getitem__)
    return Deduplicated(builder, ids)


def _canonical_ids(btf: BTF) -> list[int]:
    """For each type, the lowest id among those equal to it."""
    types = [btf.type(type_id) for type_id in range(len(btf))]
    labels = [_label(found) for found in types]
    children = [referenced_ids(found) for found in types]
    _check_references(btf, children)
    classes = classes_of(labels, children, _definitions(types), _declarations(btf, types))
    lowest: dict[int, int] = {}
    for type_id, number in enumerate(classes.of):
        if type_id not in classes.resolved:
            lowest.setdefault(number, type_id)
    return [lowest[number] for number in classes.of]


def _check_references(btf: BTF, children: list[list[int]]) -> None:
    for type_id, own in enumerate(children):
        for child in own:
            if child >= len(children):
                problem = f"type {type_id} refers to type {child}, which does not exist"
                raise ObjectFormatError(problem, file=btf.name)


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


def _label(found: Type) -> Type:
    """All that a type says by itself; types of one label have equally many references."""
    if isinstance(found, Var | DataSec):
        return found  # with its id, so that it equals nothing else
    if found.name and isinstance(found, Enum | Enum64) and not found.values:
        return Enum(0, found.name, 0, False, ())  # declared only, whatever its size says
    return with_references(found, _void)._replace(id=0)


def _void(_type_id: int) -> int:
    return 0
