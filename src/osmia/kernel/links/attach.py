"""`Program.attach`: which of the attach functions a program wants, and with what."""

from __future__ import annotations

import os
import socket
from typing import Any

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
    tcx,
    tracing,
    tracing_multi,
    usdt,
    xdp,
)
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import Link
from osmia.object.uapi import MULTI_TRACING, AttachType, ProgramType

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


def attach(program: Attachable, target: Any = None, **options: Any) -> Link:
    """Attach a program where its type, attach type and section say.

    `target`, by program type:

    - XDP, traffic control: an interface by name or index (`direction` unless loaded for one);
    - cgroup, sock_ops, lsm_cgroup: a cgroup directory;
    - tracepoint: "category:name"; raw tracepoint: "name";
    - kprobe: a kernel function; kprobe.multi: a pattern or list of them;
    - uprobe: (file, function), "file:function" or a file and `offset`; multi likewise;
    - usdt: a file with `provider` and `name`, or "file:provider:name";
    - perf_event: a SoftwareEvent or HardwareEvent;
    - iter: a map for map element iterators, nothing for others;
    - socket filter, sk_reuseport: a socket; sk_skb, sk_msg: a sockmap;
    - sk_lookup, flow_dissector: a network namespace (default: the current one);
    - netfilter: ("ipv4", "input");
    - freplace: another program, with `function`;
    - fentry.multi, fexit.multi, fsession.multi: a pattern or list of kernel functions;
    - fentry, fexit, fmod_ret, lsm, tp_btf: nothing, it was said at load.

    Without a target the section of the object file tells it ("kprobe/do_unlinkat").
    `options` are those of the attach function of that kind. NotSupportedError for
    what has no attachment or what this kernel lacks; ValueError when a target is missing.
    """
    match program.type:
        case ProgramType.XDP:
            return xdp.attach_xdp(program, _interface(program, target), **options)
        case ProgramType.SCHED_CLS:
            return _attach_classifier(program, _interface(program, target), options)
        case kind if kind in _CGROUP_TYPES:
            return cgroup.attach_cgroup(program, _needed(program, target, "a cgroup"), **options)
        case ProgramType.TRACEPOINT:
            return perf.attach_tracepoint(program, _named(program, target), **options)
        case ProgramType.RAW_TRACEPOINT | ProgramType.RAW_TRACEPOINT_WRITABLE:
            return tracing.attach_raw_tracepoint(program, _named(program, target), **options)
        case ProgramType.TRACING if program.expected_attach_type == AttachType.TRACE_ITER:
            return iterators.attach_iterator(program, **_with(options, map=target))
        case ProgramType.LSM if program.expected_attach_type == AttachType.LSM_CGROUP:
            return cgroup.attach_cgroup(program, _needed(program, target, "a cgroup"), **options)
        case ProgramType.TRACING if program.expected_attach_type in MULTI_TRACING:
            functions = _needed(program, target or _section(program)[1], "functions")
            return tracing_multi.attach_tracing_multi(program, functions, **options)
        case ProgramType.TRACING | ProgramType.LSM:
            return tracing.attach_tracing(program, **options)
        case ProgramType.EXT:
            return tracing.attach_freplace(program, target, **options)
        case ProgramType.KPROBE:
            return _attach_probe(program, target, options)
        case ProgramType.PERF_EVENT:
            event = _needed(program, target, "an event")
            return perf.attach_perf_event(program, event, **options)
        case ProgramType.SOCKET_FILTER:
            return sockets.attach_socket_filter(program, _socket(program, target), **options)
        case ProgramType.SK_REUSEPORT:
            return sockets.attach_reuseport(program, _socket(program, target), **options)
        case ProgramType.SK_SKB | ProgramType.SK_MSG:
            return sockets.attach_sockmap(program, _needed(program, target, "a sockmap"), **options)
        case ProgramType.SK_LOOKUP | ProgramType.FLOW_DISSECTOR:
            return sockets.attach_netns(program, **_with(options, netns=target))
        case ProgramType.NETFILTER:
            family, hook = target if isinstance(target, tuple) else (target, "")
            chosen = _with({"family": family, "hook": hook}, **options)
            return netfilter.attach_netfilter(program, **chosen)
        case other:
            raise NotSupportedError(
                _NOT_ATTACHED.get(ProgramType(other), f"no way to attach {other} programs")
                if other in ProgramType._value2member_map_
                else f"no way to attach programs of type {other}"
            )


def _attach_classifier(program: Attachable, interface: str | int, options: dict[str, Any]) -> Link:
    """netkit for programs loaded for it; tcx where the kernel has it, else clsact."""
    if program.expected_attach_type in _NETKIT:
        return tcx.attach_netkit(program, interface, **options)
    if options.keys() & {"priority", "handle", "replace"}:
        return clsact.attach_clsact(program, interface, **options)
    try:
        return tcx.attach_tcx(program, interface, **options)
    except NotSupportedError:
        if options.keys() - {"direction"}:
            raise  # an order among programs has no counterpart
        return clsact.attach_clsact(program, interface, **options)


def _attach_probe(program: Attachable, target: Any, options: dict[str, Any]) -> Link:
    """kprobes and uprobes: what kind is in the attach type or in the section's name."""
    section, said = _section(program)
    base = section.removesuffix(".s")
    returns = base.startswith(("kret", "uret"))
    if base in ("ksyscall", "kretsyscall"):
        name = _needed(program, target or said, "a system call")
        options = _with({"return_probe": returns}, **options)
        return probes.attach_kprobe(program, probes.syscall_function(name), **options)
    if base == "usdt":
        where, others = _static_probe(program, target or said, options)
        return usdt.attach_usdt(program, *where, **others)
    chosen = _with({"return_probe": returns}, **options)
    if program.expected_attach_type in _MULTI_KPROBES:
        if "addresses" not in options:
            chosen["functions"] = _needed(program, target or said, "functions")
        return multi.attach_kprobe_multi(program, **chosen)
    if program.expected_attach_type in _MULTI_UPROBES:
        binary, functions = _binary_and_function(program, target or said)
        return multi.attach_uprobe_multi(program, binary, functions, **chosen)
    if base.startswith("u") or _means_a_file(target, options):
        binary, functions = _binary_and_function(program, target or said)
        return probes.attach_uprobe(program, binary, functions, **chosen)
    return probes.attach_kprobe(program, _needed(program, target or said, "a function"), **chosen)


def _section(program: Attachable) -> tuple[str, str]:
    """("uprobe", "libc:malloc") of section "?uprobe/libc:malloc"."""
    if program.definition is None:
        return "", ""
    prefix, _, _rest = program.definition.section.lstrip("?").partition("/")
    return prefix, program.definition.attach_to


def _means_a_file(target: Any, options: dict[str, Any]) -> bool:
    return (
        isinstance(target, tuple | os.PathLike)
        or (isinstance(target, str) and (":" in target or "/" in target))
        or "pid" in options
    )


def _binary_and_function(program: Attachable, target: Any) -> tuple[Any, Any]:
    """("libc", "malloc") from a pair, "libc:malloc", or a file alone."""
    match target:
        case (binary, functions):
            return binary, functions
        case str() if target:
            binary, _, function = target.rpartition(":")
            return (binary, function) if binary else (function, "")
        case os.PathLike():
            return target, ""
    raise ValueError(f"program {program.name!r}: attach to what? Give (file, function)")


def _static_probe(
    program: Attachable, target: Any, options: dict[str, Any]
) -> tuple[tuple[Any, str, str], dict[str, Any]]:
    """(file, provider, name) from "file:provider:name", all three, or options; the others."""
    others = {name: value for name, value in options.items() if name not in ("provider", "name")}
    provider, name = options.get("provider", ""), options.get("name", "")
    match target:
        case (binary, provider, name):
            return (binary, provider, name), others
        case str() | os.PathLike() if provider and name:
            return (target, provider, name), others
        case str() if target.count(":") >= 2:
            binary, provider, name = target.rsplit(":", 2)
            return (binary, provider, name), others
    raise ValueError(
        f"program {program.name!r}: attach to which static probe?"
        " Give a file, provider=… and name=…"
    )


def _interface(program: Attachable, target: Any) -> str | int:
    if not isinstance(target, str | int) or target == "":
        raise ValueError(f"program {program.name!r}: attach to which interface?")
    return target


def _named(program: Attachable, target: Any) -> str:
    """The target, or what the section says behind its slash."""
    return str(_needed(program, target or _section(program)[1], "a tracepoint"))


def _needed(program: Attachable, target: Any, what: str) -> Any:
    if target is None or target == "":
        raise ValueError(f"program {program.name!r}: attach to what? It needs {what}")
    return target


def _socket(program: Attachable, target: Any) -> socket.socket:
    if not isinstance(target, socket.socket):
        raise ValueError(f"program {program.name!r}: attach to which socket?")
    return target


def _with(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Options and others that say something; the explicit ones win over None and ""."""
    return options | {name: value for name, value in more.items() if value is not None}
