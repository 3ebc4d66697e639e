"""The digest of an Object: SHA-256 over what it says, the same in every process.

Two objects that say the same have one digest, whatever files they come from and in whatever
order they name their parts. Every edit makes another one. What was said when (remarks), where
the file was, how the object is called and what it was linked from do not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from osmia.btf import BTF
from osmia.object.model import Object
from osmia.object.unrelocated import unrelocated_code
from osmia.records import replace

#: Fields of Object that are no part of what it says.
_APART = frozenset({"name", "path", "pin_digest", "remarks", "parts"})


def object_digest(obj: Object) -> str:
    """64 hexadecimal digits."""
    sha = hashlib.sha256(b"osmia object 1")
    functions = {
        key: replace(each, code=unrelocated_code(each, obj.byteorder))
        for key, each in obj.functions.items()
    }
    for each in fields(obj):
        if each.name not in _APART:
            value = functions if each.name == "functions" else getattr(obj, each.name)
            _feed(sha.update, each.name)
            _feed(sha.update, value)
    return sha.hexdigest()


def _feed(update: Callable[[bytes], object], value: Any) -> None:
    """Hash a value so that no other one gives the same bytes: kind, length, contents."""
    match value:
        case None | bool():
            update(f"{value};".encode())
        case Enum() if not isinstance(value, int):
            _feed(update, value.value)
        case int():
            update(f"i{int(value)};".encode())
        case str():
            _bytes(update, b"s", value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray() | memoryview():
            _bytes(update, b"b", value)
        case BTF():
            _feed(update, value.base)
            _bytes(update, b"t", value.to_bytes())
        case Mapping():
            update(f"m{len(value)};".encode())
            for key in sorted(value):
                _feed(update, key)
                _feed(update, value[key])
        case tuple() | list():
            update(f"l{len(value)};".encode())
            for each in value:
                _feed(update, each)
        case _ if is_dataclass(value):
            parts = list(_parts(value))
            update(f"d{len(parts)};".encode())
            for name, part in parts:
                _feed(update, name)
                _feed(update, part)
        case _:
            raise TypeError(f"{type(value).__name__} is no part of an Object")


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    for each in fields(value):
        yield each.name, getattr(value, each.name)


def _bytes(
    update: Callable[[bytes], object], kind: bytes, value: bytes | bytearray | memoryview
) -> None:
    update(b"%s%d;" % (kind, len(value)))
    update(bytes(value))
