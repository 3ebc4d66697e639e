"""What the words of a session mean: places for breakpoints, values to watch, who knows locals."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from osmia.debugger import places
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.expression import Expression
from osmia.debugger.frames import NAMES, VariableReader
from osmia.errors import OsmiaError
from osmia.values.names import unknown_name

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents
    from osmia.debugger.session import Session

#: Whose `reader(session)` gives a VariableReader, or None.
VARIABLES = "osmia.debugger.local_variables"


def place(
    session: Session,
    line: int | None,
    file: str | None,
    *,
    function: str | None,
    slot: int | None,
    helper: str | None,
    map: str | None,  # noqa: A002 - the field's word
    key: Any,
) -> places.Place:
    """The one place that is asked for."""
    given = [each for each in (line, function, slot, helper, map) if each is not None]
    if len(given) != 1:
        raise DebuggerError(
            "a breakpoint is at one of: a line, a function, an instruction, a helper, a map"
        )
    if line is not None:
        return places.nearest_line(_programs(session), file or current_file(session), line)
    if slot is not None:
        return _instruction(session, slot)
    if map is not None:
        return _map(session, map, key)
    wanted: list[places.Place]
    if function is not None:
        wanted, what = [places.AtFunction(function)], f"function {function!r}"
        if session.variables is not None:
            wanted.append(places.AtInlined(function, session.variables.inlined_slots))
    else:
        wanted, what = [places.AtHelper(helper or "")], f"call of a helper {helper!r}"
    for found in wanted:
        if any(True for each in _programs(session) for _ in found.slots(each)):
            return found
    raise DebuggerError(f"no program has a {what}")


def _programs(session: Session) -> list[Any]:
    return list(session.vm.lifetimes.programs.values())


def _instruction(session: Session, slot: int) -> places.AtInstruction:
    instructions = session.program.code.instructions
    if not 0 <= slot < len(instructions) or instructions[slot] is None:
        raise DebuggerError(f"program {session.program.name!r} has no instruction {slot}")
    return places.AtInstruction(session.program, slot)


def _map(session: Session, name: str, key: Any) -> places.AtMap:
    held = _known_map(session, name)
    raw = None if key is None else held.key_codec.encode(key)
    return places.AtMap(name, held.raw.body, raw, "" if key is None else str(key))


def _known_map(session: Session, name: str) -> Any:
    if name not in session.maps:
        raise DebuggerError(unknown_name("the object", name, session.maps))
    return session.maps[name]


def current_file(session: Session) -> str:
    """The file that the run is in; at its end, that of its program."""
    frames = session.frames
    found = frames[0].file if frames else ""
    if not found:
        found = next((each.file for each in session.program.code.lines.values()), "")
    if not found:
        raise DebuggerError("the program has no source lines: it was compiled without -g")
    return found


def watched(
    session: Session, what: str | tuple[str, Any] | int, size: int
) -> tuple[str, Callable[[], Any], bool]:
    """What to watch: as text, what reads it, and whether any instruction may change it."""
    if isinstance(what, int):
        session.memory(what, size)
        return f"{size} bytes at {what:#x}", lambda: session.memory(what, size), False
    if isinstance(what, tuple):
        name, key = what
        held = _known_map(session, name)
        held.key_codec.encode(key)
        return f"{name}[{key}]", lambda: held.get(key), False
    expression = Expression(what)
    frames = session.frames
    frame = frames[0] if frames else None
    local = frozenset(frame.locals) if frame is not None else frozenset()
    own = bool(expression.names & (local | set(NAMES)))
    expression.operand(session, frame)  # or it says what there is not
    if not expression.names:
        raise DebuggerError(f"{what}: a constant does not change")
    number = frame.number if own and frame is not None else None
    return what, lambda: _value(session, expression, number), own


def _value(session: Session, expression: Expression, number: int | None) -> Any:
    """The value of an expression; in the frame of a number, where it has one. None: there is
    none now."""
    frames = session.frames
    if number is None:
        found = frames[0] if frames else None
    else:
        found = next((each for each in frames if each.number == number), None)
        if found is None:
            return None
    try:
        return expression.value(session, found)
    except OsmiaError:
        return None


def variable_reader(session: Contents) -> VariableReader | None:
    """What knows local variables of the session's programs; None where nothing does."""
    try:
        module = importlib.import_module(VARIABLES)
    except ModuleNotFoundError as error:
        if error.name != VARIABLES:
            raise
        return None
    reader: VariableReader | None = module.reader(session)
    return reader
