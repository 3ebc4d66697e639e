"""What attaching needs to know of a program: `Program` is one, and what stands in for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osmia.kernel.sys.fd import NamedDescriptor
from osmia.object import model
from osmia.object.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from typing import Protocol

    from osmia.btf import BTF
else:
    Protocol = object  # as in `kernel.sys.fd`, whose protocol one of these extends


class StaticProbeSpecs(Protocol):
    """Room in an object's maps for what describes the arguments of static probes."""

    @property
    def argument_fields(self) -> frozenset[str]:
        """The members that the object's headers give to one argument, by name."""

    def store(self, specs: Sequence[Mapping[str, Any]]) -> list[int]:
        """Put each into an entry that is free; the entries' numbers."""

    def free(self, numbers: Iterable[int]) -> None:
        """Let entries be used for others again."""


class Attachable(NamedDescriptor, Protocol):
    """A loaded program, as far as attachments look at it."""

    @property
    def id(self) -> int:
        """The kernel's number for it."""

    @property
    def type(self) -> ProgramType | int:
        """Its program type."""

    @property
    def expected_attach_type(self) -> AttachType | int | None:
        """The attach type it was loaded for; None where nobody knows."""

    @property
    def definition(self) -> model.Program | None:
        """What the object file said; None for programs that come from none."""

    @property
    def usdt_specs(self) -> StaticProbeSpecs | None:
        """Where static probes are described; None for programs whose object has no room."""

    def btf(self) -> BTF | None:
        """Its types; None when it came without."""
