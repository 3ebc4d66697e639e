"""Debugging programs of a vm: docs/debugger.md.

`Session` is a run that stands still; `VmProgram.session` begins one. Names are imported when they
are first used.
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.debugger.breakpoints import Breakpoint as Breakpoint
    from osmia.debugger.errors import DebuggerError as DebuggerError
    from osmia.debugger.frames import Frame as Frame
    from osmia.debugger.frames import Register as Register
    from osmia.debugger.pointers import Pointer as Pointer
    from osmia.debugger.session import Session as Session
    from osmia.debugger.stops import Changed as Changed
    from osmia.debugger.stops import Stop as Stop
    from osmia.debugger.stops import StopReason as StopReason
    from osmia.debugger.watchpoints import Watchpoint as Watchpoint

__all__ = [
    "Breakpoint",
    "Changed",
    "DebuggerError",
    "Frame",
    "Pointer",
    "Register",
    "Session",
    "Stop",
    "StopReason",
    "Watchpoint",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        "osmia.debugger",
        {
            ".breakpoints": "Breakpoint",
            ".errors": "DebuggerError",
            ".frames": "Frame Register",
            ".pointers": "Pointer",
            ".session": "Session",
            ".stops": "Changed Stop StopReason",
            ".watchpoints": "Watchpoint",
        },
    )
