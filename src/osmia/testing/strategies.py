"""What hypothesis tries: values of a program's types, packets, contexts.

from osmia.testing.strategies import packets, values

@given(values("struct flow", obj), packets())
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from osmia.btf import BTF, Kind, kernel_btf, types
from osmia.engine.loaded import LoadedObject
from osmia.errors import MissingPackageError, NotSupportedError
from osmia.object import Object
from osmia.object.uapi import ProgramType
from osmia.values.from_btf import codec

try:
    from hypothesis import strategies as st
except ImportError:
    raise MissingPackageError("hypothesis", extra="test") from None

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_KINDS = {"struct": (Kind.STRUCT,), "union": (Kind.UNION,), "enum": (Kind.ENUM, Kind.ENUM64)}
_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
_U32 = st.integers(0, 0xFFFF_FFFF)


def values(name: str, within: Object | LoadedObject | BTF | None = None) -> SearchStrategy[Any]:
    """Values of a C type, as maps and variables take and give them.

    `name` is "struct flow", "union …", "enum …", a typedef or "__u32"; it is searched in the
    types of `within`, by default the running kernel's. Enumerations have named values,
    arrays of char any bytes, pointers any address. Raises KeyError for a name of no type and
    ObjectFormatError for types without values.
    """
    btf = _types(within)
    kind, _, rest = name.partition(" ")
    kinds = _KINDS.get(kind, ()) if rest else ()
    type_id = btf.find(rest.strip() if kinds else name, *kinds)
    if not type_id:
        raise KeyError(f"no type {name!r} in the types of {btf.name or 'the object'}")
    return _encoded(btf, type_id).map(codec(btf, type_id).decode)


def _types(within: Object | LoadedObject | BTF | None) -> BTF:
    if within is None:
        return kernel_btf()
    if isinstance(within, LoadedObject):
        within = within.object
    btf = within.btf if isinstance(within, Object) else within
    if btf is None:
        raise KeyError(f"object {getattr(within, 'name', '')!r} has no types")
    return btf


def _encoded(btf: BTF, type_id: int) -> SearchStrategy[bytes]:
    """The bytes of a value. What has no structure that matters here is any bytes."""
    size = codec(btf, type_id).size
    match btf.type(btf.resolve(type_id)):
        case types.Int() as integer if integer.is_bool:
            return st.booleans().map(lambda value: _bytes(btf, int(value), size))
        case types.Int() | types.Ptr():
            return st.integers(0, (1 << 8 * size) - 1).map(lambda value: _bytes(btf, value, size))
        case types.Enum() | types.Enum64() as enum if enum.values:
            mask = (1 << 8 * size) - 1
            numbers = [each.value & mask for each in enum.values]
            return st.sampled_from(numbers).map(lambda value: _bytes(btf, value, size))
        case types.Array(count=count, element=element) if count and codec(btf, element).size > 1:
            elements = st.lists(_encoded(btf, element), min_size=count, max_size=count)
            return elements.map(b"".join)
        case types.Struct() as composite if not composite.bitfields:
            return _struct(btf, composite)
    return st.binary(max_size=size).map(lambda value: value.ljust(size, b"\0"))


def _struct(btf: BTF, composite: types.Struct) -> SearchStrategy[bytes]:
    members = [each for each in composite.members if codec(btf, each.type_id).size]

    def joined(parts: tuple[bytes, ...]) -> bytes:
        whole = bytearray(composite.size)
        for member, part in zip(members, parts, strict=True):
            at = member.bit_offset // 8
            whole[at : at + len(part)] = part
        return bytes(whole)

    return st.tuples(*(_encoded(btf, each.type_id) for each in members)).map(joined)


def _bytes(btf: BTF, value: int, size: int) -> bytes:
    return value.to_bytes(size, btf.byteorder)


@st.composite
def packets(
    draw: DrawFn,
    *,
    versions: Sequence[int] = (4, 6),
    protocols: Sequence[str] = ("tcp", "udp", "icmp"),
    vlan: bool | None = None,
    data: int = 64,
    cut: bool = False,
) -> bytes:
    """Ethernet frames with IP of these `versions` and these `protocols`, whose lengths and
    IPv4 checksums are right; checksums of TCP, UDP and ICMP are 0.

    `vlan` says whether they have a tag (None: some have), `data` how many bytes follow the
    headers at most. With `cut` frames may end anywhere behind the Ethernet header.
    """
    version = draw(st.sampled_from(versions))
    protocol = draw(st.sampled_from(protocols))
    rest = _transport(draw, protocol) + draw(st.binary(max_size=data))
    if protocol == "udp":
        rest = rest[:4] + struct.pack("!H", len(rest)) + rest[6:]
    ip = _ipv4(draw, protocol, rest) if version == 4 else _ipv6(draw, protocol, rest)
    kind = b"\x08\0" if version == 4 else b"\x86\xdd"
    if vlan or (vlan is None and draw(st.booleans())):
        kind = b"\x81\0" + draw(st.integers(1, 4094)).to_bytes(2, "big") + kind
    addresses = draw(st.binary(min_size=12, max_size=12))
    frame = addresses + kind + ip
    return frame[: draw(st.integers(14, len(frame)))] if cut else frame


def _transport(draw: DrawFn, protocol: str) -> bytes:
    if protocol == "icmp":
        return struct.pack("!BBHI", draw(st.sampled_from((0, 3, 8, 11))), 0, 0, 0)
    ports = st.sampled_from((22, 53, 80, 443)) | st.integers(0, 0xFFFF)
    source, to = draw(ports), draw(ports)
    if protocol == "udp":
        return struct.pack("!HHHH", source, to, 0, 0)
    flags = draw(st.sampled_from((0x02, 0x12, 0x10, 0x18, 0x11, 0x04)) | st.integers(0, 255))
    return struct.pack("!HHIIBBHHH", source, to, draw(_U32), draw(_U32), 0x50, flags, 1024, 0, 0)


def _ipv4(draw: DrawFn, protocol: str, rest: bytes) -> bytes:
    ends = draw(_U32).to_bytes(4, "big") + draw(_U32).to_bytes(4, "big")
    ttl, length = draw(st.integers(1, 255)), 20 + len(rest)
    front = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0, ttl, _NUMBERS[protocol])
    total = sum(struct.unpack("!9H", front + ends))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return front + struct.pack("!H", total ^ 0xFFFF) + ends + rest


def _ipv6(draw: DrawFn, protocol: str, rest: bytes) -> bytes:
    number = _NUMBERS["icmpv6" if protocol == "icmp" else protocol]
    ends = b"".join(
        socket.inet_pton(socket.AF_INET6, "2001:db8::")[:8]
        + draw(st.binary(min_size=8, max_size=8))
        for _ in range(2)
    )
    return struct.pack("!IHBB", 6 << 28, len(rest), number, draw(st.integers(1, 255))) + ends + rest


def contexts(program_type: ProgramType) -> SearchStrategy[Any]:
    """What `run(…, ctx)` takes for programs of that type, on both engines: fields of __sk_buff,
    a raw tracepoint's arguments. NotSupportedError for types whose context nobody may choose.
    """
    if program_type is ProgramType.RAW_TRACEPOINT:
        return st.lists(st.integers(0, (1 << 64) - 1), max_size=12)
    if program_type in (ProgramType.SCHED_CLS, ProgramType.SCHED_ACT):
        cb = st.lists(_U32, min_size=5, max_size=5)
        return st.fixed_dictionaries({}, optional={"mark": _U32, "priority": _U32, "cb": cb})
    raise NotSupportedError(
        f"contexts of {program_type.name} programs: runs take none but their own"
    )
