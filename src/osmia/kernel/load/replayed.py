"""A loaded object that was made from a record, before anybody asks it anything.

It has its descriptors, and gives them up; whatever else is asked makes a `KernelObject` of it in
place, for which the file is read.
"""

from __future__ import annotations

from osmia.closing import ClosedByWith
from osmia.errors import ClosedError
from osmia.on_demand import imported
from osmia.prepared.unread import Held

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, Self

    from osmia.kernel.load.replay import Descriptors

_ADOPTING = "osmia.kernel.load.adopting"


class ReplayedObject(ClosedByWith):
    """See above."""

    def __init__(self, held: Held, made: Descriptors) -> None:
        state = vars(self)
        state["_held"], state["_made"] = held, made

    @property  # type: ignore[misc]  # what isinstance asks
    def __class__(self) -> Any:
        return _adopting().AdoptedObject

    def __getattr__(self, name: str) -> Any:
        return getattr(_whole(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_whole(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_whole(self), name)

    def __repr__(self) -> str:
        return repr(_whole(self))

    def __dir__(self) -> Any:
        return dir(_whole(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _whole(self).__reduce_ex__(protocol)

    @property
    def name(self) -> str:
        held: Held | None = vars(self).get("_held")
        record = held.record if held is not None else None
        name: str = record.name if record is not None else _whole(self).name
        return name

    @property
    def closed(self) -> bool:
        """See `LoadedObject.closed`, as what follows."""
        made: Descriptors | None = vars(self).get("_made")
        return made.closed if made is not None else _whole(self).closed

    def close(self) -> None:
        made: Descriptors | None = vars(self).get("_made")
        if made is not None:
            made.close()
        if type(self) is not ReplayedObject:  # a thread has just asked for more
            _whole(self).close()

    def __enter__(self) -> Self:
        if self.closed:
            raise ClosedError(f"object {self.name!r} is closed")
        return self


def _whole(loaded: ReplayedObject) -> Any:
    """The same object, which is a KernelObject now."""
    _adopting().adopt(loaded)
    return loaded


def _adopting() -> Any:
    return imported(_ADOPTING)  # waits for a thread that is just importing it
