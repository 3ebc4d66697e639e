"""Numbers that map operations share: update flags and results (include/uapi/linux/bpf.h)."""

from __future__ import annotations

import errno

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

ANY: Final = 0
NOEXIST: Final = 1
EXIST: Final = 2
LOCK: Final = 4

M32: Final = 0xFFFF_FFFF
M64: Final = 0xFFFF_FFFF_FFFF_FFFF


def failure(number: int) -> int:
    """An errno value as a helper returns it: negative, in 64 bits."""
    return M64 + 1 - number


E_PERM: Final = failure(errno.EPERM)
E_NOENT: Final = failure(errno.ENOENT)
E_2BIG: Final = failure(errno.E2BIG)
E_AGAIN: Final = failure(errno.EAGAIN)
E_NOMEM: Final = failure(errno.ENOMEM)
E_FAULT: Final = failure(errno.EFAULT)
E_BUSY: Final = failure(errno.EBUSY)
E_EXIST: Final = failure(errno.EEXIST)
E_INVAL: Final = failure(errno.EINVAL)
E_NOSPC: Final = failure(errno.ENOSPC)
E_RANGE: Final = failure(errno.ERANGE)
E_OPNOTSUPP: Final = failure(errno.EOPNOTSUPP)
FAILURES: Final = failure(4095)
"""Results from here on are errno values."""
