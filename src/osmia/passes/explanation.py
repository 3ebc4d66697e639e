"""What each rewriting pass would change in an object, and what that would save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from osmia.errors import RewriteError
from osmia.object.known_code import known_code
from osmia.object.model import Object
from osmia.passes.calls import rewrite_calls
from osmia.passes.inline import calls_of
from osmia.passes.prune import prune
from osmia.passes.tail_call_sites import tail_call_sites
from osmia.passes.tail_calls import direct_tail_calls, likely_keys
from osmia.passes.target import Target
from osmia.records import dataclass

INDIRECT_NS: Final = 14
"""A tail call with a variable key, with retpolines; measured on x86-64."""
DIRECT_NS: Final = 2
"""One with a constant key."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one pass would do.

    `option` is that of `Object.load`, `changes` say it in words (none: nothing), `instructions`
    and `maps` are how many more there would be (fewer: negative), `ns` how much less a tail
    call would take that it makes direct. `refused` is why it cannot be done.
    """

    option: str
    changes: tuple[str, ...] = ()
    instructions: int = 0
    maps: int = 0
    ns: int = 0
    refused: str = ""


def explain(obj: Object, target: Target, keep: Sequence[str] = ()) -> list[Explanation]:
    """What the passes would change, each by itself. KeyError for a program to keep that is not
    there."""
    return [
        _pruning(obj, keep),
        _calls(obj, "calls='auto'", lambda: rewrite_calls(obj, target, "auto", "subprogram")),
        _calls(obj, "calls='inline'", lambda: rewrite_calls(obj, target, "inline", "subprogram")),
        _calls(obj, "tail_calls='program'", lambda: rewrite_calls(obj, target, "keep", "program")),
        _direct(obj),
    ]


def _pruning(obj: Object, keep: Sequence[str]) -> Explanation:
    pruned = prune(obj, keep=keep)
    found = (("program", pruned.programs), ("function", pruned.functions), ("map", pruned.maps))
    changes = [f"{what} {name} goes" for what, names in found for name in names]
    return Explanation("prune=True", tuple(changes), -pruned.instructions, -len(pruned.maps))


def _calls(obj: Object, option: str, rewritten: Callable[[], Object]) -> Explanation:
    try:
        made = rewritten()
    except RewriteError as error:
        return Explanation(option, refused=str(error))
    changes = []
    for key in obj.functions:
        before = [call.callee for call in calls_of(obj, key)]
        after = [call.callee for call in calls_of(made, key)] if key in made.functions else []
        for callee in dict.fromkeys(before):
            gone = before.count(callee) - after.count(callee)
            if gone > 0:
                times = f", {gone} times" if gone > 1 else ""
                changes.append(f"{callee} becomes code of {key}{times}")
    return Explanation(option, tuple(changes), _loaded(made) - _loaded(obj))


def _direct(obj: Object) -> Explanation:
    made = direct_tail_calls(obj)
    changes = []
    for site in tail_call_sites(known_code(obj)) if made is not obj else ():
        keys = likely_keys(obj, site, {}, {})
        if keys:
            shown = ", ".join(map(str, keys))
            changes.append(f"{site.function}, instruction {site.slot}: {site.map} with {shown}")
    ns = INDIRECT_NS - DIRECT_NS if changes else 0
    return Explanation(
        "direct_tail_calls=True", tuple(changes), _loaded(made) - _loaded(obj), ns=ns
    )


def _loaded(obj: Object) -> int:
    """The instructions of all programs, as they are loaded."""
    return sum(
        obj.functions[key].instruction_count
        for program in obj.programs.values()
        for key in (program.function, *obj.callees(program.function))
    )
