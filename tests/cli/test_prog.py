"""`osmia prog`: what bpftool's users expect, on programs loaded here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


@pytest.fixture
def program(pinned: Path) -> Path:
    return pinned / "count"


def test_load_pins_programs_and_maps(osmia: Cli, pinned: Path) -> None:
    names = {path.name for path in (pinned / "maps").iterdir()}
    assert names == {"totals", "by_cpu", "events"}
    with KernelProgram.from_pin(pinned / "count") as loaded:
        assert loaded.name == "count"


def test_a_failed_load_leaves_no_pin(osmia: Cli, compiled: Path, bpffs: Path) -> None:
    (bpffs / "maps").mkdir()
    (bpffs / "maps" / "by_cpu").mkdir()
    failed = osmia("prog", "load", compiled, bpffs / "count", "--pin-maps", bpffs / "maps")
    assert failed.status == 1
    assert not (bpffs / "count").exists()
    assert [path.name for path in (bpffs / "maps").iterdir()] == ["by_cpu"]


def test_list_has_bpftools_fields(osmia: Cli, program: Path) -> None:
    with KernelProgram.from_pin(program) as loaded:
        info = loaded.info
        (entry,) = [e for e in osmia("prog", "list", "-j", "-f").json if e["id"] == info.id]
        assert entry["pids"][0]["pid"] == os.getpid()
    assert (entry["type"], entry["name"], entry["tag"]) == ("xdp", "count", info.tag)
    assert entry["bytes_xlated"] == info.xlated_len
    assert entry["map_ids"] == list(info.map_ids)
    assert entry["pinned"] == [str(program)]
    table = osmia("prog", "list")
    assert table.lines[0].split()[:4] == ["id", "type", "name", "tag"]
    assert any(info.tag in line for line in table.lines)


@pytest.mark.skipif(not shutil.which("bpftool"), reason="compares with Debian's bpftool")
def test_json_says_what_bpftools_says(osmia: Cli, program: Path) -> None:
    theirs = json.loads(
        subprocess.check_output(["bpftool", "-j", "prog", "show", "pinned", program])
    )
    mine = osmia("prog", "show", "pinned", program, "-j").json
    for key in ("id", "type", "name", "tag", "gpl_compatible", "uid", "bytes_xlated", "jited"):
        assert mine[key] == theirs[key], key
    assert mine["bytes_jited"] == theirs["bytes_jited"]
    assert sorted(mine["map_ids"]) == sorted(theirs["map_ids"])
    assert mine["btf_id"] == theirs["btf_id"]
    assert abs(mine["loaded_at"] - theirs["loaded_at"]) <= 1


def test_programs_are_found_by_id_tag_and_pin(osmia: Cli, program: Path) -> None:
    with KernelProgram.from_pin(program) as loaded:
        info = loaded.info
    by_id = osmia("prog", "show", "id", info.id)
    assert by_id.lines[0] == f"{info.id}: xdp count"
    assert f"pinned:         {program}" in by_id.out
    assert osmia("prog", "show", info.id).lines[0] == by_id.lines[0]
    assert osmia("prog", "show", program).lines[0] == by_id.lines[0]
    tagged = osmia("prog", "show", "tag", info.tag, "-j").json
    tagged = tagged if isinstance(tagged, list) else [tagged]
    assert info.id in [each["id"] for each in tagged]


def test_what_is_not_there_is_named(osmia: Cli) -> None:
    assert osmia("prog", "show", "name", "no_such").err == (
        "osmia: there is no program with name no_such\n"
    )
    assert osmia("prog", "show", "id", 4000000000).status == 1
    assert osmia("prog", "show", "id", "twelve").status == 2
    assert osmia("prog", "show", "id").status == 2
    assert osmia("prog", "dump", "xlated").status == 2


def test_xlated_has_lines_functions_and_helpers(osmia: Cli, program: Path) -> None:
    dumped = osmia("prog", "dump", "xlated", program)
    assert "int count(struct xdp_md *ctx):" in dumped.lines
    assert "int report(struct packet_event *event):" in dumped.lines
    assert "call report" in dumped.out
    assert "call bpf_ringbuf_output#" in dumped.out
    assert "= map[id:" in dumped.out
    assert "counter.bpf.c:" not in dumped.out
    assert "counter.bpf.c:" in osmia("prog", "dump", "xlated", program, "--linum").out


def _packed(opcodes: dict[str, Any]) -> bytes:
    registers = int(opcodes["src_reg"], 16) << 4 | int(opcodes["dst_reg"], 16)
    behind = [int(byte, 16) for byte in (*opcodes["off"], *opcodes["imm"])]
    return bytes([int(opcodes["code"], 16), registers, *behind])


def test_xlated_as_json_and_raw(osmia: Cli, program: Path, tmp_path: Path) -> None:
    told = osmia("prog", "dump", "xlated", program, "-j", "--opcodes").json
    assert osmia("prog", "dump", "xlated", program, "-o", tmp_path / "raw").status == 0
    raw = (tmp_path / "raw").read_bytes()
    assert b"".join(_packed(each["opcodes"]) for each in told) == raw
    assert told[0]["proto"].startswith("int count(")


def test_jited_has_a_part_for_each_function(osmia: Cli, program: Path, tmp_path: Path) -> None:
    told = osmia("prog", "dump", "jited", program, "-j").json
    assert len(told) == 2
    osmia("prog", "dump", "jited", program, "-o", tmp_path / "raw")
    assert sum(len(each["code"]) for each in told) == (tmp_path / "raw").stat().st_size
    assert osmia("prog", "dump", "jited", program, "--hex").lines[0].startswith("0x")
    only_bytes = osmia("prog", "dump", "jited", program, "--hex", "-j").json
    assert only_bytes == [{k: v for k, v in each.items() if k != "insns"} for each in told]


def test_jited_is_disassembled_with_source_lines(osmia: Cli, program: Path) -> None:
    pytest.importorskip("capstone")
    shown = osmia("prog", "dump", "jited", program, "opcodes", "linum")
    assert shown.status == 0, shown.err
    assert shown.lines[0] == "int count(struct xdp_md *ctx):"
    assert re.fullmatch("bpf_prog_[0-9a-f]{16}_count:", shown.lines[1])
    assert any(re.search(r"^; .*counter\.bpf\.c:\d+\]$", line) for line in shown.lines)
    assert any(re.fullmatch("      [0-9a-f ]+", line) for line in shown.lines)
    first, second = osmia("-j", "prog", "dump", "jited", program, "opcodes", "linum").json
    assert first["insns"][0]["pc"] == "0x0"
    assert [each["operation"] for each in second["insns"]]
    raw = [byte for each in first["insns"] for byte in each["opcodes"]]
    assert raw == first["code"]


def test_jited_without_capstone_names_the_extra(
    osmia: Cli, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    shown = osmia("prog", "dump", "jited", program)
    assert (shown.status, shown.out) == (1, "")
    assert "pip install 'osmia[disassembly]'" in shown.err


def test_control_flow_is_drawn(osmia: Cli, program: Path, tmp_path: Path) -> None:
    text = osmia("prog", "dump", "xlated", "pinned", program, "visual")
    assert text.out.startswith('digraph "control flow" {')
    assert osmia("prog", "dump", "visual", program).out == text.out
    picture = tmp_path / "flow.svg"
    assert osmia("prog", "dump", "visual", program, "-o", picture).status == 0
    assert picture.read_text().startswith("<svg ")
    assert "int count(struct xdp_md *ctx)" in picture.read_text()
    wrong = osmia("prog", "dump", "visual", program, "-o", tmp_path / "flow.png")
    assert (wrong.status, "pictures are .svg or .dot" in wrong.err) == (2, True)


def test_run_gives_the_verdict(osmia: Cli, program: Path, tmp_path: Path) -> None:
    run = osmia("prog", "run", program, "--packet", "00" * 64, "--repeat", 10)
    assert run.lines[-1].startswith("return value: 2, duration (average): ")
    (tmp_path / "packet").write_bytes(bytes(1200))
    told = osmia("prog", "run", program, "--data", tmp_path / "packet", "-j").json
    assert told["retval"] == 1
    assert len(told["data_out"]) == 1200
    out = tmp_path / "out"
    osmia("prog", "run", program, "--data", tmp_path / "packet", "--data-out", out)
    assert out.read_bytes() == bytes(1200)
    assert osmia("prog", "run", program, "--packet", "xyz").status == 2
    short = osmia("prog", "run", program, "--packet", "00")
    assert short.status == 1
    assert "Ethernet header" in short.err


def test_pin_makes_another_name(osmia: Cli, program: Path) -> None:
    assert osmia("prog", "pin", "pinned", program, program.parent / "more" / "again").status == 0
    assert (program.parent / "more" / "again").exists()
    taken = osmia("prog", "pin", program, program)
    assert taken.status == 1 and "EEXIST" in taken.err


def test_log_shows_what_the_verifier_says(osmia: Cli, compiled: Path, tmp_path: Path) -> None:
    log = osmia("prog", "log", compiled)
    assert log.lines[0] == "count:"
    assert log.lines[-1].startswith("processed ")
    bad = tmp_path / "bad.bpf.c"
    bad.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int bad(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }\n'
    )
    rejected = osmia("prog", "log", bad)
    assert rejected.status == 1
    assert "invalid access" in rejected.out
    assert rejected.err.startswith("osmia: the verifier rejected program 'bad': ")
    assert len(rejected.err.splitlines()) == 1


def test_a_refusals_kind_and_hint_are_in_the_error_as_json(osmia: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bpf.c"
    bad.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int bad(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }\n'
    )
    for words in (["load", bad, "/sys/fs/bpf/never"], ["log", bad]):
        error = json.loads(osmia("-j", "prog", *words).err)
        assert error["kind"] == "packet-bounds"
        assert "data_end" in error["hint"]
        assert error["hint"] in error["error"]


def test_an_unknown_program_of_an_object_is_named(osmia: Cli, compiled: Path, bpffs: Path) -> None:
    wrong = osmia("prog", "load", compiled, bpffs / "x", "--prog", "coun")
    assert wrong.status == 1 and "did you mean 'count'" in wrong.err


def test_output_of_a_program_is_printed(
    osmia: Cli, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert osmia("prog", "tracelog", "program", program).status == 2
    if features.kernel_is_older_than("6.17"):
        assert "6.17" in osmia("prog", "tracelog", "stdout", program).err
    else:
        assert osmia("prog", "tracelog", "stderr", program, "-j").json == {"stderr": ""}
    # Whether a kernel has memory for a program's output depends on more than its version.
    monkeypatch.setattr(KernelProgram, "read_output", lambda self: f"{self.name}\t1\nand\x1b[2J\n")
    assert osmia("prog", "tracelog", "stdout", program).lines == ["count   1", "and\\x1b[2J"]
    told = osmia("prog", "tracelog", "stdout", program, "-j").json
    assert told == {"stdout": "count\t1\nand\x1b[2J\n"}


def test_profile_says_what_this_machine_lacks_or_counts(osmia: Cli, program: Path) -> None:
    done = osmia("prog", "profile", program, "-m", "cpu_clock", "-d", "0.1", "--json")
    if done.status:
        assert "TRACE_F" in done.err
    else:
        (counted,) = done.json
        assert counted["metric"] == "cpu_clock"


def test_profile_names_a_metric_that_is_none(osmia: Cli, program: Path) -> None:
    done = osmia("prog", "profile", program, "-m", "colour")
    assert done.status == 2
    assert "'colour' is no metric" in done.err


@pytest.mark.second_kernel
def test_profile_counts_runs_until_its_time_is_over(osmia: Cli, program: Path) -> None:
    done = osmia("prog", "profile", program, "-m", "cpu_clock", "-d", "0.2")
    assert done.status == 0
    assert [line.split()[0] for line in done.lines[-2:]] == ["runs", "cpu_clock"]


def test_the_time_of_loading_is_no_second_late(monkeypatch: pytest.MonkeyPatch) -> None:
    from osmia.cli import listings

    monkeypatch.setattr("time.clock_gettime_ns", lambda clock: 100 * 10**9)
    monkeypatch.setattr("time.time_ns", lambda: 5000 * 10**9)
    assert listings.wall_clock(99 * 10**9 + 999_999_999) == 4999


def test_maps_that_are_pinned_by_name_go_below_the_pin_root(
    osmia: Cli, bpffs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "pins.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);\n"
        '  __type(value, __u64); __uint(pinning, LIBBPF_PIN_BY_NAME); } shared SEC(".maps");\n'
        'SEC("xdp") int p(struct xdp_md *ctx) { __u32 zero = 0;\n'
        "  return bpf_map_lookup_elem(&shared, &zero) ? XDP_PASS : XDP_DROP; }\n"
    )
    loaded = osmia("prog", "load", source, bpffs / "p", "--pin-root", bpffs / "root")
    assert loaded.status == 0, loaded.err
    assert (bpffs / "root/shared").exists()


TWO_PROGRAMS = """
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    char LICENSE[] SEC("license") = "GPL";
    struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
    } seen SEC(".maps");
    SEC("raw_tp/sys_enter") int entered(void *ctx)
    {
        __u32 key = 0;
        __u64 *count = bpf_map_lookup_elem(&seen, &key);
        if (count)
            *count += 1;
        return 0;
    }
    SEC("xdp") int pass(void *ctx) { return XDP_PASS; }
"""


@pytest.fixture
def two_programs(tmp_path: Path) -> Path:
    source = tmp_path / "two.bpf.c"
    source.write_text(TWO_PROGRAMS)
    return source


def test_loadall_pins_in_a_directory_and_attaches_what_says_where(
    osmia: Cli, two_programs: Path, bpffs: Path
) -> None:
    done = osmia("prog", "loadall", two_programs, bpffs / "all", "autoattach")
    assert done.status == 0, done.err
    assert "program 'pass' cannot be attached by its section alone" in done.err
    assert sorted(path.name for path in (bpffs / "all").iterdir()) == ["entered", "pass"]
    assert osmia("link", "show", bpffs / "all/entered", "-j").json["tp_name"] == "sys_enter"
    assert osmia("prog", "show", bpffs / "all/pass", "-j").json["name"] == "pass"


def test_a_map_that_is_there_takes_the_place_of_the_files(
    osmia: Cli, two_programs: Path, pinned: Path, bpffs: Path
) -> None:
    made = "type array key 4 value 8 entries 1 name seen"
    assert osmia("map", "create", bpffs / "mine", *made.split()).status == 0
    by_name = f"map name seen pinned {bpffs}/mine".split()
    done = osmia("prog", "load", two_programs, bpffs / "named", *by_name)
    assert done.status == 0, done.err
    mine = osmia("map", "show", bpffs / "mine", "-j").json["id"]
    assert osmia("prog", "show", bpffs / "named/entered", "-j").json["map_ids"] == [mine]
    by_index = osmia("prog", "load", two_programs, bpffs / "indexed", "map", "idx", "0", "id", mine)
    assert by_index.status == 0, by_index.err
    assert osmia("prog", "show", bpffs / "indexed/entered", "-j").json["map_ids"] == [mine]
    wrong = osmia("prog", "load", two_programs, bpffs / "x", "--map", "sen=1")
    assert (wrong.status, "'seen'" in wrong.err) == (1, True)


def test_a_type_is_said_in_sections_words(osmia: Cli, tmp_path: Path, bpffs: Path) -> None:
    source = tmp_path / "plain.bpf.c"
    source.write_text('__attribute__((section("main"))) int f(void *ctx) { return 1; }')
    done = osmia("prog", "load", source, bpffs / "filter", "type", "cgroup/skb")
    assert done.status == 0, done.err
    assert osmia("prog", "show", bpffs / "filter", "-j").json["type"] == "cgroup_skb"
    wrong = osmia("prog", "load", source, bpffs / "x", "type", "nothing")
    assert "no section is called 'nothing'" in wrong.err


def test_run_takes_bpftools_words(osmia: Cli, program: Path, tmp_path: Path) -> None:
    packet = tmp_path / "packet"
    packet.write_bytes(bytes(64))
    words = f"data_in {packet} data_out {tmp_path}/out repeat 3".split()
    done = osmia("-j", "prog", "run", "pinned", program, *words)
    assert done.status == 0, done.err
    assert done.json["retval"] == 2
    assert (tmp_path / "out").read_bytes() == bytes(64)
