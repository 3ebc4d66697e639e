"""What a load refuses on every machine: told without one, in the words of the command."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia import toolchain
from osmia.cli.running import run
from osmia.passes.refusals import refusals

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
extern int elsewhere(int x);
extern int perhaps(int x) __weak;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, int);
         __type(value, long); __uint(pinning, 77); } state SEC(".maps");
SEC("xpd") int wrong(void *c) { return 1; }
SEC("?xpd") int off(void *c) { return 1; }
SEC("xdp") int right(void *c) {
    int k = 0;
    return bpf_map_lookup_elem(&state, &k) ? elsewhere(1) : perhaps ? perhaps(2) : 3;
}
"""


def test_everything_that_no_kernel_would_load_is_named() -> None:
    found = refusals(osmia.compile(SOURCE))
    assert [each.partition(":")[0] for each in found] == [
        "program 'wrong'",
        "extern 'elsewhere' is for another object to define; link them",
        "map 'state'",
    ]
    assert "unknown program section 'xpd'; did you mean 'xdp'" in found[0]
    assert "pinning 77 is not known" in found[2]


def test_a_number_that_the_file_of_namespaces_names_is_a_place() -> None:
    assert len(refusals(osmia.compile(SOURCE), {77: "mine"})) == 2


def test_an_object_that_loads_has_none() -> None:
    fine = SOURCE.replace("xpd", "xdp").replace("77", "1").replace("elsewhere(1)", "1")
    assert refusals(osmia.compile(fine)) == []


def test_the_command_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.o"
    file.write_bytes(toolchain.compile(SOURCE).data)
    assert run(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert f"{file}: program 'wrong': unknown program section 'xpd'" in out
