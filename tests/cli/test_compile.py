"""`osmia compile`, `stubs` and `inspect`: what needs no kernel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from .conftest import SOURCE, Result

Cli = Callable[..., Result]


def test_the_object_stands_beside_the_source_unless_told_otherwise(
    osmia: Cli, tmp_path: Path
) -> None:
    source = tmp_path / "counter.bpf.c"
    shutil.copy(SOURCE, source)
    assert osmia("compile", source).status == 0
    assert (tmp_path / "counter.bpf.o").read_bytes().startswith(b"\x7fELF")
    assert osmia("compile", source, "-o", tmp_path / "other.o", "--target", "bpfeb").status == 0
    assert osmia("inspect", tmp_path / "other.o", "-j").json["byteorder"] == "big"


def test_include_and_define_options_reach_the_compiler(osmia: Cli, tmp_path: Path) -> None:
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "answer.h").write_text("#define ANSWER 42\n")
    source = tmp_path / "answer.bpf.c"
    source.write_text('#include "answer.h"\nint answer = ANSWER + MORE;\n')
    failed = osmia("compile", source)
    assert failed.status == 1
    assert failed.err.startswith(f"osmia: cannot compile {source}\n")
    made = osmia("compile", source, "-I", tmp_path / "headers", "-D", "MORE=1", "-v")
    assert made.status == 0, made.err
    assert "answer.bpf.o" in made.err
    told = osmia("inspect", tmp_path / "answer.bpf.o", "-j").json
    assert [(each["name"], each["value"]) for each in told["globals"]] == [("answer", 43)]


def test_warnings_are_shown_and_are_no_error(osmia: Cli, tmp_path: Path) -> None:
    source = tmp_path / "warn.bpf.c"
    source.write_text("#warning look here\nint x = 1;\n")
    made = osmia("compile", source)
    assert made.status == 0
    assert "look here" in made.err


def test_inspect_shows_all_parts(osmia: Cli, compiled: Path) -> None:
    shown = osmia("inspect", compiled)
    assert shown.status == 0
    for heading in ("programs", "functions", "maps", "data sections", "globals"):
        assert heading in shown.lines
    (largest,) = [line for line in shown.lines if line.startswith("const volatile __u32 largest ")]
    assert largest.split()[-2:] == [".rodata", "1000"]
    assert "struct size_key" in shown.out


def test_inspect_as_json(osmia: Cli, compiled: Path) -> None:
    told = osmia("inspect", compiled, "-j").json
    (program,) = told["programs"]
    assert (program["name"], program["section"], program["type"]) == ("count", "xdp", "xdp")
    assert program["calls"] == ["report"]
    assert [each["name"] for each in told["subprograms"]] == ["report"]
    maps = {each["name"]: each for each in told["maps"]}
    assert maps["totals"]["value"] == "struct total"
    assert (maps["totals"]["bytes_key"], maps["totals"]["max_entries"]) == (4, 64)
    assert maps["events"]["type"] == "ringbuf"
    values = {e["name"]: e["value"] for e in told["globals"] if "." not in e["name"]}
    assert values == {"largest": 1000, "seen": 0, "label": "demo"}


def test_inspect_disassembles_with_source_lines_and_names(osmia: Cli, compiled: Path) -> None:
    shown = osmia("inspect", compiled, "--disasm")
    assert "int count(struct xdp_md *ctx):" in shown.lines
    assert "; __sync_fetch_and_add(&seen, 1);" in shown.lines
    for text in ("= map[totals]", "= &seen", "call report", "call bpf_ringbuf_output#130"):
        assert text in shown.out
    only = osmia("inspect", compiled, "-p", "report", "-j", "--opcodes").json["code"]
    assert list(only) == ["report"]
    assert only["report"][0]["proto"] == "int report(struct packet_event *event)"
    assert all(len(each["opcodes"]["imm"]) in (4, 12) for each in only["report"])
    unknown = osmia("inspect", compiled, "-p", "cuont")
    assert unknown.status == 1
    assert "did you mean 'count'" in unknown.err


def test_inspect_takes_source_too(osmia: Cli) -> None:
    assert osmia("inspect", SOURCE, "-j").json["programs"][0]["name"] == "count"


def test_stubs_are_python(osmia: Cli, compiled: Path, tmp_path: Path) -> None:
    text = osmia("stubs", compiled).out
    compile(text, "stubs", "exec")
    assert "class total(Struct):" in text
    assert osmia("stubs", compiled, "-o", tmp_path / "types.py").status == 0
    assert (tmp_path / "types.py").read_text() == text


def test_inspect_shows_jump_tables_and_where_jumps_go(osmia: Cli) -> None:
    source = SOURCE.parents[1] / "formats" / "jump_tables.bpf.c"
    options = ("--cpu", "v4", "--compiler", "zig")
    shown = osmia("inspect", source, "--disasm", *options)
    assert shown.status == 0, shown.err
    assert "jump tables" in shown.lines
    (row,) = [line for line in shown.lines if line.startswith("BPF.JT.5.0 ")]
    assert row.split() == ["BPF.JT.5.0", "machine", "4", "4"]
    told = osmia("inspect", source, "-j", "--prog", "machine", *options).json
    (table,) = [each for each in told["jump_tables"] if each["function"] == "machine"]
    targets = ", ".join(str(target) for target in sorted(table["targets"]))
    (jump,) = [each for each in told["code"]["machine"] if "gotox" in each["disasm"]]
    assert jump["disasm"].endswith(f" ; {targets}")
    assert any(each["pc"] == table["targets"][0] for each in told["code"]["machine"])
