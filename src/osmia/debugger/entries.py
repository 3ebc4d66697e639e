"""A map's entry changed where it is: the program may hold a pointer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.debugger.values import encoded

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents


def store_entry(held: Any, session: Contents, key: Any, value: Any) -> None:
    """Give an entry of a map another value; text is what a person writes. An update would put a
    new element in the place of the old one, as the kernel does, and pointers to that were void.
    CodecError, KeyError, and what the map raises for an entry that it does not have yet."""
    codec = getattr(held, "value_codec", None)
    body = getattr(held.raw, "body", None)
    if codec is None or body is None or not body.step or body.cpus or codec.size > body.value_size:
        held[key] = value
        return
    data = encoded(codec, value)
    where = entry_address(held, key)
    if where is None:
        held[key] = codec.decode(data)
    else:
        session.write(where, data)


def entry_address(held: Any, key: Any) -> int | None:
    """Where the value of an entry of a map is that holds bytes; None where it has no such entry.
    CodecError for what is no key."""
    found: int | None = held.raw.address_of(held.key_codec.encode(key))
    return found
