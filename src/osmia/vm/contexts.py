"""Contexts: what r1 points to for each program type, and which of it a program may touch.

Field layouts: include/uapi/linux/bpf.h. Addresses are below 4 GiB, so that the 32-bit data
and data_end fields hold real pointers. What a test run sets is what the kernel's sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from osmia.object.uapi import AttachType, ProgramType
from osmia.records import dataclass, field, replace

if TYPE_CHECKING:
    from osmia.values import Codec


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a context: where it is, and how many bytes at a time programs may read and
    write of it (none: not at all), at multiples of that size."""

    offset: int
    size: int
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()

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
    changes: bool = True  # whether the packet may be written to

    def encode(self, values: Mapping[str, Any]) -> bytearray:
        """The struct's bytes for values by field name; CodecError for what does not fit."""
        data = bytearray(self.size)
        for name, value in values.items():
            place = self.fields.get(name)
            if place is None or type(value) is not int or value >> 8 * place.size:
                return bytearray(_context_codec(self.name, self.size).encode(values))
            data[place.offset : place.offset + place.size] = value.to_bytes(place.size, "little")
        return data

    def decode(self, data: bytes) -> Any:
        """The struct's fields from its bytes, as the kernel engine gives them."""
        return _context_codec(self.name, self.size).decode(data)


@cache
def _context_codec(name: str, size: int) -> Codec:
    """The codec of a context's struct, with the types of include/uapi/linux/bpf.h."""
    from osmia.btf import BTFBuilder
    from osmia.values import codec

    builder = BTFBuilder()
    kinds = {n: builder.add_int(f"__u{8 * n}", n) for n in (1, 4, 8)}
    members = []
    for field_name, place in (SKB_FIELDS if name == "__sk_buff" else XDP_MD.fields).items():
        kind = kinds.get(place.size) or builder.add_array(kinds[4], kinds[4], place.size // 4)
        members.append((field_name, kind, 8 * place.offset))
    type_id = builder.add_struct(name, size, members)
    return codec(builder.build(), type_id)


_PARTS = (1, 2, 4)
_ANY_PARTS = (1, 2, 4, 8)


def _fields(text: str) -> Iterator[tuple[str, Field]]:
    """Fields from "name:size[flag]" words: readable in parts, or (w) only in whole words of 4
    bytes; those of 8 bytes, only whole. A name of _ is a hole."""
    offset = 0
    for word in text.split():
        name, _, rest = word.partition(":")
        size = int(rest.removesuffix("w"))
        if name != "_":
            narrow = (4,) if rest.endswith("w") else _PARTS
            yield name, Field(offset, size, (8,) if size == 8 else narrow)
        offset += size


XDP_MD = Layout(
    "xdp_md",
    24,
    dict(
        _fields(
            "data:4w data_end:4w data_meta:4w ingress_ifindex:4w rx_queue_index:4w "
            "egress_ifindex:4w"
        )
    ),
    packet=True,
)
SKB_FIELDS: Mapping[str, Field] = dict(
    _fields(
        "len:4 pkt_type:4 mark:4 queue_mapping:4 protocol:4 vlan_present:4 vlan_tci:4 "
        "vlan_proto:4 priority:4 ingress_ifindex:4 ifindex:4 tc_index:4 cb:20 hash:4 "
        "tc_classid:4 data:4w data_end:4w napi_id:4 family:4 remote_ip4:4w local_ip4:4w "
        "remote_ip6:16w local_ip6:16w remote_port:4 local_port:4 data_meta:4w flow_keys:8 "
        "tstamp:8 wire_len:4 gso_segs:4 sk:8 gso_size:4 tstamp_type:1 _:3 hwtstamp:8"
    )
)
"""Every field of struct __sk_buff, as far as any program type may read it."""

_SOCKET = "family remote_ip4 local_ip4 remote_ip6 local_ip6 remote_port local_port"
_LINK = "tc_classid data_meta wire_len tstamp_type flow_keys"


def _skb(
    *, hidden: str, writable: str, l2: bool = False, direct: bool = True, changes: bool = False
) -> Layout:
    """struct __sk_buff with the access rules of one program type (is_valid_access in
    net/core/filter.c; may_access_direct_pkt_data in kernel/bpf/verifier.c)."""
    fields = {}
    for name, place in SKB_FIELDS.items():
        if name in hidden.split():
            fields[name] = replace(place, reads=())
        elif name in writable.split():
            fields[name] = replace(place, writes=(place.size,))
        else:
            fields[name] = place
    if "cb" in writable.split():
        fields["cb"] = replace(fields["cb"], reads=_ANY_PARTS, writes=_ANY_PARTS)
    return Layout("__sk_buff", 192, fields, packet=True, l2=l2, direct=direct, changes=changes)


_TC = _skb(
    hidden=f"{_SOCKET} flow_keys",
    writable="mark queue_mapping priority tc_index cb tc_classid tstamp",
    l2=True,
    changes=True,
)
_LWT = _skb(hidden=f"{_SOCKET} {_LINK} tstamp hwtstamp", writable="mark priority cb")

_XDP = replace(
    XDP_MD,
    fields=dict(XDP_MD.fields)
    | {"egress_ifindex": replace(XDP_MD.fields["egress_ifindex"], reads=())},
)

LAYOUTS: Mapping[ProgramType, Layout] = {
    ProgramType.XDP: _XDP,
    ProgramType.SCHED_CLS: _TC,
    ProgramType.SCHED_ACT: _TC,
    ProgramType.SOCKET_FILTER: _skb(
        hidden=f"{_SOCKET} {_LINK} tstamp hwtstamp data data_end", writable="cb", direct=False
    ),
    ProgramType.CGROUP_SKB: _skb(hidden=_LINK, writable="mark priority cb tstamp"),
    ProgramType.LWT_IN: _LWT,
    ProgramType.LWT_OUT: _LWT,
    ProgramType.LWT_XMIT: replace(_LWT, changes=True),
}
"""Types whose context is a packet's. All others take the bytes, or u64 arguments, given."""

PLAIN = Layout("", 0)

FOLLOWING = frozenset({ProgramType.TRACING, ProgramType.LSM, ProgramType.STRUCT_OPS})
"""Types whose programs follow the kernel's pointers without a helper: what they load from where
nothing is is 0, as an exception table has it in the kernel (BPF_PROBE_MEM)."""


def layout_for(program_type: ProgramType | None, attach_type: AttachType | None = None) -> Layout:
    """The context of a program type, as programs of an attach type may use it."""
    if attach_type is AttachType.XDP_DEVMAP:
        return XDP_MD
    return LAYOUTS.get(program_type, PLAIN) if program_type is not None else PLAIN
