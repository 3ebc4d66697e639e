"""What `with` closes: the two methods of everything that has a `close`."""

from __future__ import annotations

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class ClosedByWith:
    """`with` gives the thing itself, and closes it in the end, whatever ended the block."""

    __slots__ = ()

    def close(self) -> None:
        """Give up what it holds; nothing happens the second time."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
