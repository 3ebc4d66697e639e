"""`osmia verify`: verdicts, costs, paths, in text and JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..verifier.programs import NEW, PASTED, SOURCE, line_of
from .conftest import Result

Cli = Callable[..., Result]


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    path = tmp_path / "flows.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.mark.kernel
def test_all_programs_are_told_of_and_the_status_says_that_one_is_refused(
    osmia: Cli, flows: Path
) -> None:
    result = osmia("verify", flows)
    assert result.status == 1
    assert "accepted: accepted" in result.lines
    assert any(line.startswith("refused: rejected: ") for line in result.lines)
    assert "  where R6 came from:" in result.lines or "came from" in result.out


@pytest.mark.kernel
def test_one_program_that_is_accepted(osmia: Cli, flows: Path) -> None:
    result = osmia("verify", flows, "accepted", "-j")
    assert result.status == 0
    (told,) = result.json
    assert told["accepted"] and told["summary"] is None
    assert told["processed"] == told["log_visits"]
    assert told["loops"][0]["rounds"] == 39
    assert told["path"] == [] and told["origins"] == []


@pytest.mark.kernel
def test_json_of_a_refusal(osmia: Cli, flows: Path) -> None:
    (told,) = osmia("verify", flows, "refused", "--json").json
    assert told["path"][-1]["line"] == line_of("may be NULL")
    assert told["path_certain"]
    assert told["kind"] == "map-value-null"
    assert "compare it with NULL" in told["hint"]
    origin = told["origins"][0]
    while origin["made_of"]:
        origin = origin["made_of"][0]
    assert origin["how"].startswith("returned by bpf_map_lookup_elem")
    assert {each["slot"] for each in told["instructions"]} >= {0, origin["slot"]}


def test_a_pasted_log_needs_neither_object_nor_kernel(osmia: Cli, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(PASTED)
    result = osmia("verify", "--log", path)
    assert result.status == 1
    assert "b.bpf.c:9: R3 invalid mem access 'scalar'" in result.lines[0]
    assert "from the context, offset 12" in result.out
    path.write_text(NEW)
    assert osmia("verify", "--log", path).status == 0


def test_a_page(osmia: Cli, tmp_path: Path) -> None:
    log, page = tmp_path / "log", tmp_path / "page.html"
    log.write_text(PASTED)
    result = osmia("verify", "--log", log, "-o", page)
    assert result.status == 1
    assert len(result.lines) == 1 and "page.html" in result.err
    assert "from the context, offset 12" in page.read_text()
    result = osmia("verify", "--log", log, "-o", tmp_path / "page.svg")
    assert result.status == 2 and "pages are .html" in result.err


def test_without_a_file_it_says_what_it_wants(osmia: Cli) -> None:
    result = osmia("verify")
    assert result.status == 2
    assert "give an object or C source, or --log" in result.err


def test_a_program_that_is_not_there_is_said_with_those_that_are(osmia: Cli, flows: Path) -> None:
    result = osmia("verify", flows, "refuse")
    assert result.status == 1
    assert "refused" in result.err
