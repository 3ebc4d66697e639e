"""Netfilter: programs among the packet filter's hooks."""

from __future__ import annotations

import errno

from osmia.arguments import names_wrong_arguments
from osmia.errors import KernelError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.probes.features import needs
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import LinkNetfilterOptions
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType

#: NFPROTO_*, NF_INET_* and BPF_F_NETFILTER_IP_DEFRAG (include/uapi/linux/netfilter.h, bpf.h)
FAMILIES = {"ipv4": 2, "ipv6": 10}
HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
_DEFRAGMENT = 1


@names_wrong_arguments
def attach_netfilter(
    program: Attachable,
    family: str,
    hook: str,
    *,
    priority: int = 0,
    defragment: bool = False,
) -> KernelLink:
    """Attach to a hook (a key of HOOKS) for "ipv4" or "ipv6" packets (a link, since 6.4).

    Hooks run by ascending `priority`; 0 is where the filter table is. With `defragment`
    the program sees whole datagrams (since 6.6; needs a priority above -400).

    The program acts in the network namespace of the caller.
    """
    for chosen, table in ((family, FAMILIES), (hook, HOOKS)):
        if chosen not in table:
            raise ValueError(f"one of {', '.join(map(repr, table))}, not {chosen!r}")
    what = f"program {program.name!r} on {family} {hook}"
    options = LinkNetfilterOptions(
        pf=FAMILIES[family],
        hooknum=HOOKS[hook],
        priority=priority,
        flags=_DEFRAGMENT if defragment else 0,
    )
    try:
        with needs("6.6" if defragment else "6.4", "such netfilter links"):
            fd = syscall.link_create(
                program.fileno(),
                attach_type=AttachType.NETFILTER,
                options=options,
                what=f"attach {what}",
            )
    except KernelError as error:
        if error.errno not in (errno.EBUSY, errno.EEXIST):
            raise
        hint = f"another program has priority {priority} there"
        raise KernelError(error.errno or 0, error.what, hint=hint) from None
    return KernelLink(FileDescriptor(fd), what)
