#!/usr/bin/env python3
"""Print src/osmia/include/linux/bpf.h: the UAPI of BPF, from the kernel's types and osmia's tables.

    tools/generate_bpf_header.py >src/osmia/include/linux/bpf.h      # on the newest kernel at hand

Layouts and most numbers are the running kernel's, as its BTF tells them; what it has not yet comes
from osmia's tables, as macros do. Which types are UAPI is listed here. Distributions bring a header
as old as their kernel, so osmia puts this one in front of it. A test compares both.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from enum import IntEnum

from osmia.btf import BTF, Kind, definition, kernel_btf
from osmia.isa import HELPERS
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramFlag, ProgramType

#: Named enums, and osmia's table of each with what C puts before its names.
ENUMS: dict[str, tuple[type[IntEnum], str] | None] = {
    "bpf_cgroup_iter_order": None,
    "bpf_cmd": None,
    "bpf_map_type": (MapType, "BPF_MAP_TYPE_"),
    "bpf_prog_type": (ProgramType, "BPF_PROG_TYPE_"),
    "bpf_attach_type": (AttachType, "BPF_"),
    "bpf_link_type": (LinkType, "BPF_LINK_TYPE_"),
    "bpf_perf_event_type": None,
    "bpf_stats_type": None,
    "bpf_stack_build_id_status": None,
    "bpf_addr_space_cast": None,
    "bpf_adj_room_mode": None,
    "bpf_hdr_start_off": None,
    "bpf_lwt_encap_mode": None,
    "bpf_ret_code": None,
    "xdp_action": None,
    "tcx_action_base": None,
    "sk_action": None,
    "bpf_check_mtu_flags": None,
    "bpf_check_mtu_ret": None,
    "bpf_task_fd_type": None,
    "bpf_core_relo_kind": None,
    "bpf_kfunc_flags": None,
}
#: One name of each enum without a name.
UNNAMED = (
    "BPF_REG_0", "BPF_ANY", "BPF_F_NO_PREALLOC", "BPF_F_RECOMPUTE_CSUM", "BPF_F_HDR_FIELD_MASK",
    "BPF_F_PSEUDO_HDR", "BPF_F_INGRESS", "BPF_F_TUNINFO_IPV6", "BPF_F_SKIP_FIELD_MASK",
    "BPF_F_ZERO_CSUM_TX", "BPF_F_TUNINFO_FLAGS", "BPF_F_INDEX_MASK", "BPF_F_CURRENT_NETNS",
    "BPF_CSUM_LEVEL_QUERY", "BPF_F_ADJ_ROOM_FIXED_GSO", "BPF_ADJ_ROOM_ENCAP_L2_MASK",
    "BPF_F_SYSCTL_BASE_NAME", "BPF_LOCAL_STORAGE_GET_F_CREATE", "BPF_F_GET_BRANCH_RECORDS_SIZE",
    "BPF_RB_NO_WAKEUP", "BPF_RB_AVAIL_DATA", "BPF_RINGBUF_BUSY_BIT", "BPF_SK_LOOKUP_F_REPLACE",
    "BPF_F_BPRM_SECUREEXEC", "BPF_F_BROADCAST", "BPF_SKB_TSTAMP_UNSPEC", "BPF_SOCK_OPS_RTO_CB_FLAG",
    "BPF_SOCK_OPS_VOID", "BPF_TCP_ESTABLISHED", "TCP_BPF_IW", "BPF_LOAD_HDR_OPT_TCP_SYN",
    "BPF_WRITE_HDR_TCP_CURRENT_MSS", "BPF_FIB_LOOKUP_DIRECT", "BPF_FIB_LKUP_RET_SUCCESS",
    "BPF_FLOW_DISSECTOR_F_PARSE_1ST_FRAG", "BTF_F_COMPACT", "BPF_F_TIMER_ABS", "BPF_STREAM_STDOUT",
    "BPF_F_KPROBE_MULTI_RETURN", "BPF_F_UPROBE_MULTI_RETURN", "BPF_SK_BPF_BYPASS_PROT_MEM",
)  # fmt: skip
TYPES = (
    "bpf_insn", "bpf_lpm_trie_key_hdr", "bpf_lpm_trie_key_u8", "bpf_cgroup_storage_key",
    "bpf_iter_link_info", "bpf_stack_build_id", "bpf_attr", "__sk_buff", "bpf_tunnel_key",
    "bpf_xfrm_state", "bpf_sock", "bpf_tcp_sock", "bpf_sock_tuple", "bpf_xdp_sock", "xdp_md",
    "bpf_devmap_val", "bpf_cpumap_val", "sk_msg_md", "sk_reuseport_md", "bpf_prog_info",
    "bpf_map_info", "bpf_btf_info", "bpf_link_info", "bpf_token_info", "bpf_sock_addr",
    "bpf_sock_ops", "bpf_perf_event_value", "bpf_cgroup_dev_ctx", "bpf_raw_tracepoint_args",
    "bpf_fib_lookup", "bpf_redir_neigh", "bpf_flow_keys", "bpf_func_info", "bpf_line_info",
    "bpf_spin_lock", "bpf_timer", "bpf_task_work", "bpf_wq", "bpf_dynptr", "bpf_list_head",
    "bpf_list_node", "bpf_rb_root", "bpf_rb_node", "bpf_refcount", "bpf_sysctl", "bpf_sockopt",
    "bpf_pidns_info", "bpf_sk_lookup", "btf_ptr", "bpf_core_relo", "bpf_iter_num",
)  # fmt: skip
#: Macros of programs and of who loads them, in groups; numbers as C writes them.
MACROS = """
BPF_JMP32 0x06; BPF_ALU64 0x07; BPF_DW 0x18; BPF_MEMSX 0x80; BPF_ATOMIC 0xc0; BPF_XADD 0xc0
BPF_MOV 0xb0; BPF_ARSH 0xc0; BPF_END 0xd0; BPF_TO_LE 0x00; BPF_TO_BE 0x08
BPF_FROM_LE BPF_TO_LE; BPF_FROM_BE BPF_TO_BE
BPF_JNE 0x50; BPF_JLT 0xa0; BPF_JLE 0xb0; BPF_JSGT 0x60; BPF_JSGE 0x70; BPF_JSLT 0xc0
BPF_JSLE 0xd0; BPF_JCOND 0xe0; BPF_CALL 0x80; BPF_EXIT 0x90
BPF_FETCH 0x01; BPF_XCHG (0xe0 | BPF_FETCH); BPF_CMPXCHG (0xf0 | BPF_FETCH)
BPF_LOAD_ACQ 0x100; BPF_STORE_REL 0x110
MAX_BPF_REG __MAX_BPF_REG; MAX_BPF_ATTACH_TYPE __MAX_BPF_ATTACH_TYPE
MAX_BPF_LINK_TYPE __MAX_BPF_LINK_TYPE
BPF_F_ALLOW_OVERRIDE 0x1; BPF_F_ALLOW_MULTI 0x2; BPF_F_REPLACE 0x4; BPF_F_BEFORE 0x8
BPF_F_AFTER 0x10; BPF_F_ID 0x20; BPF_F_PREORDER 0x40; BPF_F_LINK 0x2000
BPF_PSEUDO_MAP_FD 1; BPF_PSEUDO_MAP_VALUE 2; BPF_PSEUDO_BTF_ID 3; BPF_PSEUDO_FUNC 4
BPF_PSEUDO_MAP_IDX 5; BPF_PSEUDO_MAP_IDX_VALUE 6; BPF_PSEUDO_CALL 1; BPF_PSEUDO_KFUNC_CALL 2
BPF_F_QUERY_EFFECTIVE 0x1
BPF_F_TEST_RUN_ON_CPU 0x1; BPF_F_TEST_XDP_LIVE_FRAMES 0x2; BPF_F_TEST_SKB_CHECKSUM_COMPLETE 0x4
BPF_BUILD_ID_SIZE 20; BPF_OBJ_NAME_LEN 16U; BPF_TAG_SIZE 8; XDP_PACKET_HEADROOM 256
BPF_STREAM_MAX_CAPACITY 100000U
BPF_DEVCG_ACC_MKNOD 0x1; BPF_DEVCG_ACC_READ 0x2; BPF_DEVCG_ACC_WRITE 0x4
BPF_DEVCG_DEV_BLOCK 0x1; BPF_DEVCG_DEV_CHAR 0x2
BPF_F_REDIRECT_FLAGS (BPF_F_INGRESS | BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS)
BPF_F_ADJ_ROOM_ENCAP_L2(len) (((__u64)(len) & BPF_ADJ_ROOM_ENCAP_L2_MASK) \
<< BPF_ADJ_ROOM_ENCAP_L2_SHIFT)
BPF_LINE_INFO_LINE_NUM(line_col) ((line_col) >> 10)
BPF_LINE_INFO_LINE_COL(line_col) ((line_col) & 0x3ff)
"""
HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UAPI of BPF: numbers and layouts of include/uapi/linux/bpf.h, as of Linux 6.18 and beyond.
 * Generated by tools/generate_bpf_header.py: do not edit.
 */
#ifndef __LINUX_BPF_H__
#define __LINUX_BPF_H__
/* What other headers look for to know that this one is there. */
#define _UAPI__LINUX_BPF_H__

#include <linux/types.h>
#include <linux/bpf_common.h>
"""


def header(btf: BTF) -> Iterator[str]:
    """The header's parts."""
    yield HEAD
    seen: set[str] = set()
    for name in UNNAMED:
        if name not in seen and (values := _unnamed(btf, name)):
            seen.update(word for word, _ in values)
            yield _enum("", values)
    for name, table in ENUMS.items():
        values = _values(btf, btf.find(name, Kind.ENUM, Kind.ENUM64))
        yield _enum(name, [*_with_table(values, *table)] if table else values)
    numbers = {0: "BPF_FUNC_unspec"} | {h.id: f"BPF_FUNC_{h.name[4:]}" for h in HELPERS.values()}
    functions = [(name, number) for number, name in sorted(numbers.items())]
    yield _enum("bpf_func_id", [*functions, ("__BPF_FUNC_MAX_ID", functions[-1][1] + 1)])
    yield from _macros(seen)
    for name in TYPES:
        if type_id := btf.find(name, Kind.STRUCT, Kind.UNION):
            yield definition(btf, type_id)
    yield "/* An old name of bpf_lpm_trie_key_u8, whose data is of no known size. */"
    yield "struct bpf_lpm_trie_key {\n\t__u32 prefixlen;\n\t__u8 data[0];\n};"
    yield "#endif"


def _macros(enumerators: Container[str]) -> Iterator[str]:
    """What no enum has."""
    for line in MACROS.strip().replace("\\\n", "").splitlines():
        for each in line.split("; "):
            name, _, value = each.partition(") " if "(" in each.split(" ")[0] else " ")
            if name not in enumerators:
                yield f"#define {name}{')' if '(' in name else ''} {value}"
    for flag in ProgramFlag:
        if f"BPF_F_{flag.name}" not in enumerators:
            yield f"#define BPF_F_{flag.name} {flag.value:#x}"


def _values(btf: BTF, type_id: int) -> list[tuple[str, int]]:
    return [(each.name, each.value) for each in getattr(btf.type(type_id), "values", ())]


def _unnamed(btf: BTF, word: str) -> list[tuple[str, int]]:
    for kind in (Kind.ENUM, Kind.ENUM64):
        for type_id in btf.ids_of_kind(kind):
            values = _values(btf, type_id)
            if any(name == word for name, _ in values):
                return values
    return []


def _with_table(
    values: list[tuple[str, int]], table: type[IntEnum], prefix: str
) -> Iterable[tuple[str, int]]:
    """The kernel's values, those that osmia knows beyond them, and the right end."""
    known = {name: number for name, number in values if not name.startswith("__MAX")}
    ends = [name for name, _ in values if name.startswith("__MAX")]
    numbers = set(known.values())
    newer = {f"{prefix}{e.name}": e.value for e in table if e.value not in numbers}
    yield from (known | newer).items()
    for end in ends:
        yield end, max([*known.values(), *newer.values()]) + 1


def _enum(name: str, values: Iterable[tuple[str, int]]) -> str:
    lines = "".join(f"\t{word} = {_number(number)},\n" for word, number in values)
    return f"enum {name + ' ' if name else ''}{{\n{lines}}};" if lines else ""


def _number(number: int) -> str:
    return f"{number}ULL" if number >> 32 > 0 else str(number)


if __name__ == "__main__":
    print("\n".join(part for part in header(kernel_btf()) if part))
