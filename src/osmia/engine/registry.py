"""The engines that there are, by name: osmia's own, and those of installed packages.

A package brings an engine by an entry point of the group `osmia.engines` that leads to an
`osmia.engine.protocol.Engine`:

    [project.entry-points."osmia.engines"]
    mine = "my_package.engine:ENGINE"

Entry points are read only for a name that is not osmia's own: that costs 25 ms and more.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from osmia.on_demand import imported

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.engine.loaded import LoadedObject
    from osmia.engine.protocol import Engine
    from osmia.object import Object

GROUP = "osmia.engines"
OWN = {"kernel": "osmia.kernel.interface", "vm": "osmia.vm.interface"}


def find(name: str) -> Engine:
    """The engine of that name. ValueError, which lists what there is, when there is none."""
    module = OWN.get(name)
    if module is None:
        installed: Engine = _installed(name)
        return installed
    # Looked up for every load: importing costs ten times as much. It waits where another
    # thread is importing, whose module has no engine yet.
    engine: Engine
    try:
        engine = sys.modules[module].ENGINE
    except (KeyError, AttributeError):
        engine = imported(module).ENGINE
    return engine


def load(obj: Object, name: str, options: Mapping[str, Any]) -> LoadedObject:
    """Load an object into the engine of that name. Options of passes come before the engine's
    own; one that neither takes is refused before anything is done."""
    engine = find(name)
    if not options:
        return engine.load(obj, {}, {})
    from osmia.passes.options import COMMON_OPTIONS, OBJECT_OPTIONS

    own = engine.options["load"]
    for each in options:
        if each not in own and each not in OBJECT_OPTIONS:
            from osmia.engine.refusals import refused

            raise refused(name, "load", each, [*OBJECT_OPTIONS, *own])
    if options.get("imports") and "imports" in engine.lacks:
        from osmia.engine.refusals import lacking

        raise lacking(name, "imports", f"object {obj.name!r}")
    key = options.get("require_signature")
    if key is not None:
        from osmia.engine.signed import signed_options

        options = signed_options(obj, [key], options)
    passes: Any = {each: value for each, value in options.items() if each in COMMON_OPTIONS}
    others = {each: value for each, value in options.items() if each not in OBJECT_OPTIONS}
    return engine.load(obj, passes, others)


def names() -> list[str]:
    """The names of all engines: osmia's own first."""
    from importlib.metadata import entry_points

    return [*OWN, *sorted({each.name for each in entry_points(group=GROUP)} - OWN.keys())]


@cache  # of those that are there: a package may be installed later
def _installed(name: str) -> Engine:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=GROUP, name=name):
        engine: Engine = entry_point.load()
        return engine
    raise ValueError(f"no engine {name!r}; there are {', '.join(names())}")
