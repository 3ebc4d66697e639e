"""The options of the userspace engine, for type checkers and for who checks their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypedDict

from osmia.passes.options import ObjectOptions, PassOptions

if TYPE_CHECKING:
    from osmia.engine.maps import Map
    from osmia.vm.dispatcher import Dispatcher
    from osmia.vm.engine import Vm
    from osmia.vm.programs import VmProgram
    from osmia.vm.words import TailCalls


class MachineOptions(TypedDict, total=False):
    """What `Vm` takes."""

    memory: int
    cpus: int | None
    tail_calls: TailCalls
    jit: bool | None
    retpoline: bool
    strict_helpers: bool
    interruptible: bool


class OtherOptions(PassOptions, MachineOptions, total=False):
    """What `osmia.vm.loader.load` takes beside its named parameters."""


class LoadOptions(MachineOptions, total=False):
    """What `osmia.vm.loader.load` takes beside the options of passes."""

    vm: Vm | None
    maps: Mapping[str, Map] | None
    programs: Mapping[str, VmProgram | Dispatcher] | None
    helpers: Mapping[str, Callable[..., int]] | None


class VmOptions(ObjectOptions, LoadOptions, total=False):
    """What `Object.load("vm")` takes."""
