"""The words that options of the vm are given by, for type checkers and for who checks one."""

from __future__ import annotations

from typing import Literal

Executor = Literal["auto", "interpreter", "generated", "jit"]
Tier = Literal["interpreter", "generated", "jit"]
TailCalls = Literal["subprogram", "program"]
