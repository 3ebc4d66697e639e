"""Refusals about packets: bytes that no comparison proves, pointers that a helper made void."""

from __future__ import annotations

from osmia.refusals.conditions import other_packet_pointer, packet_moved, packet_offset_unbounded
from osmia.refusals.kind import Family, Refusal

_OUTSIDE = (
    r"invalid access to packet, off=(?P<offset>-?\d+) size=(?P<size>\d+), "
    r"(?P<register>R\d+)\(id=(?P<id>\d+),off=-?\d+,r=(?P<proved>\d+)\)"
)

PACKETS = Family(
    "Packets",
    (
        Refusal(
            "packet-void",
            r"(?P<register>R\d+) invalid mem access '(?:scalar|inv)'",
            "{register} was a packet pointer until {call}{where}, which may move the packet and so "
            "makes packet pointers void",
            "after {call} read ctx->data and ctx->data_end again, and compare again",
            when=packet_moved,
            rule="bpf-helpers(7): “previously done checks on pointers are invalidated”",
        ),
        Refusal(
            "packet-offset-large",
            _OUTSIDE,
            "{register} has an offset that may be {most}; above 65,535 the verifier takes no "
            "comparison with data_end as a proof",
            "mask or limit the offset before it is added, so that all of it stays below 65,536",
            when=packet_offset_unbounded,
        ),
        Refusal(
            "packet-other-pointer",
            _OUTSIDE,
            "the comparison with data_end proves bytes of another pointer: {register} has a "
            "variable offset of its own",
            "compare the pointer that is read through itself: if (pointer + {size} > data_end)",
            when=other_packet_pointer,
        ),
        Refusal(
            "packet-bounds-short",
            _OUTSIDE.replace(r"r=(?P<proved>\d+)", r"r=(?P<proved>[1-9]\d*)"),
            "only the first {proved} bytes are proved to be in the packet by a comparison with "
            "data_end; here {size} at offset {offset} are used",
            "compare the end of all that is used with data_end, not less of it",
        ),
        Refusal(
            "packet-bounds",
            r"invalid access to packet|offset is outside of the packet",
            "packet bytes are used before a comparison with data_end proves them there",
            "write if (pointer + size > data_end) return …; before the access, with the pointer "
            "that is read through",
        ),
        Refusal(
            "packet-write",
            r"cannot write into packet",
            "programs of this type may read the packet, but not write to it",
            "change packets in XDP or tc programs, or with a helper such as bpf_skb_store_bytes",
        ),
        Refusal(
            "packet-argument",
            r"helper access to the packet is not allowed",
            "this helper takes no pointer into the packet",
            "copy the bytes to the stack (bpf_skb_load_bytes, bpf_xdp_load_bytes, or an "
            "assignment) and give it that",
        ),
        Refusal(
            "packet-end-arithmetic",
            r"(?P<register>R\d+) pointer arithmetic on pkt_end prohibited",
            "that calculation on a pointer is not allowed: nothing may be added to data_end",
            "add to the other side: if (data + size > data_end), and not data_end - size",
        ),
        Refusal(
            "legacy-packet-load",
            r"BPF_LD_\[ABS\|IND\] instructions not allowed",
            "packet loads of classic BPF work in socket filters and tc programs only",
            "read through ctx->data, or with bpf_xdp_load_bytes",
            rule="RFC 9669, section 5.5",
        ),
    ),
)
