"""Variables and entries of maps that a wish sets on a host, and what they held before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from osmia.fleet.wishes import Wish
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject

_MISSING = object()


class Found(NamedTuple):
    """What variables and maps held before a wish changed it; None for keys that were not there."""

    data: dict[str, Any]
    entries: dict[str, dict[Any, Any]]

    def but(self, wish: Wish) -> Found:
        """Without what a wish sets."""
        return Found(
            {name: value for name, value in self.data.items() if name not in wish.data},
            {
                name: {k: v for k, v in held.items() if k not in wish.entries.get(name, {})}
                for name, held in self.entries.items()
            },
        )

    def with_older(self, older: Found) -> Found:
        """What was found before this, where both have something."""
        names = {*self.entries, *older.entries}
        entries = {name: self.entries.get(name, {}) | older.entries.get(name, {}) for name in names}
        return Found(self.data | older.data, entries)


def set_values(loaded: LoadedObject, before: Wish, wish: Wish, found: Found) -> None:
    """Set what a wish wants otherwise than the one before; `found` gets what was there."""
    for name, value in wish.data.items():
        if before.data.get(name, _MISSING) != value:
            found.data[name] = loaded.data[name]
            loaded.data[name] = value
    for name, entries in wish.entries.items():
        known = before.entries.get(name, {})
        changed = {k: v for k, v in entries.items() if known.get(k, _MISSING) != v}
        _set_entries(loaded, name, changed, found.entries.setdefault(name, {}))


def put_back(loaded: LoadedObject, found: Found) -> None:
    """Have variables and entries as they were found."""
    for name, value in found.data.items():
        loaded.data[name] = value
    for name, entries in found.entries.items():
        _set_entries(loaded, name, entries)


def _set_entries(
    loaded: LoadedObject,
    name: str,
    entries: Mapping[Any, Any],
    found: dict[Any, Any] | None = None,
) -> None:
    """Update a map: None deletes a key, which may be gone."""
    target: Any = loaded.maps[name]
    for key, value in entries.items():
        if found is not None:
            found[key] = target.get(key)
        if value is None:
            with suppress(KeyError):
                del target[key]
        else:
            target[key] = value
