"""Programs and maps for an interface that runs them itself: why it does not."""

from __future__ import annotations

import errno

from osmia.errors import KernelError, NotSupportedError, OsmiaError
from osmia.kernel.rtnetlink.interfaces import interface_words


def not_offloaded(what: str, ifindex: int, error: KernelError) -> OsmiaError:
    """The refusal of something for an interface, with the likely reason.

    The kernel says EINVAL or EOPNOTSUPP whether the interface takes nothing, not this, or is
    not there.
    """
    if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
        return error
    interface = interface_words(ifindex)
    return NotSupportedError(f"{interface} does not take {what}: {error}")
