"""File descriptors with one owner each."""

from __future__ import annotations

import os
import warnings

from osmia.closing import ClosedByWith
from osmia.errors import ClosedError

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn, Protocol
else:
    Protocol = object

#: Whether to remember where each descriptor is made, for the leak warning; costs a stack walk.
#: Read once: looking a variable up takes longer than anything else that is done here.
DEBUG = bool(os.environ.get("OSMIA_DEBUG"))


class HasFileno(Protocol):
    """Something with a descriptor: a map, a socket, an open file."""

    def fileno(self) -> int:
        """The number of the descriptor."""


class NamedDescriptor(HasFileno, Protocol):
    """Something of the kernel's with a descriptor and a name: a program, a map."""

    @property
    def name(self) -> str:
        """What it is called in messages, and by who lists it."""


class FileDescriptor(ClosedByWith):
    """Owns the descriptor `fd`: closes it once, and refuses to be used afterwards.

    `what` names the thing in errors and warnings: "map 'flows'". One that is collected
    while still open closes itself and emits a ResourceWarning; with OSMIA_DEBUG=1 in
    the environment at the start the warning says where it was made.
    """

    __slots__ = ("_fd", "_origin", "what")

    def __init__(self, fd: int, what: str = "file descriptor") -> None:
        self._fd = fd
        self.what = what
        self._origin = _calling_code() if DEBUG else ""

    @property
    def closed(self) -> bool:
        """Whether `close` or `detach` was called."""
        return self._fd < 0

    def fileno(self) -> int:
        """The number of the descriptor. ClosedError when it was closed."""
        if self._fd < 0:
            raise ClosedError(f"{self.what} is closed")
        return self._fd

    def duplicate(self) -> FileDescriptor:
        """Another owner of another descriptor (close-on-exec) for the same thing."""
        return FileDescriptor(os.dup(self.fileno()), self.what)

    def detach(self) -> int:
        """Give the descriptor away: the caller closes it from now on."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def close(self) -> None:
        """Close it; nothing happens when it is closed already."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied and pickled: the number would have two owners."""
        raise TypeError(f"{self.what} cannot be copied or pickled: a descriptor has one owner")

    def __enter__(self) -> FileDescriptor:
        self.fileno()
        return self

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"fd {self._fd}"
        return f"<{self.what}, {state}>"

    def __del__(self) -> None:
        # __init__ may have been interrupted before there was anything to own.
        if getattr(self, "_fd", -1) < 0:
            return
        message = f"{self.what} (fd {self._fd}) was never closed"
        if self._origin:
            message += f"; made at:\n{self._origin}"
        self.close()
        warnings.warn(message, ResourceWarning, stacklevel=2, source=self)


def _calling_code() -> str:
    import traceback  # 5 ms that nobody else needs

    return "".join(traceback.format_stack(limit=12)[:-2]).rstrip()
