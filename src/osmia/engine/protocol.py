"""What an engine is to the rest of osmia: the smallest set of things it must bring.

An engine loads Objects. What it gives back are the same types whichever engine is behind
them: programs, maps and links differ in the bytes that they are made of, not in their faces.
An engine brings three things: raw maps (`RawMap`: bytes in, bytes or an errno out),
programs that run, and attachments where it has places to attach to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from osmia.engine.raw_map import RawMap
from osmia.passes.binding import Resolver

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.engine.program import Program
    from osmia.object import Object
    from osmia.passes.options import CommonOptions

__all__ = ["Engine", "RawMap", "Resolver"]


class Engine(Protocol):
    """Something that Objects are loaded into; `osmia.engine.registry` finds it by name."""

    @property
    def name(self) -> str:
        """By which `Object.load` and `registry.find` know it."""

    @property
    def lacks(self) -> Mapping[str, str]:
        """What it cannot do: capability → reason, in words that end "program 'x': …".

        Capabilities are "attach", "struct_ops", "pin", "publish", "open" (by id or pin), "fileno",
        "info", "btf", "dump" (code as the engine has it), "run_statistics", "output" (of
        programs), "imports", "session" (a run that is stepped through).
        """

    @property
    def options(self) -> Mapping[str, frozenset[str]]:
        """The names of its own options: of "load", and of its programs' "run"."""

    def load(self, obj: Object, passes: CommonOptions, options: Mapping[str, Any]) -> LoadedObject:
        """Load an object, all of it or, when that fails, nothing. `options` are of the names
        that it told."""

    def program_class(self) -> type[Program]:
        """The class of its programs: what opens and loads single ones, where it can."""
