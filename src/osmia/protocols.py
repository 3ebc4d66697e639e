"""Protocols that cost nothing to declare: `typing.Protocol`, which type checkers alone look at.

Whoever asks for protocols when the code runs (`runtime_checkable`) needs the standard library's.
"""

from __future__ import annotations

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol
else:

    class Protocol:
        """As `typing.Protocol`, as a base class."""

        _is_protocol = True

        def __init_subclass__(cls, **keywords):
            super().__init_subclass__(**keywords)
            cls._is_protocol = Protocol in cls.__bases__


__all__ = ["Protocol"]
