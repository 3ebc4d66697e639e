"""Passes: each takes an Object and returns another; the one given stays as it was."""

from __future__ import annotations

from osmia.object.model import Object
from osmia.passes.target import Target

__all__ = ["Target", "prepare"]


def prepare(obj: Object, target: Target) -> Object:
    """`obj` ready for an engine: the passes that every load runs, in order.

    A pass that has nothing to do is not even imported.
    """
    if obj.externs:
        from osmia.passes.externs import resolve_externs

        obj = resolve_externs(obj, target)
    if any(function.core_relocations for function in obj.functions.values()):
        from osmia.passes.core import relocate_core

        obj = relocate_core(obj, target)
    return obj
