"""The running kernel as a target that notes what it was asked: a record holds as long as that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from osmia.btf import BTF
from osmia.passes.running import RunningKernel
from osmia.prepared import store
from osmia.prepared.identities import modules_identity

#: What keys of records tell of a kernel.
IN_KEYS = frozenset({"btf", "version", "modules"})


class AskedKernel(RunningKernel):
    """See the module."""

    _asked_for_features = False
    #: What was loaded when modules were asked for; see `prepared.identities`.
    modules_then = ""

    @cached_property
    def modules(self) -> Mapping[str, BTF]:
        """See `RunningKernel.modules`."""
        self.modules_then = modules_identity()
        return super().modules

    def feature(self, name: str) -> bool:
        """See `RunningKernel.feature`."""
        self._asked_for_features = True
        return super().feature(name)

    def asked(self) -> set[str]:
        """The parts that somebody has asked for: "btf", "modules", "features", …"""
        parts = {"btf", "modules", "config", "symbols", "version"} & vars(self).keys()
        return parts | {"features"} if self._asked_for_features else parts

    def scope(self, asked: set[str]) -> str:
        """For what a record holds that has answers to these questions (see `store.keep`)."""
        if "modules" in asked:
            return store.THIS_BOOT
        return store.THIS_KERNEL if asked else store.ANY_KERNEL
