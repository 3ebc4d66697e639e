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


SEVERAL = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("fentry/osmia_has_no_such_function") int lost(void *ctx) { return 0; }
SEC("xdp") int good(struct xdp_md *ctx) { return VERDICT; }
"""
WHOLE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
__attribute__((noinline)) int chosen(struct xdp_md *ctx)
{
    volatile int verdict = 2;
    return verdict;
}
SEC("xdp") int whole(struct xdp_md *ctx) { return chosen(ctx); }
"""
INSTEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("freplace/chosen") int instead(struct xdp_md *ctx) { return 1; }
"""


@pytest.mark.kernel
def test_what_is_wrong_with_one_program_leaves_the_others_to_be_verified(
    osmia: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "several.bpf.c"
    path.write_text(SEVERAL)
    result = osmia("verify", path, "-D", "VERDICT=XDP_PASS")
    assert result.status == 1 and "good: accepted" in result.lines
    assert any(
        line.startswith("lost: not verified: ") and "osmia_has_no_such_function" in line
        for line in result.lines
    )
    good, lost = osmia("verify", path, "-D", "VERDICT=XDP_PASS", "-j").json
    assert good["accepted"] and not lost["accepted"] and "no_such" in lost["error"]
    alone = osmia("verify", path, "lost", "--flag=-DVERDICT=1")
    assert alone.status == 1 and not alone.out and "osmia_has_no_such_function" in alone.err


@pytest.mark.kernel
def test_a_program_is_verified_for_the_one_that_it_attaches_to(osmia: Cli, tmp_path: Path) -> None:
    from osmia import compile as compile_source

    path = tmp_path / "instead.bpf.c"
    path.write_text(INSTEAD)
    with compile_source(WHOLE).load() as bpf:
        number = bpf.programs["whole"].info.id
        result = osmia("verify", path, "--attach-to", f"instead=id {number}")
        if "has no EXT programs" not in result.err:  # some kernels are built without
            assert result.status == 0 and result.lines[0] == "instead: accepted", result
        wrong = osmia("verify", path, "--attach-to", f"insted={number}")
        assert wrong.status == 1 and "insted" in wrong.err
    assert osmia("verify", path, "--attach-to", "instead").status == 2


@pytest.mark.kernel
def test_a_token_is_asked_for_where_it_is_said_to_be(osmia: Cli, flows: Path) -> None:
    result = osmia("verify", flows, "accepted", "--token", "/nowhere")
    assert result.status == 1 and "/nowhere" in result.err
