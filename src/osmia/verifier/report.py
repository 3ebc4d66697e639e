"""All about one verification: verdict, cost, the path to a refusal, where the values came from."""

from __future__ import annotations

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


@dataclass
class Report:
    """`summary`, `path` and `origins` are empty of a program that was accepted; `path_log` is the
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
    told.summary = summary or _summary(log, lines)
    told.path_log = short_log or log
    if short_log is not None:
        texts = texts_of(short_log)
        path = path_of(short_log, texts)
    told.path_certain = path.certain
    told.path, told.path_omitted = path_lines(told.path_log, path.visits, places, texts)
    if path.visits:
        tracer = Tracer(told.path_log, path.visits, texts)
        last = texts[told.path_log.slots[path.visits[-1]]]
        told.origins = [tracer.origin(each) for each in wanted_registers(log.complaint(), last)]
    return told


def _summary(log: VerifierLog, lines: Sequence[SourceLine]) -> str:
    from osmia.kernel.programs.verifier_log import explain

    return explain(log.tail(), lines).summary


def texts_of(log: VerifierLog) -> dict[int, str]:
    """Each instruction that the log has, as the verifier writes it."""
    return {slot: visit(log, number).text for slot, number in log.first.items()}
