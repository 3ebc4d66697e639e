"""tcx and netkit: programs in order on an interface's traffic control hooks."""

from __future__ import annotations

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.errors import KernelError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.links.order import LinkId, Place, ProgramId
from osmia.kernel.probes.features import missing, needs
from osmia.kernel.rtnetlink.interfaces import interface_index, interface_words
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType
from osmia.records import dataclass

_TCX = {"ingress": AttachType.TCX_INGRESS, "egress": AttachType.TCX_EGRESS}
_NETKIT = {"primary": AttachType.NETKIT_PRIMARY, "peer": AttachType.NETKIT_PEER}


@dataclass(frozen=True, slots=True)
class Attached:
    """The programs on a hook, in the order in which they run, and the hook's revision."""

    program_ids: tuple[int, ...]
    link_ids: tuple[int, ...]
    revision: int


@names_wrong_arguments
def attach_tcx(
    program: Attachable,
    interface: str | int,
    direction: str = "",
    *,
    before: Attachable | Link | ProgramId | LinkId | None = None,
    after: Attachable | Link | ProgramId | LinkId | None = None,
    first: bool = False,
    last: bool = False,
    expected_revision: int = 0,
) -> KernelLink:
    """Attach to an interface's "ingress" or "egress" (a link, since 6.6).

    `direction` may be left out when the program was loaded for one. Without a place the
    program goes last. `before`, `after`: see `Place`.
    """
    attach_type = _choose(_TCX, direction, program)
    place = Place(before, after, first, last, expected_revision)
    with needs("6.6", "tcx"):
        return _attach(program, interface, attach_type, place)


@names_wrong_arguments
def attach_netkit(
    program: Attachable,
    interface: str | int,
    side: str = "",
    *,
    before: Attachable | Link | ProgramId | LinkId | None = None,
    after: Attachable | Link | ProgramId | LinkId | None = None,
    first: bool = False,
    last: bool = False,
    expected_revision: int = 0,
) -> KernelLink:
    """Attach to a netkit device's "primary" or "peer" side, given its primary (since 6.7)."""
    attach_type = _choose(_NETKIT, side, program)
    place = Place(before, after, first, last, expected_revision)
    try:
        with needs("6.7", "netkit"):
            return _attach(program, interface, attach_type, place)
    except KernelError:
        from osmia.kernel.probes import features

        if features.has_attach_type(attach_type):
            raise
        raise missing("netkit", "6.7") from None


@names_wrong_arguments
def attached_tcx(interface: str | int, direction: str) -> Attached:
    """What hangs on an interface's tcx "ingress" or "egress" hook (since 6.6)."""
    if direction not in _TCX:
        raise ValueError(f"direction={direction!r}: 'ingress' or 'egress'")
    with needs("6.6", "tcx"):
        found = syscall.prog_query(
            target=interface_index(interface),
            attach_type=_TCX[direction],
            want_links=True,
            what=f"query {direction} of {interface_words(interface)}",
        )
    return Attached(found.prog_ids, found.link_ids, found.revision)


def attach_for_good(
    program: Attachable, interface: str | int, direction: str, *, first: bool = False
) -> None:
    """Attach to tcx by no link: it stays until it is detached, or the interface is gone.

    It runs last, or `first` of all.
    """
    words = interface_words(interface)
    with needs("6.6", "tcx"):
        syscall.prog_attach(
            program.fileno(),
            target=interface_index(interface),
            attach_type=_TCX[direction],
            flags=Place(first=first).flags,
            what=f"attach program {program.name!r} to tcx {direction} of {words}",
        )


def detach_for_good(
    interface: str | int, direction: str, program: Attachable | None = None
) -> None:
    """Take off a program that no link attached, or the last one; KernelError ENOENT for none."""
    words = interface_words(interface)
    with needs("6.6", "tcx"):
        syscall.prog_detach(
            program.fileno() if program is not None else 0,
            target=interface_index(interface),
            attach_type=_TCX[direction],
            what=f"detach from tcx {direction} of {words}",
        )


def _choose(hooks: dict[str, AttachType], name: str, program: Attachable) -> AttachType:
    if name:
        if name not in hooks:
            raise ValueError(f"one of {', '.join(map(repr, hooks))}, not {name!r}")
        return hooks[name]
    for attach_type in hooks.values():
        if program.expected_attach_type == attach_type:
            return attach_type
    raise ValueError(f"program {program.name!r} does not say which: {' or '.join(hooks)}?")


def _attach(
    program: Attachable, interface: str | int, attach_type: AttachType, place: Place
) -> KernelLink:
    side = attach_type.name.lower().replace("_", " ")
    what = f"program {program.name!r} on {side} of {interface_words(interface)}"
    fd = syscall.link_create(
        program.fileno(),
        target=interface_index(interface),
        attach_type=attach_type,
        flags=place.flags,
        options=place.options,
        what=f"attach {what}",
    )
    return KernelLink(FileDescriptor(fd), what)
