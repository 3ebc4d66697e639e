"""Grafts into datapaths of libbpf's dialect: the new program shares the maps of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.cli.running import run
from osmia.formats.elf_writer import write_object
from osmia.kernel.load.graft import graft

pytestmark = pytest.mark.kernel

DATAPATH = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, long); __uint(pinning, LIBBPF_PIN_BY_NAME); } verdicts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, long); } own SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 4); __uint(key_size, 4);
         __uint(value_size, 4); ARRAY_PINNING } a_long_array_name SEC(".maps");
SEC("tc") int entry(struct __sk_buff *c) {
    bpf_tail_call(c, &a_long_array_name, 1);
    return 99;
}
SEC("?tc") int other(struct __sk_buff *c) {
    int k = 0;
    long *verdict = bpf_map_lookup_elem(&verdicts, &k), *mine = bpf_map_lookup_elem(&own, &k);
    if (c->len > 100) bpf_tail_call(c, &a_long_array_name, 3);
    return verdict && mine ? *verdict + *mine : 98;
}
SEC("?tc") int last(struct __sk_buff *c) { return 55; }
"""
BY_NAME = {"ARRAY_PINNING": "__uint(pinning, LIBBPF_PIN_BY_NAME);"}


@pytest.fixture(params=[BY_NAME, {"ARRAY_PINNING": ""}], ids=["by name", "by hand"])
def obj(request: pytest.FixtureRequest) -> osmia.Object:
    return osmia.compile(DATAPATH, defines=request.param)


def load(obj: osmia.Object, root: Path) -> Any:
    """The datapath as it runs, with its prog array pinned whoever did it."""
    running = obj.load(pin_root=root)
    array = root / "a_long_array_name"
    if not array.exists():
        running.maps["a_long_array_name"].pin(array)
    running.maps["verdicts"][0] = 40
    return running


def test_a_graft_uses_the_array_and_what_is_pinned_beside_it(
    obj: osmia.Object, bpffs: Path
) -> None:
    with load(obj, bpffs) as running:
        entry = running.programs["entry"]
        assert entry.run(bytes(64)).retval == 99
        graft(obj, bpffs / "a_long_array_name", 1, "other")
        assert entry.run(bytes(64)).retval == 40
        graft(obj, bpffs / "a_long_array_name", 3, "last")
        assert entry.run(bytes(200)).retval == 55, "the new program calls by the same array"
    assert {each.name for each in bpffs.iterdir()} == {"verdicts", "a_long_array_name"}


def test_maps_that_somebody_pinned_beside_the_array_are_shared_too(
    obj: osmia.Object, bpffs: Path
) -> None:
    """As bpftool's `pinmaps` does with all of an object's maps."""
    with load(obj, bpffs) as running:
        running.maps["own"].pin(bpffs / "own")
        running.maps["own"][0] = 2
        graft(obj, bpffs / "a_long_array_name", 1, "other")
        assert running.programs["entry"].run(bytes(64)).retval == 42


def test_a_map_that_is_not_pinned_beside_the_array_is_refused(
    obj: osmia.Object, bpffs: Path
) -> None:
    elsewhere = bpffs / "elsewhere"
    elsewhere.mkdir()
    with load(obj, elsewhere) as running:
        array = bpffs / "array"
        running.maps["a_long_array_name"].pin(array)
        with pytest.raises(osmia.OsmiaError, match="'verdicts' is pinned by name, and there is no"):
            graft(obj, array, 1, "other")
        assert running.programs["entry"].run(bytes(64)).retval == 99
        graft(obj, array, 1, "other", pin_root=elsewhere)
        assert running.programs["entry"].run(bytes(64)).retval == 40


def test_the_command_takes_the_directory_of_pins(
    obj: osmia.Object, bpffs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.o"
    file.write_bytes(write_object(obj))
    elsewhere = bpffs / "elsewhere"
    elsewhere.mkdir()
    with load(obj, elsewhere) as running:
        array = bpffs / "array"
        running.maps["a_long_array_name"].pin(array)
        words = ["graft", str(array), "1", f"{file}:other"]
        assert run(words) == 1
        assert "say where pins are (--pin-root" in capsys.readouterr().err
        assert run([*words, "--pin-root", str(elsewhere)]) == 0
        assert running.programs["entry"].run(bytes(64)).retval == 40


def test_an_array_of_another_shape_is_refused(obj: osmia.Object, bpffs: Path) -> None:
    with load(obj, bpffs):
        array = obj.maps["a_long_array_name"]
        obj.maps["a_long_array_name"] = replace(array, max_entries=8)
        with pytest.raises(osmia.MapMismatchError, match="max entries 8 in the object, 4 in"):
            graft(obj, bpffs / "a_long_array_name", 1, "other")
