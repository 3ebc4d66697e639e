"""What hypothesis tries: values of a program's types, packets, contexts.

from osmia.testing.strategies import packets, values

@given(values("struct flow", obj), packets())
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from osmia.btf import BTF, Kind, kernel_btf, types
from osmia.engine.loaded import LoadedObject
from osmia.errors import MissingPackageError
from osmia.object import Object
from osmia.object.uapi import ProgramType
from osmia.values.from_btf import codec

try:
    from hypothesis import strategies as st
except ImportError:
    raise MissingPackageError("hypothesis", extra="test") from None

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from osmia.engine.program import Program as LoadedProgram
    from osmia.object.model import Program

_KINDS = {"struct": (Kind.STRUCT,), "union": (Kind.UNION,), "enum": (Kind.ENUM, Kind.ENUM64)}
_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
U32 = st.integers(0, 0xFFFF_FFFF)


def values(name: str, within: Object | LoadedObject | BTF | None = None) -> SearchStrategy[Any]:
    """Values of a C type, as maps and variables take and give them.

    `name` is "struct flow", "union …", "enum …", a typedef or "__u32"; it is searched in the
    types of `within`, by default the running kernel's. Enumerations have named values,
    arrays of char any bytes, pointers any address. Raises KeyError for a name of no type and
    ObjectFormatError for types without values.
    """
    btf = types_within(within)
    kind, _, rest = name.partition(" ")
    kinds = _KINDS.get(kind, ()) if rest else ()
    type_id = btf.find(rest.strip() if kinds else name, *kinds)
    if not type_id:
        raise KeyError(f"no type {name!r} in the types of {btf.name or 'the object'}")
    return encoded(btf, type_id).map(codec(btf, type_id).decode)


def types_within(within: Object | LoadedObject | BTF | None) -> BTF:
    """The types of an object, of plain BTF, or of the running kernel."""
    if within is None:
        return kernel_btf()
    if isinstance(within, LoadedObject):
        within = within.object
    btf = within.btf if isinstance(within, Object) else within
    if btf is None:
        raise KeyError(f"object {getattr(within, 'name', '')!r} has no types")
    return btf


def encoded(btf: BTF, type_id: int) -> SearchStrategy[bytes]:
    """The bytes of a value of a type. What has no structure that matters here is any bytes."""
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
            elements = st.lists(encoded(btf, element), min_size=count, max_size=count)
            return elements.map(b"".join)
        case types.Struct() as composite:
            return _struct(btf, composite)
        case types.Union() as composite if composite.members:
            return _union(btf, composite)
    return st.binary(max_size=size).map(lambda value: value.ljust(size, b"\0"))


def _struct(btf: BTF, composite: types.Struct) -> SearchStrategy[bytes]:
    members = [each for each in composite.members if codec(btf, each.type_id).size]

    def joined(parts: tuple[bytes, ...]) -> bytes:
        whole = bytearray(composite.size)
        for member, part in zip(members, parts, strict=True):
            _put(btf, whole, member, part)
        return bytes(whole)

    return st.tuples(*(_member(btf, each) for each in members)).map(joined)


def _union(btf: BTF, composite: types.Union) -> SearchStrategy[bytes]:
    """One of the members, behind it zeros."""

    def alone(member: types.Member, part: bytes) -> bytes:
        whole = bytearray(composite.size)
        _put(btf, whole, member, part)
        return bytes(whole)

    choices = [
        _member(btf, each).map(partial(alone, each))
        for each in composite.members
        if codec(btf, each.type_id).size
    ]
    return st.one_of(choices) if choices else st.just(bytes(composite.size))


def _member(btf: BTF, member: types.Member) -> SearchStrategy[bytes]:
    bits = member.bitfield_size
    if not bits:
        return encoded(btf, member.type_id)
    size = codec(btf, member.type_id).size
    return st.integers(0, (1 << bits) - 1).map(lambda value: _bytes(btf, value, size))


def _put(btf: BTF, whole: bytearray, member: types.Member, part: bytes) -> None:
    """Put a member into its struct; of a bitfield the bits alone."""
    bits = member.bitfield_size
    if not bits:
        at = member.bit_offset // 8
        whole[at : at + len(part)] = part
        return
    shift = member.bit_offset
    if btf.byteorder == "big":
        shift = 8 * len(whole) - shift - bits
    number = int.from_bytes(whole, btf.byteorder) | int.from_bytes(part, btf.byteorder) << shift
    whole[:] = number.to_bytes(len(whole), btf.byteorder)


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
    return struct.pack("!HHIIBBHHH", source, to, draw(U32), draw(U32), 0x50, flags, 1024, 0, 0)


def _ipv4(draw: DrawFn, protocol: str, rest: bytes) -> bytes:
    ends = draw(U32).to_bytes(4, "big") + draw(U32).to_bytes(4, "big")
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


def contexts(
    what: ProgramType | Program | LoadedProgram,
    within: Object | LoadedObject | BTF | None = None,
) -> SearchStrategy[Any]:
    """What `run(…, ctx)` takes for programs of a type, or for one: the fields of xdp_md and
    __sk_buff that a run lets be set, a raw tracepoint's arguments, the bytes of the structs of
    socket lookups, socket operations, cgroup hooks, of the registers that a kprobe finds arguments
    in, of a tracepoint's record; for an iterator's program what `run(objects=[…])` has for an
    object. Structs are those of `within`, by default of the running kernel.

    NotSupportedError for programs that are called with arguments, and where nobody tells a struct.
    """
    from osmia.testing.contexts import contexts_of

    return contexts_of(what, within)
