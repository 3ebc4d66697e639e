"""What numbers in maps are of: a map's key as names and values, its members one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from osmia.summaries.names import name_of
from osmia.values import Codec, Struct, StructCodec

#: Names and values, the members of a struct by name, nested ones dotted; () where there is no key.
Key: TypeAlias = tuple[tuple[str, Any], ...]


def key_labels(codec: Codec | None, key: Any, *, without: str = "", name: str = "key") -> Key:
    """A map's key so; `without` leaves a member out. A key that is no struct is called `name`."""
    if isinstance(key, Struct) and isinstance(codec, StructCodec):
        return _members(codec, key, without, "")
    return ((name, _hashable(key)),)


def label_codecs(codec: Codec | None, *, name: str = "key") -> dict[str, Codec]:
    """The types of `key_labels`' values, by name."""
    if codec is None:
        return {}
    if not isinstance(codec, StructCodec):
        return {name: codec}
    found: dict[str, Codec] = {}
    for field in codec.fields:
        if isinstance(field.codec, StructCodec):
            inner = label_codecs(field.codec)
            found |= {f"{field.name}.{each}": inner[each] for each in inner}
        else:
            found[field.name] = field.codec
    return found


def value_text(value: Any, codec: Codec | None = None, name: str = "") -> str:
    """A value as people read it, by its name where the number has one: "SIGKILL", "eth0"."""
    named = name_of(name, codec, value) if codec is not None else None
    if named is not None:
        return named
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_text, value))}]"
    return str(value)


def key_text(key: Key, codecs: Mapping[str, Codec] | None = None) -> str:
    """ "disk = sda, sig = SIGKILL": whose histogram it is, as BCC heads its sections. Numbers have
    names where `codecs` (see `label_codecs`) are given."""
    codec_of: Callable[[str], Codec | None] = (codecs or {}).get
    return ", ".join(f"{name} = {value_text(value, codec_of(name), name)}" for name, value in key)


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
