"""Passes: each takes an Object and returns another; the one given stays as it was.

`stages` has the list of those that loads run.
"""

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
