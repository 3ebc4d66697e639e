"""JSON that strict readers take: what is no number, no text, too wide; in bpftool's shape."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia as library
from osmia.cli.json_values import plain

from .conftest import Result

Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct inner { char name[4]; };
struct v { %s char comm[16]; char two[2][3]; unsigned __int128 wide; __int128 s;
           struct inner in[2]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int);
         __type(value, struct v); } vals SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, double); } by_cpu SEC(".maps");
double ratio = 1.0 / 0.0;
char who[4] = "\\xff";
unsigned __int128 id = 5;
SEC("xdp") int p(struct xdp_md *c) { who[1]++; return 2; }
char L[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "vals.bpf.c"
    path.write_text(SOURCE % "double d; float f;")
    return path


def strict(text: str) -> Any:
    """`text` as readers have it that keep to RFC 8259."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    text.encode("ascii")
    value = json.loads(text, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    return value


def test_what_json_cannot_say_is_text() -> None:
    assert plain([math.nan, math.inf, -math.inf]) == ["NaN", "Infinity", "-Infinity"]
    assert plain([1.5, (1 << 64) - 1, -(1 << 63)]) == [1.5, (1 << 64) - 1, -(1 << 63)]
    assert plain([1 << 64, -(1 << 63) - 1]) == ["0x1" + "0" * 16, "0xffffffffffffffff7" + "f" * 15]
    assert plain({"a\udcff": "/sys/fs/bpf/\udcc3é\n"}) == {"a\\xff": "/sys/fs/bpf/\\xc3é\n"}


@pytest.mark.kernel
def test_entries_of_maps(osmia: Cli, source: Path) -> None:
    with library.compile(source).load() as bpf:
        values = bpf.maps["vals"]
        values[1] = {"d": math.inf, "f": math.nan, "comm": b"aaaaaaaaaaaaaa\xc3", "s": -1}
        for command in (("dump",), ("lookup", "key", "1")):
            verb, *key = command
            shown = strict(osmia("-j", "map", verb, "id", values.id, *key).out)
            entry = shown if key else shown[0]
            value = entry["formatted"]["value"]
            assert (value["d"], value["f"], value["s"]) == ("Infinity", "NaN", "0x" + "f" * 32)
            assert value["comm"] == [97] * 14 + [-61, 0]
        bpf.maps["by_cpu"][0] = [math.nan] * bpf.maps["by_cpu"].cpus
        (entry,) = strict(osmia("-j", "map", "dump", "id", bpf.maps["by_cpu"].id).out)
        assert {each["value"] for each in entry["formatted"]["values"]} == {"NaN"}


@pytest.mark.kernel
@pytest.mark.skipif(not shutil.which("bpftool"), reason="compares with Debian's bpftool")
def test_entries_are_bpftools(osmia: Cli, tmp_path: Path) -> None:
    path = tmp_path / "vals.bpf.c"
    path.write_text(SOURCE % "")  # bpftool knows no floats
    with library.compile(path).load() as bpf:
        values = bpf.maps["vals"]
        values[1] = {"comm": b"\xff\0z", "wide": 2**100 + 1, "in": [{"name": "ab"}, {"name": "\n"}]}
        values[2] = {"comm": "all of it", "two": [b"\n\0x", b"ab"], "wide": 5, "s": -5}
        theirs = subprocess.check_output(["bpftool", "-j", "map", "dump", "id", str(values.id)])
        mine = strict(osmia("-j", "map", "dump", "id", values.id).out)
        by_key = {each["formatted"]["key"]: each for each in json.loads(theirs)}
        assert {each["formatted"]["key"]: each for each in mine} == by_key


def test_globals_of_files_and_of_runs(osmia: Cli, source: Path) -> None:
    packet = "00" * 64
    run = osmia("-j", "run", source, "--packet", packet, "--engine", "vm")
    found = strict(run.out.splitlines()[-1])["globals"]
    assert (found["ratio"], found["id"], found["who"]) == ("Infinity", "0x5", [-1, 1, 0, 0])
    shown = strict(osmia("-j", "inspect", source).out)
    values = {each["name"]: each["value"] for each in shown["globals"]}
    assert (values["ratio"], values["id"], values["who"]) == ("Infinity", "0x5", [-1, 0, 0, 0])
