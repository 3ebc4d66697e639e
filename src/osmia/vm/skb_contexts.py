"""struct __sk_buff as the program types see it that have one."""

from __future__ import annotations

from collections.abc import Mapping

from osmia.object.uapi import ProgramType
from osmia.records import replace
from osmia.vm.context_layout import Field, Layout, fields_of

_ANY_PARTS = (1, 2, 4, 8)
SKB_FIELDS: Mapping[str, Field] = dict(
    fields_of(
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

SKB_LAYOUTS: Mapping[ProgramType, Layout] = {
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
