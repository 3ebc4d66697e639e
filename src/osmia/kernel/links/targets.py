"""What the target of `Program.attach` says, as arguments of the attach functions of each kind.

A target that is left out is looked for in the section of the object file
("kprobe/do_unlinkat").
"""

from __future__ import annotations

import os
from typing import Any

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
    tcx,
    tracing,
    tracing_multi,
    usdt,
    xdp,
)
from osmia.kernel.links.attachable import Attachable

# The name that type checkers know.
TYPE_CHECKING = False

if TYPE_CHECKING:
    import socket

Options = dict[str, Any]


def on_interface(program: Attachable, target: Any, options: Options) -> Link:
    """XDP."""
    return xdp.attach_xdp(program, _interface(program, target), **options)


def on_classifier(program: Attachable, target: Any, options: Options) -> Link:
    """tcx where the kernel has it, else clsact."""
    interface = _interface(program, target)
    if options.keys() & {"priority", "handle", "replace"}:
        return clsact.attach_clsact(program, interface, **options)
    try:
        return tcx.attach_tcx(program, interface, **options)
    except NotSupportedError:
        if options.keys() - {"direction"}:
            raise  # an order among programs has no counterpart
        return clsact.attach_clsact(program, interface, **options)


def on_netkit(program: Attachable, target: Any, options: Options) -> Link:
    """A netkit device, for programs loaded for one."""
    return tcx.attach_netkit(program, _interface(program, target), **options)


def on_cgroup(program: Attachable, target: Any, options: Options) -> Link:
    """A cgroup."""
    return cgroup.attach_cgroup(program, _needed(program, target, "a cgroup"), **options)


def on_system_call(program: Attachable, target: Any, options: Options) -> Link:
    """The kernel function of a system call."""
    name = _needed(program, target or section_of(program)[1], "a system call")
    chosen = _with({"return_probe": _returns(program)}, **options)
    return probes.attach_kprobe(program, probes.syscall_function(name), **chosen)


def on_kprobe(program: Attachable, target: Any, options: Options) -> Link:
    """A function of the kernel."""
    function = _needed(program, target or section_of(program)[1], "a function")
    chosen = _with({"return_probe": _returns(program)}, **options)
    return probes.attach_kprobe(program, function, **chosen)


def on_kprobes(program: Attachable, target: Any, options: Options) -> Link:
    """Many functions of the kernel."""
    chosen = _with({"return_probe": _returns(program)}, **options)
    if "addresses" not in options:
        chosen["functions"] = _needed(program, target or section_of(program)[1], "functions")
    return multi.attach_kprobe_multi(program, **chosen)


def on_uprobe(program: Attachable, target: Any, options: Options) -> Link:
    """A function in user space."""
    binary, function = _binary_and_function(program, target or section_of(program)[1])
    chosen = _with({"return_probe": _returns(program)}, **options)
    return probes.attach_uprobe(program, binary, function, **chosen)


def on_uprobes(program: Attachable, target: Any, options: Options) -> Link:
    """Many functions in user space."""
    binary, functions = _binary_and_function(program, target or section_of(program)[1])
    chosen = _with({"return_probe": _returns(program)}, **options)
    return multi.attach_uprobe_multi(program, binary, functions, **chosen)


def on_static_probe(program: Attachable, target: Any, options: Options) -> Link:
    """A static probe."""
    where, others = _static_probe(program, target or section_of(program)[1], options)
    return usdt.attach_usdt(program, *where, **others)


def on_tracepoint(program: Attachable, target: Any, options: Options) -> Link:
    """A tracepoint."""
    return perf.attach_tracepoint(program, _named(program, target), **options)


def on_raw_tracepoint(program: Attachable, target: Any, options: Options) -> Link:
    """A raw tracepoint."""
    return tracing.attach_raw_tracepoint(program, _named(program, target), **options)


def on_traced(program: Attachable, target: Any, options: Options) -> Link:
    """What the program was loaded for."""
    if target is not None:
        raise ValueError(f"program {program.name!r}: what it traces was said at load")
    return tracing.attach_tracing(program, **options)


def on_traced_many(program: Attachable, target: Any, options: Options) -> Link:
    """Many functions of the kernel, for fentry.multi and the like."""
    functions = _needed(program, target or section_of(program)[1], "functions")
    return tracing_multi.attach_tracing_multi(program, functions, **options)


def on_program(program: Attachable, target: Any, options: Options) -> Link:
    """A function of another program."""
    return tracing.attach_freplace(program, target, **options)


def on_event(program: Attachable, target: Any, options: Options) -> Link:
    """A perf event."""
    return perf.attach_perf_event(program, _needed(program, target, "an event"), **options)


def on_iterator(program: Attachable, target: Any, options: Options) -> Link:
    """An iterator, over a map or what the program is for."""
    return iterators.attach_iterator(program, **_with(options, map=target))


def on_socket(program: Attachable, target: Any, options: Options) -> Link:
    """A socket."""
    return sockets.attach_socket_filter(program, _socket(program, target), **options)


def on_reuseport(program: Attachable, target: Any, options: Options) -> Link:
    """A group of sockets, by one of them."""
    return sockets.attach_reuseport(program, _socket(program, target), **options)


def on_sockmap(program: Attachable, target: Any, options: Options) -> Link:
    """A map of sockets."""
    return sockets.attach_sockmap(program, _needed(program, target, "a sockmap"), **options)


def on_namespace(program: Attachable, target: Any, options: Options) -> Link:
    """A network namespace; this thread's by default."""
    return sockets.attach_netns(program, **_with(options, netns=target))


def on_netfilter(program: Attachable, target: Any, options: Options) -> Link:
    """A hook of netfilter."""
    family, hook = target if isinstance(target, tuple) else (target, "")
    chosen = _with({"family": family, "hook": hook}, **options)
    return netfilter.attach_netfilter(program, **chosen)


def section_of(program: Attachable) -> tuple[str, str]:
    """("uprobe", "libc:malloc") of section "?uprobe/libc:malloc"."""
    if program.definition is None:
        return "", ""
    prefix, _, _rest = program.definition.section.lstrip("?").partition("/")
    return prefix, program.definition.attach_to


def base_of(program: Attachable) -> str:
    """The kind that the section names: "uprobe" of section "uprobe.s/libc:malloc"."""
    return section_of(program)[0].removesuffix(".s")


def means_a_file(target: Any, options: Options) -> bool:
    """Whether a target is in user space, for a program whose section does not say it."""
    return (
        isinstance(target, tuple | os.PathLike)
        or (isinstance(target, str) and (":" in target or "/" in target))
        or "pid" in options
    )


def _returns(program: Attachable) -> bool:
    return base_of(program).startswith(("kret", "uret"))


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
    return str(_needed(program, target or section_of(program)[1], "a tracepoint"))


def _needed(program: Attachable, target: Any, what: str) -> Any:
    if target is None or target == "":
        raise ValueError(f"program {program.name!r}: attach to what? It needs {what}")
    return target


def _socket(program: Attachable, target: Any) -> socket.socket:
    import socket  # which takes 3 ms

    if not isinstance(target, socket.socket):
        raise ValueError(f"program {program.name!r}: attach to which socket?")
    return target


def _with(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Options and others that say something; the explicit ones win over None and ""."""
    return options | {name: value for name, value in more.items() if value is not None}
