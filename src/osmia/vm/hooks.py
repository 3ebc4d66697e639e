"""Hooks for interpreted runs: source lines, breakpoints.

A hook is called before each instruction with the interpreter: `Program.run(…, hook=hook)`.
Those here know source lines, which an object has when it was compiled with -g.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from osmia.object.model import SourceLine
from osmia.vm.interpreter import Hook, Interpreter

Place = tuple[str, int]
"""A file's name as the object has it, and a line's number."""

LineHook = Callable[[Interpreter, SourceLine], None]


def current_line(interpreter: Interpreter) -> SourceLine | None:
    """The source line of the instruction about to run."""
    frame = interpreter.frame
    return frame.code.line_at(frame.slot)


def on_lines(callback: LineHook) -> Hook:
    """A hook that calls back where a line's code begins: once for each time it runs."""

    def hook(interpreter: Interpreter) -> None:
        frame = interpreter.frame
        line = frame.code.lines.get(frame.slot)
        if line is not None:
            callback(interpreter, line)

    return hook


def breakpoints(
    callback: Hook, *, slots: Collection[int] = (), lines: Collection[int | Place] = ()
) -> Hook:
    """A hook that calls back before the instructions `slots` and where the code of `lines`
    begins: numbers, or (file, number) where a program has several files. The callback may
    read and change registers, or raise to stop the run."""

    def hook(interpreter: Interpreter) -> None:
        frame = interpreter.frame
        line = frame.code.lines.get(frame.slot) if lines else None
        here = line is not None and (line.line in lines or (line.file, line.line) in lines)
        if here or frame.slot in slots:
            callback(interpreter)

    return hook
