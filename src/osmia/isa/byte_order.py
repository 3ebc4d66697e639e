"""The names of byte orders, for type checkers and for who checks an argument: `typing` is dear."""

from __future__ import annotations

from typing import Literal, TypeAlias

ByteOrder: TypeAlias = Literal["little", "big"]
