"""All about one verification: verdict, cost, the path to a refusal, where the values came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from osmia.object.model import SourceLine
from osmia.records import dataclass, field, replace
from osmia.verifier.cost import Cost, cost_of
from osmia.verifier.log import Statistics, VerifierLog
from osmia.verifier.origins import Origin, Tracer, wanted_registers
from osmia.verifier.path import path_of
from osmia.verifier.path_lines import PathLine, path_lines
from osmia.verifier.places import Places
from osmia.verifier.states import visit

#: Complaints about whole functions, after all paths were looked at.
_OF_NO_PATH = re.compile(r"combined stack size|tail_calls? (?:is|are) not allowed when call stack")


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
        accepted = not log.complaint() and log.statistics().processed != 0
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
    if path.visits and not _OF_NO_PATH.search(log.complaint()):
        told.path, told.path_omitted = path_lines(told.path_log, path.visits, places, texts)
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
