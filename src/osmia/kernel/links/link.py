"""The kernel's links: detached, pinned and updated alike, whatever they hang on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from osmia.engine.link import Link
from osmia.errors import ClosedError, KernelError, NotSupportedError
from osmia.kernel.links.info import LinkInfo, link_info
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.kinds import open_pin
from osmia.object.uapi import LinkType
from osmia.paths import Path

if TYPE_CHECKING:
    from osmia.engine.program import Program

#: BPF_F_REPLACE
_REPLACE = 4


class KernelLink(Link):
    """A bpf_link (since 5.7): the kernel keeps the attachment for whoever refers to it."""

    def __init__(self, fd: FileDescriptor, what: str) -> None:
        fd.what = f"link of {what}"
        self._fd = fd
        self._pins: list[Path] = []
        self.what = what

    @classmethod
    def from_id(cls, identifier: int) -> KernelLink:
        """Open a link by id, since 5.8. KernelError ENOENT when there is none."""
        fd = FileDescriptor(syscall.link_get_fd_by_id(identifier), "link")
        return cls(fd, f"link {identifier}")

    @classmethod
    def from_pin(cls, path: str | os.PathLike[str]) -> KernelLink:
        """Open a pinned link. KernelError when nothing, or something else, is pinned."""
        link = cls(open_pin(path, "link"), f"pin {os.fspath(path)!r}")
        link._pins.append(Path(path))
        return link

    @property
    def closed(self) -> bool:
        return self._fd.closed

    def fileno(self) -> int:
        return self._fd.fileno()

    @property
    def info(self) -> LinkInfo:
        return link_info(self.fileno())

    @property
    def id(self) -> int:
        """The kernel's number for the link, as bpftool shows it."""
        return self.info.id

    def _detach(self) -> None:
        """Take the program off even when others refer to the link (where the kernel can;
        since 5.9), remove the pins that this object made, and close."""
        if self.closed:
            return
        try:
            syscall.link_detach(self.fileno(), what=f"detach {self.what}")
        except KernelError as error:
            # Tracing links detach with their last reference only; EINVAL: before 5.9.
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        self.unpin()
        self._close()

    def _close(self) -> None:
        self._fd.close()

    def pin(self, path: str | os.PathLike[str]) -> None:
        pins.pin(self.fileno(), path, what=f"the link of {self.what}")
        self._pins.append(Path(path))

    @property
    def pin_paths(self) -> tuple[Path, ...]:
        """Where this object pinned the link, or found it; `inventory.holders.pinned` finds all."""
        return tuple(self._pins)

    def unpin(self) -> None:
        """Remove the pins that this object made, and the one that it was opened by."""
        while self._pins:
            self._pins.pop().unlink(missing_ok=True)

    def update(self, program: Program, *, expected: Program | None = None) -> None:
        try:
            syscall.link_update(
                self.fileno(),
                program.fileno(),
                old_fd=expected.fileno() if expected else 0,
                flags=_REPLACE if expected else 0,
                what=f"update {self.what}",
            )
        except KernelError as error:
            if error.errno == errno.EINVAL and self.info.type in _NOT_UPDATABLE:
                raise NotSupportedError(
                    f"the kernel cannot update links of this kind ({self.what})"
                ) from None
            raise


#: Links whose program stays what it is; the kernel answers EINVAL.
_NOT_UPDATABLE = (
    LinkType.RAW_TRACEPOINT,
    LinkType.TRACING,
    LinkType.PERF_EVENT,
    LinkType.KPROBE_MULTI,
    LinkType.UPROBE_MULTI,
    LinkType.NETFILTER,
)


class HookLink(Link):
    """An attachment that the kernel keeps without a bpf_link: undone by an action of ours.

    It cannot be pinned, and lasts beyond the process when nobody detaches it where the
    hook itself does (clsact filters, PROG_ATTACH).
    """

    def __init__(
        self,
        what: str,
        undo: Callable[[], None],
        replace: Callable[[Program], None] | None = None,
    ) -> None:
        self.what = what
        self._undo: Callable[[], None] | None = undo
        self._replace = replace

    @property
    def closed(self) -> bool:
        return self._undo is None

    def fileno(self) -> int:
        raise NotSupportedError(f"{self.what} is attached without a link: it has no descriptor")

    @property
    def info(self) -> LinkInfo:
        raise NotSupportedError(f"{self.what} is attached without a link: the kernel tells nothing")

    def _detach(self) -> None:
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def _close(self) -> None:
        self._detach()

    def pin(self, path: str | os.PathLike[str]) -> None:
        raise NotSupportedError(f"{self.what} is attached without a link: it cannot be pinned")

    def update(self, program: Program, *, expected: Program | None = None) -> None:
        if self.closed:
            raise ClosedError(f"the link of {self.what} is closed")
        if self._replace is None or expected is not None:
            raise NotSupportedError(f"{self.what} is attached without a link: no atomic update")
        self._replace(program)


class LinkGroup(Link):
    """Several attachments that belong together: one perf event per CPU, say."""

    def __init__(self, links: Sequence[Link], what: str) -> None:
        self.links = tuple(links)
        self.what = what

    @property
    def closed(self) -> bool:
        return all(link.closed for link in self.links)

    def fileno(self) -> int:
        raise NotSupportedError(f"{self.what}: several links; each of `links` has its descriptor")

    @property
    def info(self) -> LinkInfo:
        """That of the first of `links`."""
        told: LinkInfo = self.links[0].info
        return told

    def _detach(self) -> None:
        with ExitStack() as all_of_them:  # also behind one that fails
            for link in self.links:
                all_of_them.callback(link.detach)

    def _close(self) -> None:
        with ExitStack() as all_of_them:
            for link in self.links:
                all_of_them.callback(link.close)

    def pin(self, path: str | os.PathLike[str]) -> None:
        raise NotSupportedError(f"{self.what}: several links; pin each of `links`")

    def update(self, program: Program, *, expected: Program | None = None) -> None:
        for link in self.links:
            link.update(program, expected=expected)
