"""What this kernel's verifier does with programs, put together."""

from __future__ import annotations

import pytest

from osmia.object.model import Object
from osmia.verifier.log import VerifierLog
from osmia.verifier.report import Report, report_of
from osmia.verifier.text import lines_of
from osmia.verifier.verifying import reports_of

from .programs import NEW, line_of
from .test_origins import chain

pytestmark = pytest.mark.kernel


@pytest.fixture
def reports(flows: Object) -> dict[str, Report]:
    return {each.program: each for each in reports_of(flows)}


def test_a_refused_program_does_not_keep_others_from_being_verified(
    reports: dict[str, Report],
) -> None:
    assert {name: each.accepted for name, each in reports.items()} == {
        "accepted": True,
        "refused": False,
    }


def test_every_instruction_that_the_verifier_counts_is_in_the_log(
    reports: dict[str, Report],
) -> None:
    for each in reports.values():
        assert each.cost.visits == each.statistics.processed
        assert sum(function.visits for function in each.cost.functions) == each.cost.visits
        assert each.log.whole


def test_the_cost_is_told_by_function_line_and_loop(reports: dict[str, Report]) -> None:
    cost = reports["accepted"].cost
    assert [each.name for each in cost.functions] == ["sum", "accepted", "triple"]
    dearest = cost.lines[0]
    assert dearest.line in range(line_of("for (int i"), line_of("return found"))
    assert dearest.visits > cost.visits / 4
    loop = cost.loops[0]
    assert loop.rounds == 39
    assert loop.visits > 0.7 * cost.visits
    assert {each.name: each.used for each in cost.limits}["frames"] == 2


def test_the_branches_out_of_the_loop_are_counted(reports: dict[str, Report]) -> None:
    each = reports["accepted"]
    lines = [each.places.line(branch.slot) for branch in each.cost.branches]
    times = {line.line: b.times for b, line in zip(each.cost.branches, lines, strict=True) if line}
    assert times[line_of("found > most")] >= 39


def test_the_path_to_the_refusal_goes_through_the_function_that_was_called(
    reports: dict[str, Report],
) -> None:
    each = reports["refused"]
    assert each.path_certain
    lines = [step.line.line for step in each.path if step.line is not None]
    assert lines[-1] == line_of("may be NULL")
    assert {line_of("__u32 key = ctx->"), line_of("found > most")} <= set(lines)
    assert {step.function for step in each.path} == {"refused", "sum"}
    assert max(step.times for step in each.path) == 39
    assert len(each.path) < 40


def test_the_pointer_came_from_the_map(reports: dict[str, Report]) -> None:
    each = reports["refused"]
    (origin,) = each.origins
    told = chain(origin)
    assert told[-1][0] == "R0" and told[-1][1].startswith("returned by bpf_map_lookup_elem")
    leaf = origin
    while leaf.made_of:
        leaf = leaf.made_of[0]
    line = each.places.line(leaf.slot)
    assert line is not None and "bpf_map_lookup_elem" in line.text
    assert "map_value_or_null" in leaf.known


def test_the_text_is_short_and_says_all_of_it(reports: dict[str, Report]) -> None:
    text = "\n".join(line for line, _ in lines_of(reports["refused"]))
    assert f"flows.bpf.c:{line_of('may be NULL')}: R" in text
    assert "the pointer may be NULL" in text
    assert "39 times" in text
    assert "returned by bpf_map_lookup_elem" in text
    assert text.count("\n") < 70


def test_the_time_is_that_without_writing_a_long_log(flows: Object) -> None:
    for each in reports_of(flows):
        long, short = each.log.statistics(), each.statistics
        assert long.microseconds is not None and short.microseconds is not None
        assert short.microseconds < long.microseconds


def test_nothing_is_loaded_or_kept_after_each_program(flows: Object) -> None:
    reports = reports_of(flows)
    assert next(reports).program == "accepted"
    reports.close()


def test_a_log_of_level_1_has_the_path_and_says_that_it_is_not_all(flows: Object) -> None:
    told = {each.program: each for each in reports_of(flows, log_level=5)}
    assert told["refused"].path and told["refused"].origins
    assert not told["accepted"].log.whole


def test_what_is_refused_after_all_paths_were_looked_at_has_no_path() -> None:
    said = "combined stack size of 2 calls is 640. Too large\n"
    told = report_of(
        VerifierLog(NEW.replace("verification time", said + "verification time").encode())
    )
    assert not told.accepted
    assert told.path == [] and told.origins == []


def test_a_program_of_which_nothing_was_verified_is_refused() -> None:
    log = b"arg#0 reference type('UNKNOWN ') size cannot be determined: -22\nprocessed 0 insns"
    log += b" (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n"
    assert not report_of(VerifierLog(log)).accepted
