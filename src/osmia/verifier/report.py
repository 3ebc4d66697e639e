"""All about one verification: verdict, cost, the path to a refusal, where the values came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osmia.named_tuples import NamedTuple
from osmia.object.model import SourceLine
from osmia.records import dataclass, field, replace
from osmia.verifier.cost import Cost, cost_of
from osmia.verifier.instructions import target
from osmia.verifier.log import Statistics, VerifierLog
from osmia.verifier.origins import Origin, Tracer, wanted_registers
from osmia.verifier.path import path_of
from osmia.verifier.places import Places
from osmia.verifier.states import visit

#: Of a path: so many lines from its end are put together, in loops of so many.
_LINES = 4096
_LONGEST_LOOP = 32


class PathLine(NamedTuple):
    """A source line on the path, `times` in a row where a loop came by; `decisions` are the jumps
    in it and whether they were taken. `visit` is the first of its visits, `slot` that instruction.
    """

    function: str
    line: SourceLine | None
    slot: int
    visit: int
    times: int
    decisions: tuple[str, ...]


@dataclass
class Report:
    """`kind` and `hint` are those of `osmia.refusals`. They, `summary`, `path` and `origins` are
    empty of a program that was accepted; `path_log` is the
    log that their visits are in; `path_certain` is as `Path.certain`; `path_omitted` is how many
    lines are before it."""

    program: str
    accepted: bool
    log: VerifierLog
    places: Places
    statistics: Statistics
    cost: Cost
    texts: Mapping[int, str]
    summary: str = ""
    kind: str = ""
    hint: str = ""
    path: list[PathLine] = field(default_factory=list)
    path_certain: bool = True
    path_omitted: int = 0
    path_log: VerifierLog | None = None
    origins: list[Origin] = field(default_factory=list)


def report_of(
    log: VerifierLog,
    program: str = "",
    *,
    accepted: bool | None = None,
    functions: Mapping[int, str] | None = None,
    lines: Sequence[SourceLine] = (),
    summary: str = "",
    short_log: VerifierLog | None = None,
) -> Report:
    """Put together what a log says. `accepted` is the kernel's verdict, where it is known: else a
    log that ends with a complaint is of a refusal. `short_log` is one more log of the same, which
    tells the time, and the path of a refusal; `summary` what is wrong, where it is known."""
    if accepted is None:
        accepted = not log.complaint()
    texts = texts_of(log)
    places = Places(log, texts, functions, lines)
    path = path_of(log, texts)
    told = Report(
        program, accepted, log, places, log.statistics(), cost_of(log, places, path, texts), texts
    )
    if short_log is not None:
        told.statistics = replace(told.statistics, microseconds=short_log.statistics().microseconds)
    if accepted:
        return told
    said, told.kind, told.hint = _complaint(log, lines)
    told.summary = summary or said
    told.path_log = short_log or log
    if short_log is not None:
        texts = texts_of(short_log)
        path = path_of(short_log, texts)
    told.path_certain = path.certain
    told.path, told.path_omitted = _condensed(told.path_log, path.visits, places, texts)
    if path.visits:
        tracer = Tracer(told.path_log, path.visits, texts)
        last = texts[told.path_log.slots[path.visits[-1]]]
        told.origins = [tracer.origin(each) for each in wanted_registers(log.complaint(), last)]
    return told


def _complaint(log: VerifierLog, lines: Sequence[SourceLine]) -> tuple[str, str, str]:
    """The summary, the kind and the hint of a refusal."""
    from osmia.kernel.programs.verifier_log import explain

    found = explain(log.tail(), lines)
    return found.summary, found.kind, found.hint


def texts_of(log: VerifierLog) -> dict[int, str]:
    """Each instruction that the log has, as the verifier writes it."""
    return {slot: visit(log, number).text for slot, number in log.first.items()}


def _condensed(
    log: VerifierLog, visits: Sequence[int], places: Places, texts: Mapping[int, str]
) -> tuple[list[PathLine], int]:
    """The path by source lines, what comes again in a row once; and how many were left out."""
    runs: list[PathLine] = []
    omitted = 0
    for key, begin, end in _runs(log, visits, places):
        function, line, slot = key
        decisions = _decisions(log, visits, begin, end, texts)
        runs.append(PathLine(function, line, slot, visits[begin], 1, decisions))
        _fold(runs)
        if len(runs) > 2 * _LINES:
            omitted += _LINES
            del runs[:_LINES]
    return runs, omitted


def _runs(
    log: VerifierLog, visits: Sequence[int], places: Places
) -> list[tuple[tuple[str, SourceLine | None, int], int, int]]:
    """Visits of one line in a row: where they begin and end on the path."""
    of_slot = {slot: (places.function(slot), _place(places.line(slot)), slot) for slot in log.first}
    runs = []
    begin, before = 0, None
    for step, number in enumerate(visits):
        now = of_slot[log.slots[number]]
        if before is not None and now[:2] != before[:2]:
            runs.append((begin, step))
            begin = step
        before = now
    if visits:
        runs.append((begin, len(visits)))
    found = []
    for start, end in runs:
        slot = log.slots[visits[start]]
        found.append(((places.function(slot), places.line(slot), slot), start, end))
    return found


def _place(line: SourceLine | None) -> tuple[str, int] | None:
    return (line.file, line.line) if line is not None else None


def _decisions(
    log: VerifierLog, visits: Sequence[int], begin: int, end: int, texts: Mapping[int, str]
) -> tuple[str, ...]:
    found = []
    for step in range(begin, min(end, begin + 64)):
        slot = log.slots[visits[step]]
        text = texts[slot]
        if text.startswith("if ") and step + 1 < len(visits):
            following = log.slots[visits[step + 1]]
            way = "taken" if following == target(slot, text) else "not taken"
            found.append(f"{slot}: {text}: {way}")
    return tuple(found)


def _fold(runs: list[PathLine]) -> None:
    """Count what was just said again, instead of saying it twice."""
    for length in range(1, min(_LONGEST_LOOP, len(runs) // 2) + 1):
        if runs[-1].slot != runs[-1 - length].slot:
            continue
        last, before = runs[-length:], runs[-2 * length : -length]
        if all(a[:3] == b[:3] for a, b in zip(last, before, strict=True)):
            runs[-2 * length :] = [
                b._replace(times=b.times + a.times, decisions=a.decisions)
                for a, b in zip(last, before, strict=True)
            ]
            return
