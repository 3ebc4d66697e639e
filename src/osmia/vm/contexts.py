"""Contexts: what r1 points to for each program type, and which of it a program may touch.

Field layouts: include/uapi/linux/bpf.h. Addresses are below 4 GiB, so that the 32-bit data
and data_end fields hold real pointers. What a test run sets is what the kernel's sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from osmia.object.uapi import ProgramType


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a context: where it is, and whether programs may write it (in bytes)."""

    offset: int
    size: int
    writable: bool = False
    whole: bool = False  # only as a whole: the pointers

    def covers(self, offset: int, size: int) -> bool:
        """Whether an access lies in this field."""
        return self.offset <= offset and offset + size <= self.offset + self.size


@dataclass(frozen=True)
class Layout:
    """A context's struct. `fields` is keyed by name; names of the data pointers are fixed."""

    name: str
    size: int
    fields: Mapping[str, Field] = field(default_factory=dict)
    packet: bool = False
    l2: bool = True  # whether the packet starts with its Ethernet header
    direct: bool = True  # whether data and data_end may be used

    def encode(self, values: Mapping[str, Any]) -> bytearray:
        """The struct's bytes for values by field name."""
        data = bytearray(self.size)
        for name, value in values.items():
            if name not in self.fields:
                raise ValueError(f"struct {self.name} has no field {name!r}")
            place = self.fields[name]
            if isinstance(value, int):
                raw = (value & ((1 << 8 * place.size) - 1)).to_bytes(place.size, "little")
            elif isinstance(value, bytes | bytearray | memoryview):
                raw = bytes(value).ljust(place.size, b"\0")
            else:
                raw = b"".join((word & 0xFFFF_FFFF).to_bytes(4, "little") for word in value)
                raw = raw.ljust(place.size, b"\0")
            if len(raw) != place.size:
                raise ValueError(f"field {name!r} of struct {self.name} has {place.size} bytes")
            data[place.offset : place.offset + place.size] = raw
        return data


def _fields(text: str) -> Iterator[tuple[str, Field]]:
    """Fields from "name:size[flags]" words: w(ritable), p(ointer), _ (a hole, no name)."""
    offset = 0
    for word in text.split():
        name, _, rest = word.partition(":")
        digits = "".join(c for c in rest if c.isdigit())
        size = int(digits)
        if name != "_":
            yield name, Field(offset, size, "w" in rest, "p" in rest)
        offset += size


XDP_MD = Layout(
    "xdp_md",
    24,
    dict(
        _fields(
            "data:4p data_end:4p data_meta:4p ingress_ifindex:4 rx_queue_index:4 egress_ifindex:4"
        )
    ),
    packet=True,
)

_SKB = dict(
    _fields(
        "len:4 pkt_type:4 mark:4w queue_mapping:4w protocol:4 vlan_present:4 vlan_tci:4 "
        "vlan_proto:4 priority:4w ingress_ifindex:4 ifindex:4 tc_index:4w cb:20w hash:4 "
        "tc_classid:4w data:4p data_end:4p napi_id:4 family:4 remote_ip4:4 local_ip4:4 "
        "remote_ip6:16 local_ip6:16 remote_port:4 local_port:4 data_meta:4p flow_keys:8 "
        "tstamp:8w wire_len:4 gso_segs:4 sk:8 gso_size:4 tstamp_type:1 _:3 hwtstamp:8"
    )
)


def _skb(writable: str, *, l2: bool, direct: bool) -> Layout:
    names = writable.split()
    fields = {
        name: Field(f.offset, f.size, f.writable and name in names, f.whole)
        for name, f in _SKB.items()
    }
    return Layout("__sk_buff", 192, fields, packet=True, l2=l2, direct=direct)


_TC = _skb("mark queue_mapping priority tc_index cb tc_classid tstamp", l2=True, direct=True)

LAYOUTS: Mapping[ProgramType, Layout] = {
    ProgramType.XDP: XDP_MD,
    ProgramType.SCHED_CLS: _TC,
    ProgramType.SCHED_ACT: _TC,
    ProgramType.SOCKET_FILTER: _skb("cb", l2=False, direct=False),
    ProgramType.CGROUP_SKB: _skb("mark priority cb tstamp", l2=False, direct=True),
    ProgramType.LWT_IN: _skb("cb", l2=False, direct=True),
    ProgramType.LWT_OUT: _skb("cb", l2=False, direct=True),
    ProgramType.LWT_XMIT: _skb("mark priority cb", l2=False, direct=True),
}
"""Types whose context is a packet's. All others take the bytes, or u64 arguments, given."""

PLAIN = Layout("", 0)


def layout_for(program_type: ProgramType | None) -> Layout:
    """The context of a program type."""
    return LAYOUTS.get(program_type, PLAIN) if program_type is not None else PLAIN


class Context:
    """A context after a run: fields as attributes and items, or its bytes."""

    __slots__ = ("_data", "_layout")

    def __init__(self, layout: Layout, data: bytes) -> None:
        self._layout = layout
        self._data = data

    def __getattr__(self, name: str) -> int | bytes:
        try:
            place = self._layout.fields[name]
        except KeyError:
            raise AttributeError(f"struct {self._layout.name} has no field {name!r}") from None
        raw = self._data[place.offset : place.offset + place.size]
        return int.from_bytes(raw, "little") if place.size <= 8 else raw

    def __getitem__(self, name: str) -> int | bytes:
        try:
            value: int | bytes = getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None
        return value

    def __bytes__(self) -> bytes:
        return self._data

    def __eq__(self, other: object) -> bool:
        return bytes(self) == bytes(other) if isinstance(other, Context) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._data)

    def __repr__(self) -> str:
        shown = (f".{n} = {self[n]!r}" for n in self._layout.fields if self[n])
        return f"(struct {self._layout.name}){{{', '.join(shown)}}}"
