"""How many instructions a run may take, and how many runs are worth compiling for."""

from __future__ import annotations

INTERPRETER_BUDGET = 1 << 24
GENERATED_BUDGET = 1 << 28
JIT_BUDGET = 1 << 32
"""Instructions of one run, where none are given: some 20 s, 10 s and 2 s."""
LARGEST_GENERATED = 8192
"""Slots of a program that is worth generating while machine code is being made."""
SPLIT = 256
"""Straight code, compiled or generated, pays after as many slots, even if nothing jumps back. LLVM
makes one of blocks that are joined by short conditions, and the time that some of its passes take
grows with the square of a block's length."""
HOT = 64
"""As many runs are worth compiling for."""

_LARGEST = (1 << 63) - 1


def budget_of(given: int | None, default: int) -> int:
    """The instructions that a run may take: those given, or the executor's default for None.

    Raises ValueError for less than one: no run could begin.
    """
    if given is None:
        return default
    if given < 1:
        raise ValueError(f"a budget of {given} instructions: give at least 1, or None")
    return min(given, _LARGEST)
