"""Contexts: what r1 points to for each program type, and which of it a program may touch.

Addresses are below 4 GiB, so that the 32-bit data and data_end fields hold real pointers. What a
test run sets is what the kernel's sets.
"""

from __future__ import annotations

from osmia.object.uapi import AttachType, ProgramType
from osmia.records import replace
from osmia.vm.context_layout import Layout, fields_of

XDP_MD = Layout(
    "xdp_md",
    24,
    dict(
        fields_of(
            "data:4w data_end:4w data_meta:4w ingress_ifindex:4w rx_queue_index:4w "
            "egress_ifindex:4w"
        )
    ),
    packet=True,
)
_XDP = replace(
    XDP_MD,
    fields=dict(XDP_MD.fields)
    | {"egress_ifindex": replace(XDP_MD.fields["egress_ifindex"], reads=())},
)

_OF_SKB = frozenset(
    {
        *(ProgramType.SCHED_CLS, ProgramType.SCHED_ACT),
        *(ProgramType.SOCKET_FILTER, ProgramType.CGROUP_SKB),
        *(ProgramType.LWT_IN, ProgramType.LWT_OUT, ProgramType.LWT_XMIT),
    }
)
"""Types whose context is struct __sk_buff (`osmia.vm.skb_contexts`). All others but XDP take the
bytes, or u64 arguments, given."""

PLAIN = Layout("", 0)

FOLLOWING = frozenset({ProgramType.TRACING, ProgramType.LSM, ProgramType.STRUCT_OPS})
"""Types whose programs follow the kernel's pointers without a helper: what they load from where
nothing is is 0, as an exception table has it in the kernel (BPF_PROBE_MEM)."""


def layout_for(program_type: ProgramType | None, attach_type: AttachType | None = None) -> Layout:
    """The context of a program type, as programs of an attach type may use it."""
    if attach_type is AttachType.XDP_DEVMAP:
        return XDP_MD
    if program_type is ProgramType.XDP:
        return _XDP
    if program_type in _OF_SKB:
        from osmia.vm.skb_contexts import SKB_LAYOUTS

        return SKB_LAYOUTS[program_type]
    return PLAIN
