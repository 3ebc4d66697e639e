"""`Program.attach`: the kinds of programs, in one table, and which one a program is of.

The table says for each kind what the target is and which functions attach, whose parameters are
the options. docs/python.md shows it (tools/generate_attach_table.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.errors import NotSupportedError
from osmia.kernel.links import (
    cgroup,
    clsact,
    iterators,
    multi,
    netfilter,
    perf,
    probes,
    sockets,
    targets,
    tcx,
    tracing,
    tracing_multi,
    usdt,
    xdp,
)
from osmia.kernel.links.attachable import Attachable
from osmia.object.uapi import MULTI_TRACING, AttachType, ProgramType
from osmia.records import dataclass

_CGROUP_TYPES = (
    ProgramType.CGROUP_SKB,
    ProgramType.CGROUP_SOCK,
    ProgramType.CGROUP_SOCK_ADDR,
    ProgramType.CGROUP_SOCKOPT,
    ProgramType.CGROUP_DEVICE,
    ProgramType.CGROUP_SYSCTL,
    ProgramType.SOCK_OPS,
)
_MULTI_KPROBES = (AttachType.TRACE_KPROBE_MULTI, AttachType.TRACE_KPROBE_SESSION)
_MULTI_UPROBES = (AttachType.TRACE_UPROBE_MULTI, AttachType.TRACE_UPROBE_SESSION)
#: What sections of probes are called, but for kernel functions.
_UPROBES = ("uprobe", "uretprobe")
_SAID_BY_SECTION = ("ksyscall", "kretsyscall", "usdt", *_UPROBES)
_NETKIT = (AttachType.NETKIT_PRIMARY, AttachType.NETKIT_PEER)

_NOT_ATTACHED = {
    ProgramType.SYSCALL: "a syscall program is not attached but run: Program.run(ctx=…)",
    ProgramType.STRUCT_OPS: "a struct_ops program is attached with its map, not alone",
    ProgramType.SCHED_ACT: "a traffic control action is attached by tc; use a classifier (tc)",
    ProgramType.LIRC_MODE2: "osmia attaches no programs to infrared receivers (lirc)",
    ProgramType.LWT_IN: "lightweight tunnel programs are attached by ip route … encap bpf",
    ProgramType.LWT_OUT: "lightweight tunnel programs are attached by ip route … encap bpf",
    ProgramType.LWT_XMIT: "lightweight tunnel programs are attached by ip route … encap bpf",
    ProgramType.LWT_SEG6LOCAL: "segment routing programs are attached by ip route … seg6local",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How programs of one kind are attached: `name` and `target` in words, by `functions`, of
    which the target says the arguments `given`; `attach` turns it into them.

    A program is of the first kind of its type that has its attach type (none given: any) and
    whose `sections` have the one that the object file names (none given: any).
    """

    name: str
    target: str
    functions: tuple[Callable[..., Link], ...]
    given: tuple[str, ...]
    attach: Callable[[Attachable, Any, dict[str, Any]], Link]
    types: tuple[ProgramType, ...]
    attach_types: tuple[AttachType, ...] = ()
    sections: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """The names of the options, in the functions' order."""
        names = (name for function in self.functions for name in _parameters(function))
        return list(dict.fromkeys(name for name in names if name not in self.given))


KINDS = (
    Kind(
        "xdp", "interface", (xdp.attach_xdp,), ("interface",), targets.on_interface,
        (ProgramType.XDP,),
    ),
    Kind(
        "netkit", "interface", (tcx.attach_netkit,), ("interface",), targets.on_netkit,
        (ProgramType.SCHED_CLS,), _NETKIT,
    ),
    Kind(
        "tc, tcx", "interface", (tcx.attach_tcx, clsact.attach_clsact), ("interface",),
        targets.on_classifier, (ProgramType.SCHED_CLS,),
    ),
    Kind(
        "cgroup, sock_ops", "cgroup directory", (cgroup.attach_cgroup,), ("cgroup",),
        targets.on_cgroup, _CGROUP_TYPES,
    ),
    Kind(
        "lsm_cgroup", "cgroup directory", (cgroup.attach_cgroup,), ("cgroup",),
        targets.on_cgroup, (ProgramType.LSM,), (AttachType.LSM_CGROUP,),
    ),
    Kind(
        "ksyscall, kretsyscall", "system call", (probes.attach_kprobe,), ("function",),
        targets.on_system_call, (ProgramType.KPROBE,), (), ("ksyscall", "kretsyscall"),
    ),
    Kind(
        "usdt", 'file, "file:provider:name", or all three', (usdt.attach_usdt,), ("binary",),
        targets.on_static_probe, (ProgramType.KPROBE,), (), ("usdt",),
    ),
    Kind(
        "kprobe.multi", "pattern or list", (multi.attach_kprobe_multi,), ("functions",),
        targets.on_kprobes, (ProgramType.KPROBE,), _MULTI_KPROBES,
    ),
    Kind(
        "uprobe.multi", "`(file, pattern or list)`", (multi.attach_uprobe_multi,),
        ("binary", "functions"), targets.on_uprobes, (ProgramType.KPROBE,), _MULTI_UPROBES,
    ),
    Kind(
        "uprobe, uretprobe", '`(file, function)` or "file:function"', (probes.attach_uprobe,),
        ("binary", "function"), targets.on_uprobe, (ProgramType.KPROBE,), (),
        _UPROBES,
    ),
    Kind(
        "kprobe, kretprobe", "function", (probes.attach_kprobe,), ("function",),
        targets.on_kprobe, (ProgramType.KPROBE,),
    ),
    Kind(
        "tracepoint", '"category:name"', (perf.attach_tracepoint,), ("category", "name"),
        targets.on_tracepoint, (ProgramType.TRACEPOINT,),
    ),
    Kind(
        "raw_tp", "name", (tracing.attach_raw_tracepoint,), ("name",),
        targets.on_raw_tracepoint,
        (ProgramType.RAW_TRACEPOINT, ProgramType.RAW_TRACEPOINT_WRITABLE),
    ),
    Kind(
        "iter", "none, or a map", (iterators.attach_iterator,), ("map",), targets.on_iterator,
        (ProgramType.TRACING,), (AttachType.TRACE_ITER,),
    ),
    Kind(
        "fentry.multi, fexit.multi, fsession.multi", "pattern or list",
        (tracing_multi.attach_tracing_multi,), ("functions",), targets.on_traced_many,
        (ProgramType.TRACING,), tuple(MULTI_TRACING),
    ),
    Kind(
        "fentry, fexit, fmod_ret, lsm, tp_btf", "none: said at load", (tracing.attach_tracing,),
        (), targets.on_traced, (ProgramType.TRACING, ProgramType.LSM),
    ),
    Kind(
        "freplace", "none, or another program", (tracing.attach_freplace,), ("target",),
        targets.on_program, (ProgramType.EXT,),
    ),
    Kind(
        "perf_event", "`SoftwareEvent`, `HardwareEvent`", (perf.attach_perf_event,), ("event",),
        targets.on_event, (ProgramType.PERF_EVENT,),
    ),
    Kind(
        "socket filter", "socket", (sockets.attach_socket_filter,), ("target",),
        targets.on_socket, (ProgramType.SOCKET_FILTER,),
    ),
    Kind(
        "sk_reuseport", "socket", (sockets.attach_reuseport,), ("target",),
        targets.on_reuseport, (ProgramType.SK_REUSEPORT,),
    ),
    Kind(
        "sk_skb, sk_msg", "sockmap", (sockets.attach_sockmap,), ("sockmap",),
        targets.on_sockmap, (ProgramType.SK_SKB, ProgramType.SK_MSG),
    ),
    Kind(
        "sk_lookup, flow_dissector", "network namespace; the current one",
        (sockets.attach_netns,), ("netns",), targets.on_namespace,
        (ProgramType.SK_LOOKUP, ProgramType.FLOW_DISSECTOR),
    ),
    Kind(
        "netfilter", '`("ipv4", "input")`', (netfilter.attach_netfilter,), ("family", "hook"),
        targets.on_netfilter, (ProgramType.NETFILTER,),
    ),
)  # fmt: skip


@names_wrong_arguments
def attach(program: Attachable, target: Any = None, **options: Any) -> Link:
    """Attach a program where its type, attach type and section say; `KINDS` has what `target`
    and `options` are for each kind. The link is the caller's.

    Without a target the section of the object file tells it ("kprobe/do_unlinkat").
    NotSupportedError for what has no attachment or what this kernel lacks; ValueError when a
    target is missing; TypeError for an option that the kind does not take.
    """
    kind = kind_of(program, target, options)
    known = kind.options()
    for name in options:
        if name not in known and name not in kind.given:
            from osmia.engine.refusals import misspelt

            raise misspelt(f"attach of {kind.name} programs", name, known)
    return kind.attach(program, target, options)


def kind_of(program: Attachable, target: Any, options: dict[str, Any]) -> Kind:
    """Which kind of the table a program is of; NotSupportedError for those of none."""
    base = targets.base_of(program)
    if base not in _SAID_BY_SECTION and targets.means_a_file(target, options):
        base = "uprobe"
    for kind in KINDS:
        if (
            program.type in kind.types
            and (not kind.attach_types or program.expected_attach_type in kind.attach_types)
            and (not kind.sections or base in kind.sections)
        ):
            return kind
    if program.type not in ProgramType._value2member_map_:
        raise NotSupportedError(f"no way to attach programs of type {program.type}")
    known = ProgramType(program.type)
    raise NotSupportedError(_NOT_ATTACHED.get(known, f"no way to attach {known} programs"))


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """A function's parameters but for the first, the program."""
    # `inspect` takes 20 ms to import.
    code = getattr(function, "__wrapped__", function).__code__
    return tuple(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
