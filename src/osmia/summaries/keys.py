"""What numbers in maps are of: a map's key as names and values, its members one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from osmia.arguments import names_wrong_arguments
from osmia.object import MapType
from osmia.summaries.names import name_of
from osmia.values import Codec, Struct, StructCodec
from osmia.values.meant import MeantCodec, meant_codec

if TYPE_CHECKING:
    from osmia.engine.maps import Map

#: Names and values, the members of a struct by name, nested ones dotted; () where there is no key.
Key: TypeAlias = tuple[tuple[str, Any], ...]


class MapKeys:
    """How the keys of a map are told: by member, an address as one, a trie's network as one.

    `codec` is the keys' type with what its members mean (None: what their names and types say,
    see `osmia.values.meant`). `codecs` are the types of a key's values, by name.
    """

    def __init__(self, source: Map, codec: Codec | None = None) -> None:
        self.codec = codec or _meant_key(source)
        self.codecs: dict[str, Codec] = {}
        if self.codec is not None:
            self.codecs = dict(_leaves(self.codec, ""))

    def key(self, key: Any, *, without: str = "") -> Key:
        """A key by names and values; `without` leaves a member out."""
        if isinstance(key, Struct) and isinstance(self.codec, StructCodec):
            return _members(self.codec, key, without, "")
        return (("key", _hashable(key)),)


def value_text(value: Any, codec: Codec | None = None, name: str = "") -> str:
    """A value as people read it: by its name where the number has one ("SIGKILL", "eth0"), in the
    notation of what it means ("10.0.0.1")."""
    if isinstance(codec, MeantCodec):
        return codec.initialiser(value)
    named = name_of(name, codec, value) if codec is not None else None
    if named is not None:
        return named
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_text, value))}]"
    return str(value)


@names_wrong_arguments
def key_text(key: tuple[tuple[str, Any], ...], codecs: Mapping[str, Codec] | None = None) -> str:
    """ "disk = sda, sig = SIGKILL": whose histogram it is, as BCC heads its sections. With the
    types (`MapKeys.codecs`) numbers have names, and addresses look like some."""
    known = codecs or {}
    return ", ".join(f"{name} = {value_text(value, known.get(name), name)}" for name, value in key)


def _meant_key(source: Map) -> Codec | None:
    from osmia.values.meaning import trie_key_meaning

    codec = source.key_codec
    if codec is not None and source.type == MapType.LPM_TRIE:
        kind = trie_key_meaning(codec, source.key_size)
        if kind is not None:
            return MeantCodec(codec, kind)
    return None if codec is None else meant_codec(codec)


def _leaves(codec: Codec, name: str) -> list[tuple[str, Codec]]:
    """The types in a key, by dotted name."""
    if not isinstance(codec, StructCodec):
        return [(name or "key", codec)]
    prefix = f"{name}." if name else ""
    return [leaf for each in codec.fields for leaf in _leaves(each.codec, prefix + each.name)]


def _members(codec: StructCodec, key: Struct, without: str, prefix: str) -> Key:
    found: list[tuple[str, Any]] = []
    for field in codec.fields:
        value, name = key[field.name], prefix + field.name
        if name == without:
            continue
        if isinstance(value, Struct) and isinstance(field.codec, StructCodec):
            found += _members(field.codec, value, without, f"{name}.")
        else:
            found.append((name, _hashable(value)))
    return tuple(found)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
