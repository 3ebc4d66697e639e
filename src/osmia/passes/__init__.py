"""Passes: each takes an Object and returns another; the one given stays as it was.

`stages` has the list of those that loads run.
"""

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.passes.options import CommonOptions, PassOptions
    from osmia.passes.stages import Pass, Prepared, Setting, Stage, prepare
    from osmia.passes.target import Target

__all__ = [
    "CommonOptions",
    "Pass",
    "PassOptions",
    "Prepared",
    "Setting",
    "Stage",
    "Target",
    "prepare",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".options": "CommonOptions PassOptions",
            ".stages": "Pass Prepared Setting Stage prepare",
            ".target": "Target",
        },
    )
