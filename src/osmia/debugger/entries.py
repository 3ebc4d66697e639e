"""A map's entry changed where it is: the program may hold a pointer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.debugger.values import encoded

if TYPE_CHECKING:
    from osmia.debugger.session import Session


def store_entry(session: Session, name: str, key: Any, value: Any) -> None:
    """Give an entry of a map another value; text is what a person writes. An update would put a
    new element in the place of the old one, as the kernel does, and pointers to that were void.
    CodecError, KeyError, and what the map raises for an entry that it does not have yet."""
    held = session.maps[name]
    codec = getattr(held, "value_codec", None)
    body = getattr(held.raw, "body", None)
    if codec is None or body is None or not body.step or body.cpus or codec.size > body.value_size:
        held[key] = value
        return
    data = encoded(codec, value)
    raw = held.key_codec.encode(key)
    where = next((address for known, address in body.entries() if known == raw), None)
    if where is None:
        held[key] = codec.decode(data)
    else:
        session.write(where, data)
