"""Longest-prefix-match tries, whose keys may be written as networks."""

from __future__ import annotations

import errno
import ipaddress
import struct
from collections.abc import Callable, Iterator
from typing import Any

from osmia.arguments import names_wrong_arguments
from osmia.engine.maps.errors import Operation
from osmia.engine.maps.keyed import KeyedMap
from osmia.errors import CodecError, KernelError, OsmiaError
from osmia.object.uapi import MapType
from osmia.values import Codec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ADDRESSES = (
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    str,
)
_PREFIX = struct.Struct("=I")


class LpmTrie(KeyedMap, types=(MapType.LPM_TRIE,)):
    """BPF_MAP_TYPE_LPM_TRIE: a lookup finds the longest stored prefix of the key.

    Keys are what their type says (a u32 prefix length in bits, then the data), or, where
    the data has the size of an address, networks and addresses of `ipaddress` or their
    text: `trie["10.0.0.0/8"] = 1`, `trie["10.1.2.3"]`. `del` and NOEXIST go by the exact
    prefix.
    """

    def networks(self) -> Iterator[tuple[Network, Any]]:
        """All entries as (network, value); CodecError where keys hold no IP addresses."""
        self._network_type()
        for packed, values in self.raw.read():
            keys = bytes(packed)
            starts = range(0, len(keys), self.key_size)
            networks = (self.network_of(keys[at : at + self.key_size]) for at in starts)
            yield from zip(networks, self.decode_values(bytes(values)), strict=True)

    @names_wrong_arguments
    def network_of(self, key: bytes) -> Network:
        """The network of an undecoded key."""
        self._check_size(key)
        (prefix,) = _PREFIX.unpack_from(key)
        return self._network_type()((key[_PREFIX.size :], prefix), strict=False)

    def _network_type(self) -> type[ipaddress.IPv4Network] | type[ipaddress.IPv6Network]:
        match self.key_size - _PREFIX.size:
            case 4:
                return ipaddress.IPv4Network
            case 16:
                return ipaddress.IPv6Network
        raise CodecError(f"map {self.name!r}, key: {self.key_size} bytes hold no IP network")

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        encode = super()._encoder(codec, role)
        if role != "key":
            return encode
        return lambda key: self._packed(key) if isinstance(key, _ADDRESSES) else encode(key)

    def _error(self, operation: Operation, error: int, key: Any = None) -> OsmiaError:
        refused = super()._error(operation, error, key)
        if error == errno.EINVAL and isinstance(refused, KernelError) and key is not None:
            (bits,) = _PREFIX.unpack_from(self.encode_key(key))
            most = 8 * (self.key_size - _PREFIX.size)
            if bits > most:
                refused.hint = f"a prefix of {bits:,} bits; the keys have {most}"
        return refused

    def _packed(self, key: Any) -> bytes:
        try:
            network = ipaddress.ip_network(key, strict=False)
        except ValueError as error:
            raise CodecError(str(error)) from None
        if len(network.network_address.packed) != self.key_size - _PREFIX.size:
            raise CodecError(f"{network} does not fit a key of {self.key_size} bytes")
        return _PREFIX.pack(network.prefixlen) + network.network_address.packed
