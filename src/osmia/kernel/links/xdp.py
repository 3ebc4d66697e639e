"""XDP: a program on an interface's receive path, before the network stack."""

from __future__ import annotations

import errno

from osmia.arguments import names_wrong_arguments
from osmia.errors import KernelError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.probes.features import needs
from osmia.kernel.rtnetlink.interfaces import interface_index, interface_words
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType

#: XDP_FLAGS_*_MODE, include/uapi/linux/if_link.h
_MODES = {"": 0, "generic": 2, "native": 4, "offload": 8}


@names_wrong_arguments
def attach_xdp(program: Attachable, interface: str | int, *, mode: str = "") -> KernelLink:
    """Attach to an interface, by name or index (a link, since 5.9).

    `mode`: "native" (in the driver), "generic" (in the stack, any device), "offload" (on
    the card); "" is native where the driver can, else generic.

    KernelError EBUSY when a program is attached there already.
    """
    if mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(map(repr, _MODES))}, not {mode!r}")
    index = interface_index(interface)
    what = f"program {program.name!r} on {interface_words(interface)}"
    try:
        with needs("5.9", "XDP links"):
            fd = syscall.link_create(
                program.fileno(),
                target=index,
                attach_type=AttachType.XDP,
                flags=_MODES[mode],
                what=f"attach {what}",
            )
    except KernelError as error:
        hint = _hint(error.errno, mode)
        if not hint:
            raise
        raise KernelError(error.errno or 0, error.what, hint=hint) from None
    return KernelLink(FileDescriptor(fd), what)


def _hint(error: int | None, mode: str) -> str:
    if error in (errno.EBUSY, errno.EEXIST):
        return "another XDP program is attached there; detach it, or update its link"
    if error == errno.EOPNOTSUPP and mode in ("native", "offload"):
        return f'the driver has no {mode} XDP; mode="generic" works on every device'
    return ""
