"""What is wanted of an object, kept beside its pins: an array map, pinned, that holds the wish.

So it lives as long as the pins do, and no longer. An agent that finds it gives it back to a
scheduler that knows nothing of the object.
"""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from osmia.fleet.wishes import Wish

#: A pickled wish is kept in pieces of so many bytes; the first one begins with its length.
_PIECE = 32 << 10
_LENGTH = 8


def keep(wish: Wish, place: Path) -> None:
    """Keep a wish in a directory of a bpffs, in the place of the one before it."""
    from osmia.kernel.maps.opening import create_map
    from osmia.object.uapi import MapType

    content = pickle.dumps(wish)
    content = len(content).to_bytes(_LENGTH, "little") + content
    pieces = [content[at : at + _PIECE] for at in range(0, len(content), _PIECE)]
    unfinished = place / "unfinished-wish"
    with suppress(FileNotFoundError):
        unfinished.unlink()
    made: Any = create_map(
        MapType.ARRAY, key_size=4, value_size=_PIECE, max_entries=len(pieces), name="wish"
    )
    with made as held:
        for number, piece in enumerate(pieces):
            held[number] = piece.ljust(_PIECE, b"\0")
        held.pin(unfinished)
    unfinished.rename(place / "wish")


def kept(place: Path) -> Wish | None:
    """The wish that is kept in a directory, by a process of this user; None where there is none."""
    from osmia.engine.maps import Map

    path = place / "wish"
    try:
        if path.stat().st_uid != os.geteuid():  # what is unpickled runs code
            return None
        if not all(_is_ours(each) for each in (place, *place.parents[:2])):  # or it is moved here
            return None
        with Map.from_pin(path) as held:
            content = b"".join(bytes(held[number]) for number in range(held.max_entries))
        length = int.from_bytes(content[:_LENGTH], "little")
        found = pickle.loads(content[_LENGTH : _LENGTH + length])
        return found if isinstance(found, Wish) and found.name == place.name else None
    except Exception:  # what another version of osmia pickled has errors of every kind
        return None


def _is_ours(directory: Path) -> bool:
    """Whether nobody else can put things into a directory: a bpffs may let all make theirs."""
    found = directory.stat()
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & stat.S_IWOTH


def all_kept(pins: Path) -> Iterator[Wish]:
    """The wishes that are kept in the directories of a directory."""
    with suppress(OSError):
        for place in sorted(pins.iterdir()):
            wish = kept(place)
            if wish is not None:
                yield wish
