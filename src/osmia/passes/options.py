"""The options of passes, which `Object.load` takes before an engine's own, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from osmia.passes.target import Target


class PassOptions(TypedDict, total=False):
    """`target`: the kernel to resolve CO-RE and externs against; the engine's own without it."""

    target: Target | None


PASS_OPTIONS: frozenset[str] = PassOptions.__optional_keys__
