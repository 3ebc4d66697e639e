"""What a member is by its type's name: an address, a port, text."""

from __future__ import annotations

from typing import Literal, TypeAlias

from osmia.values.base import Codec

Kind: TypeAlias = Literal["ipv4", "ipv6", "port", "mac", "text"]

_BY_TYPE: dict[str, Kind] = {
    "__be32": "ipv4",
    "struct in_addr": "ipv4",
    "struct in6_addr": "ipv6",
    "__be16": "port",
}


def meaning(codec: Codec, name: str) -> Kind | None:
    """What values of a type mean under a name; None: what C says."""
    return _BY_TYPE.get(codec.type_name)
