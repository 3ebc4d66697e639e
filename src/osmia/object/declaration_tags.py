"""Declaration tags that mean something when an object is opened, and how to add one.

`__attribute__((btf_decl_tag("tail:calls/3")))` on a program puts it into slot 3 of the prog
array `calls` (macro `__tail` of bpf_helpers.h), as iproute2's sections `ID/KEY` do. Here the
list is open: whoever writes a library may register a tag and what it does. A tag whose word
nobody registered is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from osmia.btf import BTF, DeclTag, Func, Kind, Var
from osmia.errors import ObjectFormatError
from osmia.object.model import Object
from osmia.object.uapi import MapType
from osmia.records import dataclass, replace

_SLOT = re.compile(r"(?P<map>[^/]+)/(?P<key>0[xX][0-9a-fA-F]+|[0-9]+)")


@dataclass(frozen=True, slots=True)
class DeclarationTag:
    """What tags "WORD:…" on functions and variables do.

    `apply` is given the object as it was opened, the name of what is tagged and what follows
    the colon, and gives the object as it is to be. ObjectFormatError is for tags that cannot
    hold.
    """

    word: str
    meaning: str
    apply: Callable[[Object, str, str], Object]


def register(tag: DeclarationTag) -> None:
    """Make `tag` known to every object opened from now on.

    Raises ValueError if another of that word is there.
    """
    if _TAGS.setdefault(tag.word, tag) != tag:
        raise ValueError(f"declaration tag {tag.word!r} is registered already")


def further() -> int:
    """How many tags there are beside osmia's own."""
    return len(_TAGS) - _OWN


def apply_tags(obj: Object) -> Object:
    """`obj` as its declaration tags change it, in the order of their types."""
    btf = obj.btf
    if btf is None or not btf.ids_of_kind(Kind.DECL_TAG):
        return obj
    for type_id in btf.ids_of_kind(Kind.DECL_TAG):
        tag = btf.type(type_id)
        if not isinstance(tag, DeclTag) or tag.component != -1:
            continue
        word, colon, text = tag.name.partition(":")
        known = _TAGS.get(word) if colon else None
        if known is not None:
            obj = known.apply(obj, _declared(btf, tag, obj), text)
    return obj


def _declared(btf: BTF, tag: DeclTag, obj: Object) -> str:
    declared = btf.type(tag.type_id)
    if not isinstance(declared, Func | Var):
        raise ObjectFormatError(f"{tag.name!r} is no tag of a function or variable", file=obj.path)
    return declared.name


def _fill_slot(obj: Object, name: str, text: str) -> Object:
    """`tail:MAP/KEY`: the program is in that slot when the map is made."""
    place = _SLOT.fullmatch(text)
    array = obj.maps.get(place["map"]) if place is not None else None

    def error(why: str) -> ObjectFormatError:
        return ObjectFormatError(f"tag 'tail:{text}' of {name!r}: {why}", file=obj.path)

    if place is None:
        raise error("it has to be tail:MAP/KEY, with a number")
    if name not in obj.functions:
        return obj  # types of what was left out
    if name not in obj.programs:
        raise error("that is no program")
    if array is None or array.type is not MapType.PROG_ARRAY:
        raise error(f"there is no prog array {place['map']!r}")
    key = int(place["key"], 0) if place["key"][:2].lower() == "0x" else int(place["key"])
    if not key < array.max_entries:
        raise error(f"there are {array.max_entries} slots")
    slots = dict(array.slots)
    if slots.setdefault(key, name) != name:
        raise error(f"{slots[key]!r} is in that slot")
    return obj.copy(maps=obj.maps | {array.name: replace(array, slots=tuple(slots.items()))})


_TAGS = {
    tag.word: tag
    for tag in (DeclarationTag("tail", "the slot of a prog array: MAP/KEY", _fill_slot),)
}
_OWN = len(_TAGS)
