"""What an engine is to the rest of osmia: the smallest set of things it must bring.

An engine loads Objects. What it gives back are the same types whichever engine is behind
them: programs, maps and links differ in the bytes that they are made of, not in their faces.
An engine brings three things: raw maps (this file's `RawMap`: bytes in, bytes or an errno out),
programs that run, and attachments where it has places to attach to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from osmia.object.uapi import MapFlag, MapType

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.engine.program import Program
    from osmia.object import Object
    from osmia.passes.options import CommonOptions


class Engine(Protocol):
    """Something that Objects are loaded into; `osmia.engine.registry` finds it by name."""

    @property
    def name(self) -> str:
        """By which `Object.load` and `registry.find` know it."""

    @property
    def lacks(self) -> Mapping[str, str]:
        """What it cannot do: capability → reason, in words that end "program 'x': …".

        Capabilities are "attach", "struct_ops", "pin", "open" (by id or pin), "fileno", "info",
        "btf", "dump" (code as the engine has it), "run_statistics", "output" (of programs).
        """

    @property
    def options(self) -> Mapping[str, frozenset[str]]:
        """The names of its own options: of "load", and of its programs' "run"."""

    def load(self, obj: Object, passes: CommonOptions, options: Mapping[str, Any]) -> LoadedObject:
        """Load an object, all of it or, when that fails, nothing. `options` are of the names
        that it told."""

    def program_class(self) -> type[Program]:
        """The class of its programs: what opens and loads single ones, where it can."""


class RawMap(Protocol):
    """A map by its bytes. Keys and values have exactly the map's sizes; what fails gives an
    errno value (a positive int) and raises nothing, so that the typed face words every error.

    Methods are bound once, when the typed map is made: the hot path is one call.
    """

    name: str
    id: int
    type: MapType | int
    flags: MapFlag
    key_size: int
    value_size: int
    max_entries: int
    cpus: int
    """How many values there are under each key, one a CPU; 0: just one."""
    entry_value_size: int
    """Bytes of all values under one key: each CPU's padded to 8."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called here."""
        ...

    def lookup(self, key: bytes) -> bytes | int:
        """The value, or the errno."""
        ...

    def lookup_with(self, key: bytes, flags: int) -> bytes | int:
        """`lookup` with ElementFlags."""
        ...

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        """Store a value: 0 or the errno."""
        ...

    def delete(self, key: bytes) -> int:
        """Remove an entry: 0 or the errno."""
        ...

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        """Take a value out in one step (EOPNOTSUPP, EINVAL: this map cannot)."""
        ...

    def next_key(self, key: bytes | None) -> bytes | int | None:
        """The key after `key`, the first after None; None at the end, or the errno."""
        ...

    def read(self, *, take: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """All entries as packed keys and packed values of some entries at a time."""
        ...

    def close(self) -> None:
        """Give the map up."""
        ...
