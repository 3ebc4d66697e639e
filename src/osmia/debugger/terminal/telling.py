"""Stops in words: why a run stands still, what changed, how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from osmia.debugger.stops import Stop, StopReason
from osmia.debugger.terminal.screen import shown
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from osmia.debugger.session import Session
    from osmia.engine.results import RunResult


def greeting(session: Session) -> str:
    """What is debugged."""
    program = session.program
    kind = program.type.name if program.type is not None else "raw"
    count = sum(1 for each in program.code.instructions if each is not None)
    data = f", {len(session.given.data)} bytes of data" if session.given.data else ""
    return f"program {program.name} ({kind}), {count} instructions{data}"


def reasons(session: Session, stop: Stop) -> Iterator[tuple[str, str]]:
    """Lines to print before the place, each with its style."""
    for change in stop.changes:
        yield "", ""
        yield "yellow", f"Watchpoint {change.watchpoint.id}: {change.watchpoint.text}"
        yield "", ""
        yield "", f"Old value = {_value(session, change.old)}"
        yield "", f"New value = {_value(session, change.new)}"
    if stop.breakpoints:
        numbers = ", ".join(str(each.id) for each in stop.breakpoints)
        places = ", ".join(str(each.place) for each in stop.breakpoints)
        once = all(each.temporary for each in stop.breakpoints)
        yield "yellow", f"{'Temporary breakpoint' if once else 'Breakpoint'} {numbers}, {places}"
    if stop.fault is not None:
        yield "red", f"Fault: {stop.fault.message}"
    if stop.missed:
        yield "yellow", stop.missed
    if stop.returned is not None:
        yield "", f"Value returned is {_value(session, stop.returned)}"
    if stop.reason is StopReason.INTERRUPTED:
        yield "yellow", "Interrupted"
    if stop.reason is StopReason.BEGIN and stop is not session.first_stop:
        yield "yellow", "The beginning of the run"
    if stop.result is not None and not stop.missed:
        yield "green", ended(session, stop.result)


def _value(session: Session, value: object) -> str:
    return "none" if value is None else shown(session, value)


def ended(session: Session, result: RunResult) -> str:
    """How a run ended."""
    name = result.verdict
    verdict = f" ({name})" if name != str(result.retval) else ""
    text = f"The program returned {result.retval}{verdict}"
    given = session.given.data
    if result.data and given and result.data != given:
        text += f"; the packet has {len(result.data)} bytes and was changed"
    if result.redirect is not None:
        target, number, _ = result.redirect
        where = f"key {target} of map {number}" if number is not None else f"interface {target}"
        text += f"; redirected to {where}"
    return text


def displayed(session: Session, text: str) -> str:
    """An expression that is shown at each stop."""
    try:
        return f"{text} = {shown(session, session.evaluate(text))}"
    except OsmiaError as error:
        return f"{text}: {error}"
