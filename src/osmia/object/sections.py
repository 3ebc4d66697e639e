"""The section-name table: what a SEC() name says about the program in it.

The names are libbpf's (documentation of "Program Types and ELF Sections" in the kernel's
Documentation/bpf/libbpf/program_types.rst). `name+` in the table matches `name` and
`name/…`; other names match only exactly. A leading "?" turns automatic loading off.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import AttachType, ProgramFlag, ProgramType

#: Functions that are called and no programs.
TEXT = ".text"
#: Map definitions before there was BTF: libbpf's struct bpf_map_def, iproute2's bpf_elf_map.
LEGACY_MAPS = "maps"
#: What BPF_ANNOTATE_KV_PAIR puts before a map's name: its section's name, its struct's name.
ANNOTATION_SECTION = ".maps."
ANNOTATION_STRUCT = "____btf_map_"

#: As scanf("%i/%i") reads it: decimal, octal or hexadecimal numbers, signs and leading spaces.
_NUMBER = r"\s*([+-]?(?:0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}))"
_TAIL_CALL = re.compile(f"{_NUMBER}/{_NUMBER}")


class SectionDefinition(NamedTuple):
    """One row of the table.

    `name` may end in "+" (see the module's text). `attach_btf`: the program is loaded
    against a BTF-described target, named behind the slash. `auto_attach`: the name says
    all that attaching needs.
    """

    name: str
    type: ProgramType
    attach_type: AttachType | None = None
    flags: int = 0
    auto_attach: bool = False
    attach_btf: bool = False


_FLAGS = {"sleepable": ProgramFlag.SLEEPABLE, "frags": ProgramFlag.XDP_HAS_FRAGS}

# name, program type, expected attach type ("-": none), what else holds
_TABLE = """
socket                  SOCKET_FILTER    -
sk_reuseport/migrate    SK_REUSEPORT     SK_REUSEPORT_SELECT_OR_MIGRATE
sk_reuseport            SK_REUSEPORT     SK_REUSEPORT_SELECT
kprobe+                 KPROBE           -                     auto
uprobe+                 KPROBE           -                     auto
uprobe.s+               KPROBE           -                     auto sleepable
kretprobe+              KPROBE           -                     auto
uretprobe+              KPROBE           -                     auto
uretprobe.s+            KPROBE           -                     auto sleepable
kprobe.multi+           KPROBE           TRACE_KPROBE_MULTI    auto
kretprobe.multi+        KPROBE           TRACE_KPROBE_MULTI    auto
kprobe.session+         KPROBE           TRACE_KPROBE_SESSION  auto
uprobe.multi+           KPROBE           TRACE_UPROBE_MULTI    auto
uretprobe.multi+        KPROBE           TRACE_UPROBE_MULTI    auto
uprobe.session+         KPROBE           TRACE_UPROBE_SESSION  auto
uprobe.multi.s+         KPROBE           TRACE_UPROBE_MULTI    auto sleepable
uretprobe.multi.s+      KPROBE           TRACE_UPROBE_MULTI    auto sleepable
uprobe.session.s+       KPROBE           TRACE_UPROBE_SESSION  auto sleepable
ksyscall+               KPROBE           -                     auto
kretsyscall+            KPROBE           -                     auto
usdt+                   KPROBE           -                     auto
usdt.s+                 KPROBE           -                     auto sleepable
tc/ingress              SCHED_CLS        TCX_INGRESS
tc/egress               SCHED_CLS        TCX_EGRESS
tcx/ingress             SCHED_CLS        TCX_INGRESS
tcx/egress              SCHED_CLS        TCX_EGRESS
tc                      SCHED_CLS        -
classifier              SCHED_CLS        -
action                  SCHED_ACT        -
netkit/primary          SCHED_CLS        NETKIT_PRIMARY
netkit/peer             SCHED_CLS        NETKIT_PEER
tracepoint+             TRACEPOINT       -                     auto
tp+                     TRACEPOINT       -                     auto
tracepoint.s+           TRACEPOINT       -                     auto sleepable
tp.s+                   TRACEPOINT       -                     auto sleepable
raw_tracepoint+         RAW_TRACEPOINT   -                     auto
raw_tp+                 RAW_TRACEPOINT   -                     auto
raw_tracepoint.w+       RAW_TRACEPOINT_WRITABLE -              auto
raw_tp.w+               RAW_TRACEPOINT_WRITABLE -              auto
raw_tracepoint.s+       RAW_TRACEPOINT   -                     auto sleepable
raw_tp.s+               RAW_TRACEPOINT   -                     auto sleepable
tp_btf+                 TRACING          TRACE_RAW_TP          auto btf
tp_btf.s+               TRACING          TRACE_RAW_TP          auto btf sleepable
fentry+                 TRACING          TRACE_FENTRY          auto btf
fmod_ret+               TRACING          MODIFY_RETURN         auto btf
fexit+                  TRACING          TRACE_FEXIT           auto btf
fentry.s+               TRACING          TRACE_FENTRY          auto btf sleepable
fmod_ret.s+             TRACING          MODIFY_RETURN         auto btf sleepable
fexit.s+                TRACING          TRACE_FEXIT           auto btf sleepable
fsession+               TRACING          TRACE_FSESSION        auto btf
fsession.s+             TRACING          TRACE_FSESSION        auto btf sleepable
fentry.multi+           TRACING          TRACE_FENTRY_MULTI    auto
fexit.multi+            TRACING          TRACE_FEXIT_MULTI     auto
fsession.multi+         TRACING          TRACE_FSESSION_MULTI  auto
fentry.multi.s+         TRACING          TRACE_FENTRY_MULTI    auto sleepable
fexit.multi.s+          TRACING          TRACE_FEXIT_MULTI     auto sleepable
fsession.multi.s+       TRACING          TRACE_FSESSION_MULTI  auto sleepable
freplace+               EXT              -                     auto btf
lsm+                    LSM              LSM_MAC               auto btf
lsm.s+                  LSM              LSM_MAC               auto btf sleepable
lsm_cgroup+             LSM              LSM_CGROUP            btf
iter+                   TRACING          TRACE_ITER            auto btf
iter.s+                 TRACING          TRACE_ITER            auto btf sleepable
syscall                 SYSCALL          -                     sleepable
xdp.frags/devmap        XDP              XDP_DEVMAP            frags
xdp/devmap              XDP              XDP_DEVMAP
xdp.frags/cpumap        XDP              XDP_CPUMAP            frags
xdp/cpumap              XDP              XDP_CPUMAP
xdp.frags               XDP              XDP                   frags
xdp                     XDP              XDP
perf_event              PERF_EVENT       -
lwt_in                  LWT_IN           -
lwt_out                 LWT_OUT          -
lwt_xmit                LWT_XMIT         -
lwt_seg6local           LWT_SEG6LOCAL    -
sockops                 SOCK_OPS         CGROUP_SOCK_OPS
sk_skb/stream_parser    SK_SKB           SK_SKB_STREAM_PARSER
sk_skb/stream_verdict   SK_SKB           SK_SKB_STREAM_VERDICT
sk_skb/verdict          SK_SKB           SK_SKB_VERDICT
sk_skb                  SK_SKB           -
sk_msg                  SK_MSG           SK_MSG_VERDICT
lirc_mode2              LIRC_MODE2       LIRC_MODE2
flow_dissector          FLOW_DISSECTOR   FLOW_DISSECTOR
cgroup_skb/ingress      CGROUP_SKB       CGROUP_INET_INGRESS
cgroup_skb/egress       CGROUP_SKB       CGROUP_INET_EGRESS
cgroup/skb              CGROUP_SKB       -
cgroup/sock_create      CGROUP_SOCK      CGROUP_INET_SOCK_CREATE
cgroup/sock_release     CGROUP_SOCK      CGROUP_INET_SOCK_RELEASE
cgroup/sock             CGROUP_SOCK      CGROUP_INET_SOCK_CREATE
cgroup/post_bind4       CGROUP_SOCK      CGROUP_INET4_POST_BIND
cgroup/post_bind6       CGROUP_SOCK      CGROUP_INET6_POST_BIND
cgroup/bind4            CGROUP_SOCK_ADDR CGROUP_INET4_BIND
cgroup/bind6            CGROUP_SOCK_ADDR CGROUP_INET6_BIND
cgroup/connect4         CGROUP_SOCK_ADDR CGROUP_INET4_CONNECT
cgroup/connect6         CGROUP_SOCK_ADDR CGROUP_INET6_CONNECT
cgroup/connect_unix     CGROUP_SOCK_ADDR CGROUP_UNIX_CONNECT
cgroup/sendmsg4         CGROUP_SOCK_ADDR CGROUP_UDP4_SENDMSG
cgroup/sendmsg6         CGROUP_SOCK_ADDR CGROUP_UDP6_SENDMSG
cgroup/sendmsg_unix     CGROUP_SOCK_ADDR CGROUP_UNIX_SENDMSG
cgroup/recvmsg4         CGROUP_SOCK_ADDR CGROUP_UDP4_RECVMSG
cgroup/recvmsg6         CGROUP_SOCK_ADDR CGROUP_UDP6_RECVMSG
cgroup/recvmsg_unix     CGROUP_SOCK_ADDR CGROUP_UNIX_RECVMSG
cgroup/getpeername4     CGROUP_SOCK_ADDR CGROUP_INET4_GETPEERNAME
cgroup/getpeername6     CGROUP_SOCK_ADDR CGROUP_INET6_GETPEERNAME
cgroup/getpeername_unix CGROUP_SOCK_ADDR CGROUP_UNIX_GETPEERNAME
cgroup/getsockname4     CGROUP_SOCK_ADDR CGROUP_INET4_GETSOCKNAME
cgroup/getsockname6     CGROUP_SOCK_ADDR CGROUP_INET6_GETSOCKNAME
cgroup/getsockname_unix CGROUP_SOCK_ADDR CGROUP_UNIX_GETSOCKNAME
cgroup/sysctl           CGROUP_SYSCTL    CGROUP_SYSCTL
cgroup/getsockopt       CGROUP_SOCKOPT   CGROUP_GETSOCKOPT
cgroup/setsockopt       CGROUP_SOCKOPT   CGROUP_SETSOCKOPT
cgroup/dev              CGROUP_DEVICE    CGROUP_DEVICE
struct_ops+             STRUCT_OPS       -
struct_ops.s+           STRUCT_OPS       -                     sleepable
sk_lookup               SK_LOOKUP        SK_LOOKUP
netfilter               NETFILTER        NETFILTER
"""


def _row(line: str) -> SectionDefinition:
    name, kind, attach, *marks = line.split()
    flags = ProgramFlag(0)
    for mark in marks:
        flags |= _FLAGS.get(mark, ProgramFlag(0))
    return SectionDefinition(
        name=name,
        type=ProgramType[kind],
        attach_type=None if attach == "-" else AttachType[attach],
        flags=flags,
        auto_attach="auto" in marks,
        attach_btf="btf" in marks,
    )


@cache
def section_definitions() -> dict[str, SectionDefinition]:
    """All rows, in order, by name without the "+"."""
    rows = map(_row, _TABLE.strip().splitlines())
    return {row.name.rstrip("+"): row for row in rows}


#: Types that several rows have without one that stands for all: the kernel's own default.
_DEFAULT_NAMES = {
    ProgramType.XDP: "xdp",
    ProgramType.CGROUP_SOCK: "cgroup/sock",
    ProgramType.SK_REUSEPORT: "sk_reuseport",
    ProgramType.LSM: "lsm",
}


@cache
def section_of_type(kind: ProgramType) -> str:
    """The section name that tells a program's type and nothing else; "" where there is none,
    since its programs are loaded for one of several hooks."""
    rows = [row for row in section_definitions().values() if row.type is kind]
    plain = [row for row in rows if row.attach_type is None and not row.flags]
    if plain or len(rows) == 1:
        return (plain or rows)[0].name.rstrip("+")
    return _DEFAULT_NAMES.get(kind, "")


@lru_cache(maxsize=256)  # names come from files that are not trusted
def find_section(section: str) -> tuple[SectionDefinition, str] | None:
    """The row that `section` matches (without its "?"), and what stands behind the slash."""
    rows = section_definitions()
    exact = rows.get(section)
    if exact is not None:
        return exact, ""
    prefix, slash, rest = section.partition("/")
    row = rows.get(prefix) if slash else None
    return (row, rest) if row is not None and row.name.endswith("+") else None


class TailCall(NamedTuple):
    """What a section's name says: the program belongs at `key` of the prog array `map_id`."""

    map_id: int
    key: int


def tail_call_of(section: str) -> TailCall | None:
    """The meaning of a section that iproute2 names "ID/KEY"; None for other names."""
    found = _TAIL_CALL.match(section.removeprefix("?"))
    return TailCall(_integer(found[1]), _integer(found[2])) if found else None


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567"
    number = int(digits, 8) if octal else int(digits, 0)
    return -number if text.startswith("-") else number


def unknown_section(section: str, file: str | None) -> ObjectFormatError:
    """The error for a section name that the table lacks, with the names nearest to it."""
    from difflib import get_close_matches

    rows = section_definitions()
    head, slash, rest = section.lstrip("?").partition("/")
    open_ended = [name for name, row in rows.items() if row.name.endswith("+")]
    near = get_close_matches(section.lstrip("?"), rows, n=3)
    if slash and not near:
        near = [f"{name}/{rest}" for name in get_close_matches(head, open_ended, n=3)]
    hint = f"; did you mean {', '.join(repr(name) for name in near)}?" if near else ""
    return ObjectFormatError(f"unknown program section {section!r}{hint}", file=file)
