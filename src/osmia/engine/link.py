"""`Link`: a program's attachment; and `Links`: those that a loaded object owns.

An attachment ends with its link, and Python ends what nobody refers to. So a LoadedObject holds
the links that it or its programs made, until it is closed: who attaches for as long as the
object is there need not keep anything. A link knows its owner by a weak reference: there is no
circle, and an object that is dropped without `close` gives its descriptors up at once.
"""

from __future__ import annotations

import os
from _weakref import ReferenceType, ref  # all of `weakref` is dear
from abc import ABC, abstractmethod
from contextlib import ExitStack

from osmia.closing import ClosedByWith
from osmia.errors import ClosedError, NotSupportedError

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, Self, TypeVar

    from osmia.engine.program import Program

    AnyLink = TypeVar("AnyLink", bound="Link")


class Link(ClosedByWith, ABC):
    """A program's attachment, as a context manager: leaving the block closes it.

    `what` says in words what hangs where: "program 'drop' on interface eth0". Links that a
    LoadedObject or one of its programs made belong to that object, which closes them when it
    is closed; `disown` takes one away from it. An engine brings `closed`, `_detach` and
    `_close`, and what its links can beyond that.
    """

    what: str
    _owner: ReferenceType[Links] | None = None

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether `detach` or `close` was called."""

    @abstractmethod
    def _detach(self) -> None:
        """`detach`, but for the owner."""

    @abstractmethod
    def _close(self) -> None:
        """`close`, but for the owner."""

    def detach(self) -> None:
        """Take the program off its hook now, and close. Nothing happens the second time."""
        try:
            self._detach()
        finally:
            self._leave_when_closed()

    def close(self) -> None:
        """Give up this reference; without others (a pin, a process) the program is taken off."""
        try:
            self._close()
        finally:
            self._leave_when_closed()

    def disown(self) -> Self:
        """Take the link away from the LoadedObject that owns it: closing that leaves it alone,
        and whoever has the link closes it. Gives the link."""
        owner = self._owner() if self._owner is not None else None
        self._owner = None
        if owner is not None:
            owner.forget(self)
        return self

    def fileno(self) -> int:
        """The link's descriptor. NotSupportedError for attachments that have none."""
        raise NotSupportedError(f"{self.what}: there is no descriptor")

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Keep the program attached under a path in a bpffs; missing directories are made.
        It stays attached when the link is closed."""
        raise NotSupportedError(f"{self.what}: it cannot be pinned")

    def update(self, program: Program, *, expected: Program | None = None) -> None:
        """Put another program of the same type in this one's place, atomically.

        With `expected` only when that one is there now: KernelError EPERM otherwise.
        """
        raise NotSupportedError(f"{self.what}: no atomic update")

    @property
    def info(self) -> Any:
        """What the engine tells of the link."""
        raise NotSupportedError(f"{self.what}: the engine tells nothing")

    def _leave_when_closed(self) -> None:
        if self.closed:
            self.disown()

    def __enter__(self) -> Self:
        if self.closed:
            raise ClosedError(f"the link of {self.what} is closed")
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.what}{', closed' if self.closed else ''}>"


class Links:
    """The open links that one loaded object owns, in the order in which they were made.

    Threads may attach, detach and close at once: each step is one operation of a dictionary, and
    who adopts a link looks afterwards whether the owner was closed meanwhile.
    """

    def __init__(self, owner: str) -> None:
        self._name = owner
        self._links: dict[Link, None] = {}
        self._closed = False

    def adopt(self, link: AnyLink) -> AnyLink:
        """Own a link; gives it. ClosedError, and the link is closed, where the owner is."""
        link._owner = ref(self)
        self._links[link] = None
        if self._closed:
            link.close()
            raise ClosedError(f"{self._name} is closed: {link.what} is not attached")
        return link

    def forget(self, link: Link) -> None:
        """Own a link no longer."""
        self._links.pop(link, None)

    def all(self) -> tuple[Link, ...]:
        """Those that are open."""
        return tuple(link for link in list(self._links) if not link.closed)

    def close(self) -> None:
        """Close them, the last that was made first; those behind one that fails too."""
        self._closed = True
        if not self._links:
            return
        with ExitStack() as all_of_them:
            for link in list(self._links):
                all_of_them.callback(link.close)
