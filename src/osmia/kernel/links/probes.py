"""kprobes and uprobes, one function at a time: a perf event that the program hangs on."""

from __future__ import annotations

import errno
import itertools
import os
from contextlib import ExitStack
from functools import cache

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import HookLink
from osmia.kernel.links.perf import PerfType, attach_to_event, open_event
from osmia.kernel.links.symbols import find_binary, function_offset
from osmia.kernel.probes.features import missing
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import PerfEventAttr
from osmia.kernel.sys.fd import FileDescriptor
from osmia.paths import Path
from osmia.tracefs import tracefs

_SOURCES = Path("/sys/bus/event_source/devices")
_SYSCALL_PREFIXES = {"x86_64": "__x64_", "aarch64": "__arm64_", "riscv64": "__riscv_"}


@names_wrong_arguments
def attach_kprobe(
    program: Attachable,
    function: str,
    *,
    offset: int = 0,
    return_probe: bool = False,
    cookie: int = 0,
) -> Link:
    """Attach to the entry (or `offset` bytes into, or the return) of a kernel function.

    `function` may say "name+0x10" itself. Links and `cookie` since 5.15. On kernels
    before 4.17 the probe is made in the trace file system.

    KernelError ENOENT or EADDRNOTAVAIL when the kernel has no such function.
    """
    name, _, inside = function.partition("+")
    offset += int(inside or "0", 0)
    kind = "kretprobe" if return_probe else "kprobe"
    what = f"program {program.name!r} on {kind} {name}{f'+{offset:#x}' if offset else ''}"
    if (source := _source("kprobe")) is None:
        return _legacy_probe(program, "kprobe", return_probe, f"{name}+{offset}", what, cookie)
    text = name.encode()
    attribute = PerfEventAttr(
        type=source,
        config=_return_bit("kprobe") if return_probe else 0,
        config1=syscall.address_of(text),
        config2=offset,
    )
    try:
        event = open_event(attribute, what, cpu=0)
    except KernelError as error:
        if error.errno not in (errno.ENOENT, errno.EADDRNOTAVAIL):
            raise
        hint = f"the kernel has no function {name!r} to probe, or it cannot be probed there"
        raise KernelError(error.errno or 0, error.what, hint=hint) from None
    return attach_to_event(program, event, what, cookie)


@names_wrong_arguments
def attach_uprobe(
    program: Attachable,
    binary: str | os.PathLike[str],
    function: str = "",
    *,
    offset: int = 0,
    return_probe: bool = False,
    pid: int | None = None,
    reference_counter: int = 0,
    cookie: int = 0,
) -> Link:
    """Attach to the entry or return of a function in a program or library, in user space.

    `binary` is a path, a library by name ("libc") or a program in $PATH; `function`
    a symbol of it, "name" or "name+0x10"; without one `offset` counts in bytes from
    the start of the file, else from the function. Without `pid`: in all processes.
    `reference_counter` is the file offset of a counter to hold up while attached (USDT
    semaphores; since 4.20). Links and `cookie` since 5.15; before 4.17 the probe is
    made in the trace file system.

    Raises SymbolNotFoundError (AmbiguousSymbolError, where several functions have the name),
    KernelError, ValueError for a counter from 4 GiB on, and where neither a function nor an
    offset is given: byte 0 of a file is no code.
    """
    if not function and not offset:
        raise ValueError(f"program {program.name!r}: attach to what? It needs a function")
    if reference_counter >> 32:
        raise ValueError(f"a reference counter at {reference_counter:#x} is beyond 4 GiB")
    path = find_binary(binary, pid)
    place = (function_offset(path, function) if function else 0) + offset
    kind = "uretprobe" if return_probe else "uprobe"
    where = f"{path}:{function}" if function else f"{path}+{place:#x}"
    what = f"program {program.name!r} on {kind} {where}"
    if (source := _source("uprobe")) is None:
        _refuse_legacy(
            pid is not None or bool(reference_counter), "pid and reference counter of uprobes"
        )
        return _legacy_probe(program, "uprobe", return_probe, f"{path}:{place:#x}", what, cookie)
    text = os.fsencode(path)
    attribute = PerfEventAttr(
        type=source,
        config=(_return_bit("uprobe") if return_probe else 0) | reference_counter << 32,
        config1=syscall.address_of(text),
        config2=place,
    )
    event = open_event(attribute, what, pid=pid, cpu=0 if pid is None else -1)
    return attach_to_event(program, event, what, cookie)


def syscall_function(name: str) -> str:
    """The kernel function of a system call, "openat" → "__x64_sys_openat" (since 4.17)."""
    return f"{_SYSCALL_PREFIXES.get(os.uname().machine, '')}sys_{name}"


@cache
def _source(kind: str) -> int | None:
    """The perf event type of kprobes or uprobes (since 4.17), None before or without them."""
    try:
        return int((_SOURCES / kind / "type").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


@cache
def _return_bit(kind: str) -> int:
    """The configuration bit that makes a probe one of the return."""
    text = (_SOURCES / kind / "format/retprobe").read_text(encoding="ascii")
    return 1 << int(text.strip().removeprefix("config:"))


_counter = itertools.count()


def _refuse_legacy(wanted: bool, what: str) -> None:
    if wanted:
        raise NotSupportedError(f"this kernel has no {what}", since="4.17")


def _legacy_probe(
    program: Attachable, kind: str, return_probe: bool, place: str, what: str, cookie: int
) -> Link:
    """Make the probe in the trace file system, and remove it again with the attachment."""
    events = tracefs() / f"{kind}_events"
    if not events.exists():
        raise missing(f"{kind}s", "4.1")
    name = f"osmia_{os.getpid()}_{next(_counter)}"
    letter = "r" if return_probe else "p"
    with ExitStack() as undo:
        _append(events, f"{letter}:{kind}s/{name} {place}", what)
        undo.callback(_append, events, f"-:{kind}s/{name}", what)
        identifier = int((tracefs() / f"events/{kind}s/{name}/id").read_text(encoding="ascii"))
        attribute = PerfEventAttr(type=PerfType.TRACEPOINT, config=identifier, sample_period=1)
        event = open_event(attribute, what, cpu=0)
        undo.push(attach_to_event(program, event, what, cookie))
        cleanup = undo.pop_all()
    return HookLink(what, cleanup.close)


def _append(events: Path, line: str, what: str) -> None:
    """Write one command. The file is not truncated, which would remove all probes."""
    try:
        with FileDescriptor(os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)) as file:
            os.write(file.fileno(), f"{line}\n".encode())
    except OSError as error:
        raise KernelError(error.errno or 0, f"attach {what}") from None
