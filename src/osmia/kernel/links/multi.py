"""kprobe.multi and uprobe.multi: one link for a program on many functions."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Sequence

from osmia.arguments import names_wrong_arguments
from osmia.errors import BpfPermissionError, KernelError, NotSupportedError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.links.symbols import (
    SymbolNotFoundError,
    find_binary,
    function_offset,
    glob,
    matching_functions,
)
from osmia.kernel.probes.features import missing, needs
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import LinkKprobeMultiOptions, LinkUprobeMultiOptions
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType
from osmia.paths import Path
from osmia.tracefs import tracefs

#: BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN
_RETURN = 1
#: How ftrace lists places that are no functions any more.
_NO_FUNCTION = "__ftrace_invalid_address_"


@names_wrong_arguments
def attach_kprobe_multi(
    program: Attachable,
    functions: str | Sequence[str] = (),
    *,
    addresses: Sequence[int] = (),
    return_probe: bool = False,
    cookie: int = 0,
    cookies: Sequence[int] = (),
) -> KernelLink:
    """Attach to many kernel functions at once (since 5.18; sessions since 6.10).

    `functions` is a pattern with "*" and "?", matched against what ftrace can probe, or
    a list of names; or give `addresses`. `cookies`: one for each of them, or `cookie`: the
    same for all; `bpf_get_attach_cookie` gives it to the program.
    The program says at load whether it is a session: entry and return in one.
    """
    names = _matching_kernel_functions(functions) if isinstance(functions, str) else [*functions]
    count = len(names) or len(addresses)
    cookies = _cookies(cookie, cookies, count)
    _check(count, cookies, bool(names) and bool(addresses))
    what = f"program {program.name!r} on {count} kernel functions"
    texts = (ctypes.c_char_p * len(names))(*(name.encode() for name in names))
    numbers = (ctypes.c_uint64 * len(addresses))(*addresses)
    cookie_array = (ctypes.c_uint64 * len(cookies))(*cookies)
    options = LinkKprobeMultiOptions(
        flags=_RETURN if return_probe else 0,
        cnt=count,
        syms=ctypes.addressof(texts) if names else 0,
        addrs=ctypes.addressof(numbers) if addresses else 0,
        cookies=ctypes.addressof(cookie_array) if cookies else 0,
    )
    session = program.expected_attach_type == AttachType.TRACE_KPROBE_SESSION
    attach_type = AttachType.TRACE_KPROBE_SESSION if session else AttachType.TRACE_KPROBE_MULTI
    thing, version = ("kprobe.session links", "6.10") if session else ("kprobe.multi links", "5.18")
    try:
        with needs(version, thing):
            fd = syscall.link_create(
                program.fileno(), attach_type=attach_type, options=options, what=f"attach {what}"
            )
    except KernelError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise missing(thing, version) from None
        if error.errno not in (errno.ESRCH, errno.ENOENT):
            raise
        hint = "the kernel lacks one of the functions, or it cannot be probed"
        raise KernelError(error.errno or 0, error.what, hint=hint) from None
    return KernelLink(FileDescriptor(fd), what)


@names_wrong_arguments
def attach_uprobe_multi(
    program: Attachable,
    binary: str | os.PathLike[str],
    functions: str | Sequence[str] = (),
    *,
    offsets: Sequence[int] = (),
    return_probe: bool = False,
    pid: int | None = None,
    reference_counters: Sequence[int] = (),
    cookie: int = 0,
    cookies: Sequence[int] = (),
) -> KernelLink:
    """Attach to many functions of a program or library (since 6.6; sessions since 6.13).

    `binary` is a path, a library by name ("libc") or a program in $PATH. `functions` is
    a pattern with "*" and "?" or a list of symbols; or give `offsets` in bytes from the
    file's start. Without `pid`: in all processes. `reference_counters` (file offsets) and
    `cookies`: one for each function, or one `cookie` for all.
    """
    path = find_binary(binary, pid)
    places = [*_offsets(path, functions), *offsets]
    cookies = _cookies(cookie, cookies, len(places))
    _check(len(places), cookies, bool(functions) and bool(offsets))
    if reference_counters and len(reference_counters) != len(places):
        raise ValueError("as many reference counters as functions")
    what = f"program {program.name!r} on {len(places)} functions of {path}"
    text = os.fsencode(path)
    place_array = (ctypes.c_uint64 * len(places))(*places)
    counter_array = (ctypes.c_uint64 * len(reference_counters))(*reference_counters)
    cookie_array = (ctypes.c_uint64 * len(cookies))(*cookies)
    options = LinkUprobeMultiOptions(
        path=syscall.address_of(text),
        offsets=ctypes.addressof(place_array),
        ref_ctr_offsets=ctypes.addressof(counter_array) if reference_counters else 0,
        cookies=ctypes.addressof(cookie_array) if cookies else 0,
        cnt=len(places),
        flags=_RETURN if return_probe else 0,
        pid=pid or 0,
    )
    session = program.expected_attach_type == AttachType.TRACE_UPROBE_SESSION
    attach_type = AttachType.TRACE_UPROBE_SESSION if session else AttachType.TRACE_UPROBE_MULTI
    thing, version = ("uprobe.session links", "6.13") if session else ("uprobe.multi links", "6.6")
    try:
        with needs(version, thing):
            fd = syscall.link_create(
                program.fileno(), attach_type=attach_type, options=options, what=f"attach {what}"
            )
    except KernelError as error:
        if error.errno == errno.EOPNOTSUPP:  # without CONFIG_UPROBES
            raise missing(thing, version) from None
        raise
    return KernelLink(FileDescriptor(fd), what)


def _cookies(cookie: int, cookies: Sequence[int], count: int) -> Sequence[int]:
    if cookie and cookies:
        raise ValueError("give either one cookie for all or a list of them")
    return [cookie] * count if cookie else cookies


def _check(count: int, cookies: Sequence[int], both: bool) -> None:
    if both or not count:
        raise ValueError("give functions either by name or by number, at least one")
    if cookies and len(cookies) != count:
        raise ValueError(f"{len(cookies)} cookies for {count} functions")


def _offsets(path: Path, functions: str | Sequence[str]) -> Iterable[int]:
    if isinstance(functions, str):
        return [each.offset for each in matching_functions(path, functions)] if functions else ()
    return [function_offset(path, function) for function in functions]


def _matching_kernel_functions(pattern: str) -> list[str]:
    """Names that ftrace knows and the pattern matches, each once."""
    if not pattern:
        return []
    if not any(letter in pattern for letter in "*?"):
        return [pattern]
    matches = glob(pattern).fullmatch
    listed = tracefs() / "available_filter_functions"
    if not listed.exists():
        raise NotSupportedError("this kernel is built without function tracing (ftrace)")
    try:
        with listed.open(encoding="ascii", errors="replace") as lines:
            # "name", or "name [module]"; ftrace also lists places that are no functions.
            names = {line.split(None, 1)[0] for line in lines}
    except PermissionError as error:
        raise BpfPermissionError(error.errno or 0, f"read {listed}") from None
    found = sorted(name for name in names if matches(name) and not name.startswith(_NO_FUNCTION))
    if not found:
        raise SymbolNotFoundError(f"no kernel function that can be probed matches {pattern!r}")
    return found
