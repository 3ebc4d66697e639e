"""Programs that call one skb helper and leave what can be seen then: its result at 0, what it
wrote from 8 on, the context's fields from `FIELDS_AT` on."""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.contexts import layout_for
from osmia.vm.skb_contexts import SKB_FIELDS

FIELDS_AT = 64
BUFFER = 48
_SHOWN = (
    *("len", "pkt_type", "mark", "queue_mapping", "protocol", "vlan_present", "vlan_tci"),
    *("vlan_proto", "priority", "ingress_ifindex", "ifindex", "tc_index", "cb", "tc_classid"),
    *("napi_id", "family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6"),
    *("remote_port", "local_port", "wire_len", "gso_segs", "gso_size", "data_end"),
    *("tstamp", "hwtstamp"),
)


def argument(register: int, index: int) -> str:
    """Take a given number into a register."""
    return f"r{register} = *(u64 *)(r7 +{8 * index})"


def program(program_type: ProgramType, *body: str) -> str:
    """A program around a body: r6 is the context, r7 the given numbers, r8 what is found."""
    return "\n".join(
        [
            *("r6 = r1", "r7 = {given}", "r8 = {found}", "r0 = 77"),
            *body,
            "out: *(u64 *)(r8 +0) = r0",
            *fields(program_type),
            "r0 = 1",
            "exit",
        ]
    )


def fields(program_type: ProgramType) -> list[str]:
    """Code that leaves the fields that programs of a type may read."""
    readable = layout_for(program_type).fields
    lines, at = [], FIELDS_AT
    for name in _SHOWN:
        place = SKB_FIELDS[name]
        size = min(place.size, 4) if place.size != 8 else 8
        if not readable[name].reads:
            continue
        at += -at % size
        for offset in range(place.offset, place.offset + place.size, size):
            width = "u64" if size == 8 else "u32"
            lines.append(f"r1 = *({width} *)(r6 +{offset})")
            if name == "data_end":
                lines += [f"r2 = *(u32 *)(r6 +{SKB_FIELDS['data'].offset})", "r1 -= r2"]
            lines.append(f"*({width} *)(r8 +{at}) = r1")
            at += size
    return lines


def sized(register: int, index: int, most: int = BUFFER) -> list[str]:
    """Take a given size, 1 to `most`; the helper is not called for any other."""
    take = argument(register, index)
    return [take, f"if r{register} > {most} goto out", f"if r{register} < 1 goto out"]


def call(name: str, *arguments: int) -> list[str]:
    """Call a helper with the context and given numbers."""
    lines = [argument(n, index) for n, index in enumerate(arguments, start=2)]
    return [*lines, "r1 = r6", f"call bpf_{name}"]


BODIES = {
    "skb_load_bytes": [
        *sized(4, 1),
        argument(2, 0),
        "r3 = r8",
        "r3 += 8",
        "r1 = r6",
        "call bpf_skb_load_bytes",
    ],
    "skb_load_bytes_relative": [
        *sized(4, 1),
        argument(2, 0),
        argument(5, 2),
        "r3 = r8",
        "r3 += 8",
        "r1 = r6",
        "call bpf_skb_load_bytes_relative",
    ],
    "skb_store_bytes": [
        *sized(4, 1, 24),
        argument(2, 0),
        argument(5, 2),
        "r3 = r7",
        "r3 += 24",
        "r1 = r6",
        "call bpf_skb_store_bytes",
    ],
    "csum_diff": [
        argument(2, 0),
        "if r2 > 28 goto out",
        argument(4, 1),
        "if r4 > 28 goto out",
        argument(5, 2),
        "r1 = r7",
        "r1 += 24",
        "r3 = r7",
        "r3 += 36",
        "call bpf_csum_diff",
    ],
    "l3_csum_replace": call("l3_csum_replace", 0, 1, 2, 3),
    "l4_csum_replace": call("l4_csum_replace", 0, 1, 2, 3),
    "csum_update": call("csum_update", 0),
    "csum_level": [
        # Up, down and reset as given, then the question.
        *call("csum_level", 0),
        "*(u64 *)(r8 +8) = r0",
        *call("csum_level", 1),
        "*(u64 *)(r8 +16) = r0",
        *call("csum_level", 2),
        "*(u64 *)(r8 +24) = r0",
        "r2 = 0",
        "r1 = r6",
        "call bpf_csum_level",
    ],
    "skb_pull_data": call("skb_pull_data", 0),
    "skb_change_head": call("skb_change_head", 0, 1),
    "skb_change_tail": call("skb_change_tail", 0, 1),
    "skb_change_proto": call("skb_change_proto", 0, 1),
    "skb_change_type": call("skb_change_type", 0),
    "skb_adjust_room": call("skb_adjust_room", 0, 1, 2),
    "skb_adjust_room twice": [
        *call("skb_adjust_room", 0, 1, 2),
        "*(u64 *)(r8 +8) = r0",
        *call("skb_adjust_room", 3, 4, 5),
        "*(u64 *)(r8 +16) = r0",
        *call("skb_change_tail", 6, 7),
    ],
    "skb_vlan_push": call("skb_vlan_push", 0, 1),
    "skb_vlan_push twice": [
        *call("skb_vlan_push", 0, 1),
        "*(u64 *)(r8 +8) = r0",
        *call("skb_vlan_push", 2, 3),
    ],
    "skb_vlan_pop": call("skb_vlan_pop"),
    "skb_vlan_push and pop": [
        *call("skb_vlan_push", 0, 1),
        *call("skb_vlan_push", 2, 3),
        *call("skb_vlan_pop"),
        "*(u64 *)(r8 +8) = r0",
        *call("skb_vlan_pop"),
    ],
    "head, tail and bytes": [
        *call("skb_change_head", 0, 1),
        "*(u64 *)(r8 +8) = r0",
        *call("skb_change_tail", 2, 3),
        "*(u64 *)(r8 +16) = r0",
        *call("skb_adjust_room", 4, 5, 6),
        "*(u64 *)(r8 +24) = r0",
        "r2 = 0",
        "r3 = r8",
        "r3 += 32",
        "r4 = 16",
        "r5 = 1",
        "r1 = r6",
        "call bpf_skb_load_bytes_relative",
    ],
    "skb_ecn_set_ce": call("skb_ecn_set_ce"),
    "skb_set_tstamp": call("skb_set_tstamp", 0, 1),
    "set_hash": [
        *call("set_hash", 0),
        "*(u64 *)(r8 +8) = r0",
        f"r1 = *(u32 *)(r6 +{SKB_FIELDS['hash'].offset})",
        "*(u64 *)(r8 +16) = r1",
        *call("get_hash_recalc"),
        "*(u64 *)(r8 +24) = r0",
        *call("set_hash_invalid"),
        "*(u64 *)(r8 +32) = r0",
        f"r0 = *(u32 *)(r6 +{SKB_FIELDS['hash'].offset})",
    ],
    "get_cgroup_classid": call("get_cgroup_classid"),
    "get_route_realm": call("get_route_realm"),
    "redirect": [argument(1, 0), argument(2, 1), "call bpf_redirect"],
    "redirect_peer": [argument(1, 0), argument(2, 1), "call bpf_redirect_peer"],
    "redirect_neigh": [
        argument(1, 0),
        "r2 = 0",
        "r3 = 0",
        argument(4, 1),
        "call bpf_redirect_neigh",
    ],
    "redirect_neigh with a hop": [
        argument(1, 0),
        "r2 = r7",
        "r2 += 24",
        *sized(3, 2, 40),
        argument(4, 1),
        "call bpf_redirect_neigh",
    ],
    "clone_redirect": call("clone_redirect", 0, 1),
}
"""What each program does, by the name its cases have."""
