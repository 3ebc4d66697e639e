"""What objects are made ready for that are loaded into a vm: the kernel that runs here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from osmia.btf import BTF
from osmia.prepared.asked import AskedKernel

_OWN = "own types"


class VmTarget(AskedKernel):
    """The running kernel; where it tells no types, those of the object."""

    def __init__(self, own: BTF | None) -> None:
        super().__init__()
        self._own = own
        self._asked_own = False

    @cached_property
    def btf(self) -> BTF | None:
        """See `RunningKernel.btf`."""
        found = super().btf
        if found is None:
            self._btf = found = self._own
            self._asked_own = True
        return found

    @cached_property
    def modules(self) -> Mapping[str, BTF]:
        """See `RunningKernel.modules`; none beside the object's own types."""
        return super().modules if self.btf is not None and not self._asked_own else {}

    def asked(self) -> set[str]:
        """As of every running kernel; "own types" where it told none."""
        return super().asked() | {_OWN} if self._asked_own else super().asked()
