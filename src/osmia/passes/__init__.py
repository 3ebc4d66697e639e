"""Passes: each takes an Object and returns another; the one given stays as it was."""

from __future__ import annotations

from osmia.object.model import Object
from osmia.passes.target import Target

__all__ = ["Target", "prepare"]


def prepare(obj: Object, target: Target) -> Object:
    """`obj` ready for an engine: the passes that every load runs, in order."""
    from osmia.passes.core import relocate_core
    from osmia.passes.externs import resolve_externs

    return relocate_core(resolve_externs(obj, target), target)
