"""The options that `Object.load` takes before an engine's own, on every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    import os

    from osmia.object import Object
    from osmia.passes.imports import Provider
    from osmia.passes.stages import Pass
    from osmia.passes.target import Target


#: What can be imported: an object that is loaded or published, the path of a file, "kernel".
Source: TypeAlias = "Provider | str | os.PathLike[str]"
#: By names; there what stands for one function in an engine can be given, too.
Decisions: TypeAlias = Mapping[str, Any]


class PassOptions(TypedDict, total=False):
    """The options of passes.

    `passes` are further passes: functions from Object to Object, which run in the stage
    REWRITE in the order given, or a `Pass` for another stage.
    """

    passes: Sequence[Pass | Callable[[Object], Object]]


class CommonOptions(PassOptions, total=False):
    """What every load takes: `target`, the machine to resolve CO-RE and externs against (the
    engine's own without it), the options of passes, and what to link against.

    `imports` are the objects that define what this one has extern: loaded ones, published
    libraries, paths of files, "kernel" (what the kernel holds); a mapping says by name which
    one it is, and may be one of a list. `bind` says how functions of theirs are used: "copy",
    "replace" (kernel) or "call" (vm).
    """

    target: Target | None
    imports: Sequence[Source | Decisions] | Decisions
    bind: Literal["copy", "replace", "call"]


PASS_OPTIONS: frozenset[str] = PassOptions.__optional_keys__
COMMON_OPTIONS: frozenset[str] = CommonOptions.__optional_keys__
