"""What metrics are read of on this host: a loaded object, or maps and programs that are pinned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from osmia.closing import ClosedByWith
from osmia.errors import OsmiaError
from osmia.paths import Path
from osmia.summaries.readings import variable_names
from osmia.values import Codec, StructCodec

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.object import Object

#: Data sections without variables, for their values never change.
_CONSTANT = (".rodata", ".kconfig")


class Parts(Protocol):
    """Maps, programs and global variables."""

    @property
    def maps(self) -> Mapping[str, Any]:
        """The maps by name."""

    @property
    def programs(self) -> Mapping[str, Any]:
        """The programs by name."""

    @property
    def object(self) -> Object | None:
        """What it was made of, as far as that is known."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def variables(self) -> Iterator[tuple[str, Codec, Any]]:
        """The variables that are no constants, with their types and values."""


class ObjectParts:
    """Those of a loaded object."""

    def __init__(self, loaded: LoadedObject) -> None:
        self._loaded = loaded
        self.maps, self.programs, self.object = loaded.maps, loaded.programs, loaded.object

    @property
    def closed(self) -> bool:
        return self._loaded.closed

    def variables(self) -> Iterator[tuple[str, Codec, Any]]:
        """See `Parts`."""
        data = self._loaded.data
        present = set(data)
        for name in variable_names(self.object, constants=False):
            if name in present:
                yield name, data.slot(name).codec, data[name]


class PinnedParts(ClosedByWith):
    """Those that are pinned in a directory of a bpffs, and below it, by the pins' names; or one
    map. Data sections among them are variables. OsmiaError where nothing is."""

    def __init__(self, place: Path) -> None:
        self.maps: dict[str, Any] = {}
        self.programs: dict[str, Any] = {}
        self.object = None
        self.closed = False
        self._sections: list[Any] = []
        with ExitStack() as opened:
            paths = sorted(place.rglob("*")) if place.is_dir() else [place]
            for path in paths:
                if not path.is_dir():
                    self._open(path, opened)
            if not self.maps and not self.programs and not self._sections:
                raise OsmiaError(f"{place}: no map and no program is pinned there")
            self._opened = opened.pop_all()

    def variables(self) -> Iterator[tuple[str, Codec, Any]]:
        """See `Parts`."""
        for section in self._sections:
            values = section[0]
            for field in section.value_codec.fields:
                yield field.name, field.codec, values[field.name]

    def close(self) -> None:
        """Let go of maps and programs."""
        self.closed = True
        self._opened.close()

    def _open(self, path: Path, opened: ExitStack) -> None:
        from osmia.engine.maps import Map
        from osmia.kernel.programs.program import KernelProgram

        try:
            held = opened.enter_context(Map.from_pin(path))
        except OsmiaError as error:
            try:
                self.programs[path.name] = opened.enter_context(KernelProgram.from_pin(path))
            except OsmiaError:
                if "is a link" not in str(error):
                    raise error from None
            return
        if isinstance(held.value_codec, StructCodec) and held.value_codec.type_name[:1] == ".":
            if not held.value_codec.type_name.startswith(_CONSTANT):
                self._sections.append(held)
            return
        self.maps[path.name] = held
