"""What is asked of a debugger and cannot be."""

from __future__ import annotations

from osmia.errors import OsmiaError


class DebuggerError(OsmiaError):
    """A place, an expression or a step that there is not."""
