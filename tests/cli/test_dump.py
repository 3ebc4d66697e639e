"""`osmia map dump`: entries of every kind of map, printed while they are read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import osmia as library
from osmia.engine.maps import KeyedMap, Map
from osmia.kernel.sys.cpus import possible_cpus
from osmia.object.uapi import MapFlag, MapType

from .conftest import OSMIA, Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]
BPFTOOL = Path(__file__).parents[2] / "build" / "newer-bpftool" / "bpftool"

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
enum state { NEW, ESTABLISHED };
struct flow { __u32 source; __u16 port; __u8 protocol; };
struct seen { __u64 packets; enum state state; __u32 high; char comm[16]; __s32 d[2]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 40000);
         __type(key, struct flow); __type(value, struct seen); } flows SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __uint(max_entries, 64);
         __type(key, struct flow); __type(value, struct flow); } by_cpu SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 3);
         __type(key, __u32); __type(value, __s64); } rows SEC(".maps");
SEC("xdp") int p(struct xdp_md *ctx)
{ struct flow f = {}; bpf_map_delete_elem(&flows, &f); bpf_map_delete_elem(&by_cpu, &f);
  bpf_map_lookup_elem(&rows, &f); return 2; }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def maps() -> Iterator[dict[str, KeyedMap]]:
    with library.compile(SOURCE).load() as bpf:
        flows, by_cpu, rows = (bpf.maps[name] for name in ("flows", "by_cpu", "rows"))
        flows.update_many((flow(number), seen(number)) for number in range(40000))
        by_cpu[flow(3)] = [flow(cpu) for cpu in range(possible_cpus())]
        rows[1] = -5
        yield {"flows": flows, "by_cpu": by_cpu, "rows": rows}


def flow(number: int) -> dict[str, int]:
    return {"source": number, "port": number % 1000, "protocol": 6}


def seen(number: int) -> dict[str, object]:
    text = f"worker-{number % 50}"
    return {"packets": 10 * number, "state": number % 3, "high": number, "comm": text}


def dumped(osmia: Cli, source: Map, *options: str) -> Result:
    found = osmia("map", "dump", "id", source.id, *options)
    assert found.status == 0, found.err
    return found


def test_entries_of_many_batches_are_all_there_once(osmia: Cli, maps: dict[str, KeyedMap]) -> None:
    entries = dumped(osmia, maps["flows"], "-j").json
    assert len(entries) == 40000
    by_source = {each["formatted"]["key"]["source"]: each["formatted"] for each in entries}
    assert len(by_source) == 40000
    assert by_source[7] == {
        "key": {"source": 7, "port": 7, "protocol": 6},
        "value": {
            "packets": 70, "state": "ESTABLISHED", "high": 7, "comm": "worker-7",
            "d": [0, 0],
        },
    }  # fmt: skip
    table = dumped(osmia, maps["flows"]).lines
    columns = "source port protocol packets state high comm d"
    assert " ".join(table[0].split()) == columns
    assert len(table) == 40001
    assert [line.split() for line in table if line.split()[0] == "8"] == [
        ["8", "8", "6", "80", "2", "8", '"worker-8"', "[0,", "0]"]
    ]


@pytest.mark.skipif(not BPFTOOL.exists(), reason="compares with bpftool 7.8")
@pytest.mark.parametrize("name", ["flows", "by_cpu", "rows"])
def test_json_is_bpftools(osmia: Cli, maps: dict[str, KeyedMap], name: str) -> None:
    command = [str(BPFTOOL), "-j", "map", "dump", "id", str(maps[name].id)]
    theirs = json.loads(subprocess.check_output(command))
    assert sorted(map(json.dumps, dumped(osmia, maps[name], "-j").json)) == sorted(
        map(json.dumps, theirs)
    )


def test_indented_json_says_the_same(osmia: Cli, maps: dict[str, KeyedMap]) -> None:
    for each in (maps["by_cpu"], maps["rows"]):
        entries = dumped(osmia, each, "-j").json
        indented = json.dumps(entries, indent=4) + "\n"
        assert dumped(osmia, each, "--pretty").out == indented


def test_a_cpu_has_a_row(osmia: Cli, maps: dict[str, KeyedMap]) -> None:
    cpus = possible_cpus()
    first, *others = dumped(osmia, maps["by_cpu"]).lines[1:]
    assert first.split() == ["3", "3", "6", "0", "0", "0", "6"]
    assert [line.split() for line in others] == [
        [str(cpu), str(cpu), str(cpu), "6"] for cpu in range(1, cpus)
    ]
    (entry,) = dumped(osmia, maps["by_cpu"], "-j").json
    values = entry["formatted"]["values"]
    assert values == [{"cpu": cpu, "value": flow(cpu)} for cpu in range(cpus)]
    assert len(entry["values"]) == cpus and len(entry["values"][0]["value"]) == 8


def test_arrays_have_all_their_rows(osmia: Cli, maps: dict[str, KeyedMap]) -> None:
    assert [line.split() for line in dumped(osmia, maps["rows"]).lines] == [
        ["key", "value"], ["0", "0"], ["1", "-5"], ["2", "0"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "flags"),
    [
        (MapType.HASH, 3, 0),
        (MapType.LRU_HASH, 8, 0),
        (MapType.LPM_TRIE, 8, MapFlag.NO_PREALLOC),
        (MapType.DEVMAP_HASH, 4, 0),
        (MapType.PERCPU_HASH, 5, 0),
    ],
)
def test_maps_without_types_are_hexadecimal(
    osmia: Cli, kind: MapType, value: int, flags: int
) -> None:
    with (
        Map.create(kind, key_size=8, value_size=value, max_entries=9, flags=flags)
        if (kind != MapType.DEVMAP_HASH)
        else Map.create(kind, key_size=4, value_size=4, max_entries=9) as made
    ):
        assert isinstance(made, KeyedMap)
        assert dumped(osmia, made, "-j").out == "[]\n"
        assert dumped(osmia, made).lines[0].split()[0] == "key"
        data = bytes([1, 0, 0, 0, 0, 0, 0, 0])[: made.key_size]
        content = bytes([1, 0, 0, 0, 0, 0, 0, 0])[:value]
        made.update(data, [content] * made.cpus if made.cpus else content)
        (entry,) = dumped(osmia, made, "-j").json
        assert "formatted" not in entry
        assert entry["key"] == [f"{byte:#04x}" for byte in data]
        values = [each["value"] for each in entry["values"]] if made.cpus else [entry["value"]]
        assert values == [[f"{byte:#04x}" for byte in content]] * max(made.cpus, 1)
        assert content.hex(" ") in dumped(osmia, made).lines[1]


def test_a_reader_that_goes_ends_it(maps: dict[str, KeyedMap]) -> None:
    for options in ((), ("-j",)):
        command = [*OSMIA, "map", "dump", "id", str(maps["flows"].id), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as reading:
            assert reading.stdout is not None
            assert len(reading.stdout.read(1000)) == 1000
            reading.stdout.close()
            assert reading.wait(30) == 141


_PEAK = """
import os, resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_map(tmp_path: Path) -> None:
    with Map.create(MapType.HASH, key_size=8, value_size=64, max_entries=400_000) as large:
        large.update_many((number, bytes(64)) for number in range(400_000))
        for options in ((), ("-j",)):
            command = [*OSMIA, "map", "dump", "id", str(large.id), *options]
            told = subprocess.check_output([OSMIA[0], "-S", "-c", _PEAK, *command])
            assert int(told) < 60_000  # kilobytes
