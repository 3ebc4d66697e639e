"""Breakpoints as an editor asks for them, put into each session of the program anew."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from osmia.debugger.dap.nodes import text_of
from osmia.debugger.dap.sources import SourceFiles
from osmia.debugger.dap.stack import code_place
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.expression import Expression
from osmia.errors import OsmiaError
from osmia.records import dataclass, field

if TYPE_CHECKING:
    from osmia.debugger.session import Session
    from osmia.debugger.stops import Stop

_HITS = re.compile(r"\s*(==|=|>=|>|<=|<|%)?\s*(\d+)\s*")
_IN_TEXT = re.compile(r"\{([^{}]*)\}")
_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "=": lambda hits, wanted: hits == wanted,
    "==": lambda hits, wanted: hits == wanted,
    ">=": lambda hits, wanted: hits >= wanted,
    ">": lambda hits, wanted: hits > wanted,
    "<=": lambda hits, wanted: hits <= wanted,
    "<": lambda hits, wanted: hits < wanted,
    "%": lambda hits, wanted: wanted > 0 and hits % wanted == 0,
}


class Condition:
    """When a breakpoint stops: its condition, how often it came by, a text to print instead.

    Hits are counted by position, so that they are the same after going back.
    """

    def __init__(self, asked: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._text = str(asked.get("condition") or "")
        if self._text:
            Expression(self._text)  # what is none is told to who sets the breakpoint
        self._log = str(asked.get("logMessage") or "")
        self._say = say
        self._positions: list[int] = []
        self._logged = -1
        self._hits: tuple[Callable[[int, int], bool], int] | None = None
        hits = str(asked.get("hitCondition") or "")
        if hits:
            found = _HITS.fullmatch(hits)
            if found is None:
                raise DebuggerError(f"hit condition {hits!r} is no number (>=, >, <, % before it)")
            self._hits = _COMPARE[found[1] or "="], int(found[2])

    def __bool__(self) -> bool:
        return bool(self._text or self._log or self._hits)

    def __call__(self, session: Session) -> bool:
        if self._text:
            try:
                if not session.evaluate(self._text):
                    return False
            except OsmiaError as error:
                self._say(f"a breakpoint's condition cannot be told: {error}\n")
                return True
        if self._hits is not None:
            compare, wanted = self._hits
            if not compare(self._number(session.position), wanted):
                return False
        if self._log:
            if session.position > self._logged:
                self._logged = session.position
                self._say(self._filled(session) + "\n")
            return False
        return True

    def _number(self, position: int) -> int:
        at = bisect_left(self._positions, position)
        if at == len(self._positions) or self._positions[at] != position:
            insort(self._positions, position)
        return at + 1

    def _filled(self, session: Session) -> str:
        def value(found: re.Match[str]) -> str:
            try:
                return text_of(session.evaluate(found[1]))
            except OsmiaError as error:
                return f"<{error}>"

        return _IN_TEXT.sub(value, self._log)


@dataclass(slots=True)
class Asked:
    """One breakpoint of the editor's: its number there, what it asked for, and what became of it
    in the session that there is now."""

    id: int
    kind: str  # "line", "function", "instruction", "data"
    what: Mapping[str, Any]
    held: list[Any] = field(default_factory=list)
    condition: Condition | None = None
    shown: dict[str, Any] = field(default_factory=dict)


class EditorBreakpoints:
    """All that an editor asked for; `data` are values to watch, by the ids that it was given."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._asked: dict[tuple[str, str], list[Asked]] = {}
        self._last = 0
        self.data: dict[str, tuple[tuple[str, Any] | str | int, int]] = {}
        self.faults = True

    def ask(
        self,
        kind: str,
        group: str,
        wanted: Iterable[Mapping[str, Any]],
        session: Session | None,
        sources: SourceFiles | None,
    ) -> list[dict[str, Any]]:
        """The breakpoints of a kind, of a file (`group`), are these and no others."""
        for gone in self._asked.pop((kind, group), ()):
            self._take_away(gone)
        made = []
        for what in wanted:
            self._last += 1
            made.append(Asked(self._last, kind, what))
        self._asked[kind, group] = made
        for each in made:
            self._put(each, session, sources)
        return [each.shown for each in made]

    def put_all(self, session: Session, sources: SourceFiles) -> list[dict[str, Any]]:
        """Put all into a session that begins; what became of those that are otherwise now."""
        changed = []
        for each in self._all():
            before = each.shown
            each.held = []
            self._put(each, session, sources)
            if each.shown != before:
                changed.append(each.shown)
        return changed

    def _all(self) -> list[Asked]:
        return [each for some in self._asked.values() for each in some]

    def _take_away(self, asked: Asked) -> None:
        for held in asked.held:
            held.delete()
        asked.held = []

    def _put(self, asked: Asked, session: Session | None, sources: SourceFiles | None) -> None:
        asked.shown = {"id": asked.id, "verified": False}
        if session is None or sources is None:
            asked.shown["message"] = "the program is not loaded yet"
            return
        try:
            asked.condition = Condition(asked.what, self._say)
            getattr(self, f"_put_{asked.kind}")(asked, session, sources)
            asked.shown["verified"] = True
        except (OsmiaError, KeyError, ValueError, TypeError) as error:
            self._take_away(asked)
            asked.shown["message"] = str(error)

    def _put_line(self, asked: Asked, session: Session, sources: SourceFiles) -> None:
        file = sources.known_as(asked.what["path"], asked.what.get("reference", 0))
        if file is None:
            raise DebuggerError(f"no program has code of {asked.what['path']}")
        made = session.break_at(
            line=asked.what["line"], file=file, condition=asked.condition or None
        )
        asked.held = [made]
        if made.line is not None:
            asked.shown["line"] = made.line
        asked.shown["source"] = sources.shown(file)

    def _put_function(self, asked: Asked, session: Session, sources: SourceFiles) -> None:
        condition = asked.condition or None
        asked.held = [session.break_at(function=asked.what["name"], condition=condition)]

    def _put_instruction(self, asked: Asked, session: Session, sources: SourceFiles) -> None:
        address = int(asked.what["instructionReference"], 0) + int(asked.what.get("offset", 0))
        place = code_place(address)
        if place is None or place[0] != session.program.number:
            raise DebuggerError(f"{address:#x} is no instruction of {session.program.name!r}")
        asked.held = [session.break_at(instruction=place[1], condition=asked.condition or None)]
        asked.shown["instructionReference"] = hex(address)

    def _put_data(self, asked: Asked, session: Session, sources: SourceFiles) -> None:
        known = self.data.get(asked.what["dataId"])
        if known is None:
            raise DebuggerError("that value is not known any more")
        what, size = known
        asked.held = [session.watch(what, size)]

    def ids(self, stop: Stop) -> list[int]:
        """The editor's numbers of what a session stopped at."""
        held = [*stop.breakpoints, *(each.watchpoint for each in stop.changes)]
        return [each.id for each in self._all() if any(one in held for one in each.held)]

    def kind(self, stop: Stop) -> str:
        """What kind of breakpoint it stopped at."""
        kinds = [each.kind for each in self._all() if set(each.held) & set(stop.breakpoints)]
        return kinds[0] if kinds else "line"

    def goes_on(self, stop: Stop, session: Session) -> bool:
        """Whether the conditions of all values that changed say that it is to go on."""
        changed = {change.watchpoint for change in stop.changes}
        asked = [each for each in self._all() if changed & set(each.held)]
        return bool(asked) and not any(
            each.condition is None or each.condition(session) for each in asked
        )
