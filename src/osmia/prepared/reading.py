"""An unread Object becomes an ordinary one, in place."""

from __future__ import annotations

from typing import Any

from osmia.formats.open import read_elf
from osmia.locks import make_lock
from osmia.object.model import Object
from osmia.prepared.unread import SLOTS, UnreadObject, held_by

#: Changes an object's class, whatever its own `__class__` says.
_change_class = vars(object)["__class__"].__set__
_changing = make_lock()


def read(obj: Any) -> None:
    """Read the file of `obj`; nothing happens when it is an Object already.

    Raises what `read_elf` does; `obj` then stays as it was.
    """
    held = held_by(obj)
    if held is None:
        with _changing:  # who changes it is done when this gets the lock
            return
    made = read_elf(held.data, held.path, held.name)
    with _changing:
        if type(obj) is UnreadObject:
            for name, place in SLOTS.items():
                place.__set__(obj, getattr(made, name))
            _change_class(obj, Object)
