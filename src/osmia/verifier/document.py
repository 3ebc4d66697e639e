"""A report as JSON has it."""

from __future__ import annotations

from typing import Any

from osmia.object.model import SourceLine
from osmia.verifier.origins import Origin
from osmia.verifier.path_lines import PathLine
from osmia.verifier.report import Report

_LINES = 2000


def document(report: Report) -> dict[str, Any]:
    """Names and numbers; instructions of the path by slot. Lists are the dearest first."""
    cost, numbers = report.cost, report.statistics
    return {
        "program": report.program,
        "accepted": report.accepted,
        "summary": report.summary or None,
        "processed": numbers.processed,
        "total_states": numbers.total_states,
        "peak_states": numbers.peak_states,
        "max_states_per_insn": numbers.states_of_one_instruction,
        "verification_time_us": numbers.microseconds,
        "log_whole": report.log.whole,
        "log_visits": cost.visits,
        "limits": [each._asdict() for each in cost.limits],
        "functions": [each._asdict() for each in cost.functions],
        "lines": [{**each._asdict(), "slots": list(each.slots)} for each in cost.lines],
        "loops": [
            {**each._asdict(), **_place(report.places.line(each.last))} for each in cost.loops
        ],
        "branches": [
            {**each._asdict(), **_place(report.places.line(each.slot))} for each in cost.branches
        ],
        "instructions": [
            {
                "slot": slot,
                "text": text,
                "visits": cost.by_slot.get(slot, 0),
                "pruned": cost.pruned_at.get(slot, 0),
                **_place(report.places.line(slot)),
            }
            for slot, text in sorted(report.texts.items())
        ],
        "path": [_path_line(each) for each in report.path[-_LINES:]],
        "path_certain": report.path_certain,
        "path_omitted": report.path_omitted + max(0, len(report.path) - _LINES),
        "origins": [_origin(each, report) for each in report.origins],
    }


def _place(line: SourceLine | None) -> dict[str, Any]:
    return {"file": line.file if line else None, "line": line.line if line else None}


def _path_line(each: PathLine) -> dict[str, Any]:
    return {
        "function": each.function,
        **_place(each.line),
        "text": each.line.text if each.line else None,
        "slot": each.slot,
        "times": each.times,
        "decisions": list(each.decisions),
    }


def _origin(origin: Origin, report: Report) -> dict[str, Any]:
    line = report.places.line(origin.slot) if origin.visit >= 0 else None
    return {
        "place": origin.place,
        "how": origin.how,
        "known": origin.known or None,
        "slot": origin.slot if origin.visit >= 0 else None,
        "text": origin.text or None,
        **_place(line),
        "made_of": [_origin(each, report) for each in origin.made_of],
    }
