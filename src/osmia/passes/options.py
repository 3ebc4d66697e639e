"""The options that `Object.load` takes before an engine's own, on every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from osmia.object import Object
    from osmia.passes.stages import Pass
    from osmia.passes.target import Target


class PassOptions(TypedDict, total=False):
    """The options of passes.

    `passes` are further passes: functions from Object to Object, which run in the stage
    REWRITE in the order given, or a `Pass` for another stage.
    """

    passes: Sequence[Pass | Callable[[Object], Object]]


class CommonOptions(PassOptions, total=False):
    """What every load takes: `target`, the machine to resolve CO-RE and externs against (the
    engine's own without it), and the options of passes."""

    target: Target | None


PASS_OPTIONS: frozenset[str] = PassOptions.__optional_keys__
COMMON_OPTIONS: frozenset[str] = CommonOptions.__optional_keys__
