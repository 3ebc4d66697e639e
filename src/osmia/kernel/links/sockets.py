"""Programs on sockets: filters, reuseport groups, sockmaps, and network namespaces' hooks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import HookLink, KernelLink
from osmia.kernel.links.prog_attach import attach_to
from osmia.kernel.probes.features import needs
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor, HasFileno
from osmia.object.uapi import AttachType, ProgramType

# The name that type checkers know; `typing` is dear, as is `socket`.
TYPE_CHECKING = False

if TYPE_CHECKING:
    import socket

# include/uapi/asm-generic/socket.h
_SOL_SOCKET = 1
_ATTACH_BPF, _DETACH_FILTER = 50, 27
_ATTACH_REUSEPORT, _DETACH_REUSEPORT = 52, 68

_SOCKMAP_HOOKS = {
    ProgramType.SK_SKB: AttachType.SK_SKB_VERDICT,
    ProgramType.SK_MSG: AttachType.SK_MSG_VERDICT,
}
_NETNS_HOOKS = {
    ProgramType.SK_LOOKUP: AttachType.SK_LOOKUP,
    ProgramType.FLOW_DISSECTOR: AttachType.FLOW_DISSECTOR,
}


@names_wrong_arguments
def attach_socket_filter(program: Attachable, target: socket.socket) -> HookLink:
    """Let the program decide how much of each packet the socket gets (since 3.19).

    The socket keeps the program until `detach`, or until it is closed.
    """
    what = f"program {program.name!r} on socket {target.fileno()}"
    _set_option(target, _ATTACH_BPF, program.fileno(), f"attach {what}")
    return HookLink(
        what,
        _unset(target, _DETACH_FILTER, what),
        lambda other: _set_option(target, _ATTACH_BPF, other.fileno(), f"update {what}"),
    )


@names_wrong_arguments
def attach_reuseport(program: Attachable, target: socket.socket) -> HookLink:
    """Let the program choose the socket of a SO_REUSEPORT group (since 4.19).

    `target` is one socket of the group. Detaching needs 5.3; before that the program
    stays as long as the group.
    """
    what = f"program {program.name!r} on the reuseport group of socket {target.fileno()}"
    _set_option(target, _ATTACH_REUSEPORT, program.fileno(), f"attach {what}")
    return HookLink(
        what,
        _unset(target, _DETACH_REUSEPORT, what),
        lambda other: _set_option(target, _ATTACH_REUSEPORT, other.fileno(), f"update {what}"),
    )


@names_wrong_arguments
def attach_netns(
    program: Attachable, netns: str | os.PathLike[str] | int = "/proc/thread-self/ns/net"
) -> KernelLink:
    """Attach a socket lookup (since 5.9) or flow dissector program (since 5.8) to a network
    namespace, given as a path or descriptor; the one of this thread by default."""
    attach_type = _NETNS_HOOKS.get(ProgramType(program.type))
    if attach_type is None:
        raise NotSupportedError(f"program {program.name!r} is none for a network namespace")
    what = f"program {program.name!r} on {attach_type.name.lower()} of the network namespace"
    with _open_netns(netns) as namespace, needs("5.8", "links on network namespaces"):
        fd = syscall.link_create(
            program.fileno(),
            target=namespace.fileno(),
            attach_type=attach_type,
            what=f"attach {what}",
        )
    return KernelLink(FileDescriptor(fd), what)


@names_wrong_arguments
def attach_sockmap(
    program: Attachable, sockmap: HasFileno, attach_type: AttachType | None = None
) -> Link:
    """Run the program on what the sockets of a SOCKMAP or SOCKHASH receive (verdict, parser)
    or send (msg verdict).

    `attach_type` may be left out when the program was loaded for one; verdict otherwise.
    A link since 6.10. Before (4.14), an attachment that lasts as long as the map when
    nobody detaches it.
    """
    hook = _sockmap_hook(program) if attach_type is None else attach_type
    what = f"program {program.name!r} on {hook.name.lower()} of a sockmap"
    try:
        with needs("6.10", "links on sockmaps"):
            fd = syscall.link_create(
                program.fileno(),
                target=sockmap.fileno(),
                attach_type=hook,
                what=f"attach {what}",
            )
    except NotSupportedError:
        return _attach_to_map(program, sockmap, hook, what)
    return KernelLink(FileDescriptor(fd), what)


def _sockmap_hook(program: Attachable) -> AttachType:
    if program.expected_attach_type is not None:
        return AttachType(program.expected_attach_type)
    hook = _SOCKMAP_HOOKS.get(ProgramType(program.type))
    if hook is None:
        raise NotSupportedError(f"program {program.name!r} is none for a sockmap")
    return hook


def _attach_to_map(
    program: Attachable, sockmap: HasFileno, hook: AttachType, what: str
) -> HookLink:
    # A descriptor of its own: the map may be closed before the program is detached.
    target = FileDescriptor(os.dup(sockmap.fileno()), "sockmap")

    def attach() -> None:
        syscall.prog_attach(
            program.fileno(), target=target.fileno(), attach_type=hook, what=f"attach {what}"
        )

    return attach_to(target, program, hook, what, attach)


def _set_option(target: socket.socket, option: int, value: int, what: str) -> None:
    try:
        target.setsockopt(_SOL_SOCKET, option, value)
    except OSError as error:
        raise KernelError(error.errno or 0, what) from None


def _unset(target: socket.socket, option: int, what: str) -> Callable[[], None]:
    def detach() -> None:
        if target.fileno() < 0:  # the program went with the socket
            return
        try:
            target.setsockopt(_SOL_SOCKET, option, 0)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise KernelError(error.errno or 0, f"detach {what}") from None

    return detach


def _open_netns(netns: str | os.PathLike[str] | int) -> FileDescriptor:
    if isinstance(netns, int):
        return FileDescriptor(os.dup(netns), "network namespace")
    flags = os.O_RDONLY | os.O_CLOEXEC
    return FileDescriptor(os.open(netns, flags), f"network namespace {os.fspath(netns)}")
