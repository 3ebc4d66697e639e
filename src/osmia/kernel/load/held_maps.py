"""An object's maps while it is loaded: descriptors at once, typed maps when somebody asks.

Codecs take longer to make than the map in the kernel, and most programs look at one or
two of their maps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from osmia.btf import BTF
from osmia.engine.maps import Map
from osmia.engine.maps.references import ProgramArray
from osmia.engine.tail_call_returns import TailCallers
from osmia.kernel.maps import KernelMap, read_info
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.pins import pin
from osmia.object import model
from osmia.values import Codec, codec
from osmia.values.names import listed, unknown_name


class HeldMap:
    """A map's descriptor, which it owns, and what the object says of its types (in `btf`).

    What the object does not say is as that of `like`, another handle on the same map.
    """

    def __init__(
        self,
        definition: model.Map,
        fd: FileDescriptor,
        btf: BTF | None,
        like: Map | None = None,
    ) -> None:
        self.definition = definition
        self._fd = fd
        self._btf = btf
        self._like = (like.key_codec, like.value_codec) if like is not None else (None, None)
        self._map: Map | None = None
        self._other = like

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after `close`."""
        return self._fd.fileno()

    @cached_property
    def callers(self) -> TailCallers:
        """Who reaches a prog array, of all handles on it that were made one from the other."""
        return self._other.callers if isinstance(self._other, ProgramArray) else TailCallers()

    @property
    def file(self) -> FileDescriptor:
        """The descriptor; the map goes on owning it."""
        return self._fd

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Pin the map to a path in a bpffs."""
        pin(self.fileno(), path, what=f"map {self.definition.name!r}")

    @property
    def map(self) -> Map:
        """The map with its types; the same object every time."""
        if self._map is None:
            raw = KernelMap(self._fd, read_info(self.fileno()), self.definition.name)
            key, value = self.definition.key_type_id, self.definition.value_type_id
            codecs = self._codec(key) or self._like[0], self._codec(value) or self._like[1]
            self._map = made = Map.class_for(raw.type)(raw, *codecs)
            if isinstance(made, ProgramArray):
                made.callers = self.callers
        return self._map

    def _codec(self, type_id: int) -> Codec | None:
        return codec(self._btf, type_id) if self._btf is not None and type_id else None

    def close(self) -> None:
        """Give the map up."""
        (self._fd if self._map is None else self._map).close()


class LoadedMaps(Mapping[str, Any]):
    """The maps of a loaded object by name; the KeyError of a wrong name says which are near.

    Each is a `Map` of the class that its type asks for, which type checkers cannot know.
    """

    def __init__(self, owner: str, held: Mapping[str, HeldMap]) -> None:
        self._owner = owner
        self._held = dict(held)

    def __getitem__(self, name: str) -> Any:
        held = self._held.get(name)
        if held is None:
            raise KeyError(unknown_name(self._owner, name, self._held, kind="map "))
        return held.map

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def held(self) -> dict[str, HeldMap]:
        """What there is of each map before it is asked for; owned as before."""
        return dict(self._held)

    def descriptors(self) -> dict[str, int]:
        """The descriptors' numbers by name; the maps go on owning them."""
        return {name: held.fileno() for name, held in self._held.items()}

    def __repr__(self) -> str:
        return f"<maps of {self._owner}: {listed(self._held)}>"

    def close(self) -> None:
        """Give all of them up."""
        for held in self._held.values():
            held.close()
