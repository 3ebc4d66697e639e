"""`Path`, whose module is imported when somebody makes the first one.

`pathlib` brings `urllib` and `ipaddress` with it, 3 ms of every start, and most uses of osmia
make no path. To type checkers it is the standard library's; what it makes is.
"""

from __future__ import annotations

import os

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from pathlib import Path
else:

    def Path(*parts):  # noqa: N802
        """As `pathlib.Path(...)`."""
        from pathlib import Path

        return Path(*parts)


__all__ = ["Path", "text_of"]

_PIECE = 1 << 16


def text_of(path: str) -> str:
    """What a small file of the kernel's says. OSError when it cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(descriptor, _PIECE):
            pieces.append(piece)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)
    return b"".join(pieces).decode("utf-8", "surrogateescape")
