"""The place of a program among others on one hook: tcx, netkit (since 6.6), cgroup (6.17)."""

from __future__ import annotations

from osmia.engine.link import Link
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.sys.attributes import LinkOrderOptions
from osmia.object.uapi import MapFlag
from osmia.records import dataclass

# BPF_F_* of include/uapi/linux/bpf.h
_BEFORE, _AFTER, _ID = 8, 16, 32


@dataclass(frozen=True, slots=True)
class LinkId:
    """An anchor: the link with this id."""

    id: int


@dataclass(frozen=True, slots=True)
class ProgramId:
    """An anchor: the program with this id."""

    id: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the order of programs on a hook a new one goes.

    `first` and `last` are the ends; `before` and `after` name a neighbour: a program or link
    of this process, or ProgramId, LinkId. At most one of the four. `expected_revision`
    makes the attachment fail with ESTALE when others came or went since it was read.
    """

    before: Attachable | Link | ProgramId | LinkId | None = None
    after: Attachable | Link | ProgramId | LinkId | None = None
    first: bool = False
    last: bool = False
    expected_revision: int = 0

    def __post_init__(self) -> None:
        chosen = [self.before is not None, self.after is not None]
        chosen += [bool(self.first), bool(self.last)]
        if sum(chosen) > 1:
            raise ValueError("at most one of before, after, first and last")

    @property
    def given(self) -> bool:
        """Whether anything was asked for."""
        return self != Place()

    @property
    def flags(self) -> int:
        """BPF_F_BEFORE, _AFTER, _ID, _LINK as asked for."""
        flags = _BEFORE if self.before is not None or self.first else 0
        flags |= _AFTER if self.after is not None or self.last else 0
        match self._anchor:
            case LinkId():
                flags |= _ID | MapFlag.LINK
            case ProgramId():
                flags |= _ID
            case Link():
                flags |= MapFlag.LINK
        return flags

    @property
    def options(self) -> LinkOrderOptions:
        """The fields of BPF_LINK_CREATE."""
        return LinkOrderOptions(
            relative_fd=self._relative, expected_revision=self.expected_revision
        )

    @property
    def _anchor(self) -> Attachable | Link | ProgramId | LinkId | None:
        return self.before if self.before is not None else self.after

    @property
    def _relative(self) -> int:
        match self._anchor:
            case None:
                return 0
            case LinkId(identifier) | ProgramId(identifier):
                return identifier
            case anchor:
                return anchor.fileno()
