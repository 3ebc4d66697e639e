"""`osmia map load`: what `map dump -j` printed is stored again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia as library
from osmia.engine.maps import KeyedMap, Map
from osmia.kernel.sys.cpus import possible_cpus
from osmia.object.uapi import MapFlag, MapType

from .conftest import OSMIA, Result
from .test_dump import BPFTOOL, flow, seen

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
enum state { NEW, ESTABLISHED };
struct flow { __u32 source; __u16 port; __u8 protocol; };
struct seen { __u64 packets; enum state state; __u32 high; char comm[16]; __s32 d[2]; };
#define MAP(name, kind, count) \\
struct { __uint(type, BPF_MAP_TYPE_##kind); __uint(max_entries, count); \\
         __type(key, struct flow); __type(value, struct seen); } name SEC(".maps");
MAP(typed, HASH, 10000)
MAP(recent, LRU_HASH, 10000)
MAP(by_cpu, PERCPU_HASH, 64)
MAP(recent_by_cpu, LRU_PERCPU_HASH, 64)
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 3);
         __type(key, __u32); __type(value, __u8); } bytes_by_cpu SEC(".maps");
SEC("xdp") int p(struct xdp_md *ctx) { return 2; }
SEC("xdp") int next(struct xdp_md *ctx) { return 1; }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def loaded() -> Iterator[Any]:
    with library.compile(SOURCE).load() as bpf:
        yield bpf


def round_trip(osmia: Cli, source: KeyedMap, path: Path) -> None:
    """Dump a map, empty it, load the file; then dump it again."""
    dump = osmia("map", "dump", "id", source.id, "-j")
    assert dump.status == 0, dump.err
    assert dump.json
    path.write_text(dump.out)
    # Of arrays of devices the keys without one are told, too.
    there = [each for each in dump.json if "error" not in each.get("value", ())]
    for key in [each["key"] for each in there]:
        data = bytes(int(byte, 16) for byte in key)
        if source.type in (MapType.ARRAY, MapType.PERCPU_ARRAY):
            source.update(data, [bytes(source.value_size)] * source.cpus
                          if source.cpus else bytes(source.value_size))  # fmt: skip
        else:
            source.delete(data)
    assert osmia("map", "dump", "id", source.id, "-j").out != dump.out
    stored = osmia("map", "load", "id", source.id, path, "-v")
    assert (stored.status, stored.err) == (0, f"{len(there):,} entries stored\n")
    again = osmia("map", "dump", "id", source.id, "-j").json
    assert sorted(map(json.dumps, again)) == sorted(map(json.dumps, dump.json))


@pytest.mark.parametrize("name", ["typed", "recent"])
def test_typed_hashes(osmia: Cli, loaded: Any, tmp_path: Path, name: str) -> None:
    loaded.maps[name].update_many((flow(number), seen(number)) for number in range(9000))
    round_trip(osmia, loaded.maps[name], tmp_path / "dump.json")


@pytest.mark.parametrize("name", ["by_cpu", "recent_by_cpu", "bytes_by_cpu"])
def test_values_of_each_cpu(osmia: Cli, loaded: Any, tmp_path: Path, name: str) -> None:
    cpus = range(possible_cpus())
    if name == "bytes_by_cpu":
        loaded.maps[name][1] = [7 + cpu for cpu in cpus]
    else:
        loaded.maps[name].update_many((flow(n), [seen(n + cpu) for cpu in cpus]) for n in range(9))
    round_trip(osmia, loaded.maps[name], tmp_path / "dump.json")


@pytest.mark.parametrize(
    ("kind", "key", "value", "flags"),
    [
        (MapType.HASH, 3, 5, 0),
        (MapType.HASH, 4, 4, MapFlag.NO_PREALLOC),
        (MapType.ARRAY, 4, 12, 0),
        (MapType.PERCPU_HASH, 7, 3, 0),
        (MapType.LPM_TRIE, 8, 2, MapFlag.NO_PREALLOC),
        (MapType.DEVMAP, 4, 4, 0),
        (MapType.DEVMAP_HASH, 4, 8, 0),
        (MapType.CPUMAP, 4, 8, 0),
    ],
)
def test_maps_without_types(
    osmia: Cli, tmp_path: Path, kind: MapType, key: int, value: int, flags: int
) -> None:
    with Map.create(
        kind, key_size=key, value_size=value, max_entries=9, flags=flags, name="untyped"
    ) as made:
        assert isinstance(made, KeyedMap)
        content = bytes([1, *bytes(value - 1)])
        made.update(bytes([1, *bytes(key - 1)]), [content] * made.cpus if made.cpus else content)
        round_trip(osmia, made, tmp_path / "dump.json")


def test_programs_and_maps_are_found_by_their_ids(osmia: Cli, loaded: Any, tmp_path: Path) -> None:
    with ExitStack() as held:

        def made(kind: MapType, **options: Any) -> Any:
            shape = {"key_size": 4, "value_size": 4, "max_entries": 4}
            return held.enter_context(Map.create(kind, **{**shape, **options}))

        tails = made(MapType.PROG_ARRAY)
        tails[2] = loaded.programs["p"]
        inner = made(MapType.ARRAY)
        rows, words = (
            made(MapType.ARRAY_OF_MAPS, inner=inner),
            made(MapType.HASH_OF_MAPS, inner=inner),
        )
        rows[3] = inner
        words[99] = inner
        for each in (tails, rows, words):
            round_trip(osmia, each, tmp_path / "dump.json")
        assert tails[2] == loaded.programs["p"].info.id
        assert (rows[3], words[99]) == (inner.id, inner.id)


def test_a_pipe_from_map_to_map(loaded: Any) -> None:
    source = loaded.maps["typed"]
    source.clear()
    source.update_many((flow(number), seen(number)) for number in range(2000))
    with Map.create(MapType.HASH, key_size=8, value_size=40, max_entries=2000) as copy:
        osmia = " ".join(OSMIA)
        command = f"{osmia} map dump id {source.id} -j | {osmia} map restore id {copy.id} -"
        subprocess.run(["bash", "-c", command], check=True)
        assert len(copy) == 2000
        assert copy.read_encoded(source.encode_key(flow(1999))) == source.encode_value(seen(1999))


@pytest.mark.skipif(not BPFTOOL.exists(), reason="reads what bpftool 7.8 writes")
def test_typed_values_alone_do(osmia: Cli, loaded: Any, tmp_path: Path) -> None:
    source = loaded.maps["typed"]
    source.clear()
    source.update_many((flow(number), seen(number)) for number in range(3))
    before = dict(source)
    path = tmp_path / "dump.json"
    path.write_bytes(subprocess.check_output([BPFTOOL, "map", "dump", "id", str(source.id)]))
    assert json.loads(path.read_text())[0].keys() == {"key", "value"}
    source.clear()
    assert osmia("map", "load", "id", source.id, path).status == 0
    assert dict(source) == before


def entry(key: int, value: int = 1) -> dict[str, Any]:
    return {"key": [f"{key:#04x}", "0x00"], "value": [f"{value:#04x}"]}


@pytest.fixture
def small() -> Iterator[KeyedMap]:
    with Map.create(MapType.HASH, key_size=2, value_size=1, max_entries=3, name="small") as made:
        yield made


@pytest.mark.parametrize(
    ("text", "stored", "problem"),
    [
        ("[]", 0, ""),
        (json.dumps([entry(1), entry(2)]), 2, ""),
        ("nonsense", 0, "entry 1: it is no JSON array (0 before it are stored"),
        (json.dumps([entry(1)])[:-1], 1, "entry 2: a comma or ] is expected (1 before it is"),
        (json.dumps([entry(1), 5]), 1, "entry 2: it is no object with a key and a value (1 before"),
        (json.dumps([entry(1), {"key": 2}]), 1, "entry 2: it has no value (1 before it is stored"),
        (
            json.dumps([entry(1), entry(2), {**entry(3), "key": ["0x01"]}]),
            2,
            "entry 3: keys have 2 bytes, not 1 (2 before it are stored, none behind it)",
        ),
        (json.dumps([{**entry(3), "value": "x"}]), 0, "entry 1: "),
        (json.dumps([{**entry(3), "value": ["0x01", "0x02"]}]), 0, "values have 1 bytes, not 2"),
        (
            json.dumps([entry(n) for n in range(9)]),
            3,
            "entry 4: cannot update key 3 of map 'small'",
        ),
        (json.dumps([{**entry(1), "value": {"error": "x"}}, entry(2)]), 1, ""),
        (json.dumps([{**entry(1), "values": []}]), 1, ""),
    ],
)
def test_the_first_that_cannot_be_stored_is_told(
    osmia: Cli, small: KeyedMap, tmp_path: Path, text: str, stored: int, problem: str
) -> None:
    path = tmp_path / "dump.json"
    path.write_text(text)
    result = osmia("map", "load", "id", small.id, path)
    assert len(small) == stored
    assert (result.status, bool(result.err)) == ((1, True) if problem else (0, False)), result.err
    assert problem in result.err
    if problem:
        assert result.err.startswith(f"osmia: {path}: ")


def test_entries_that_are_there_may_be_kept(osmia: Cli, small: KeyedMap, tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps([entry(1, 8), entry(2, 8)]))
    small.update(b"\2\0", b"\5")
    kept = osmia("map", "load", "id", small.id, path, "noexist")
    assert kept.status == 1 and "entry 2" in kept.err and "the key is there already" in kept.err
    assert dict(small) == {1: 8, 2: 5}
    assert osmia("map", "load", "id", small.id, path, "exist").status == 0
    assert dict(small) == {1: 8, 2: 8}


def test_wrong_command_lines(osmia: Cli, small: KeyedMap, tmp_path: Path) -> None:
    assert osmia("map", "load", "id", small.id).status == 2
    assert osmia("map", "load", "id", small.id, tmp_path / "none").status == 1
    assert osmia("map", "load", "id", small.id, tmp_path / "none", "sometimes").status == 2
    values = {**entry(1), "values": [{"cpu": 0, "value": ["0x01"]}] * (possible_cpus() + 1)}
    path = tmp_path / "dump.json"
    path.write_text(json.dumps([values]))
    with Map.create(MapType.PERCPU_HASH, key_size=2, value_size=1, max_entries=3) as made:
        refused = osmia("map", "load", "id", made.id, path)
    assert f"and here {possible_cpus()} are possible" in refused.err
    with Map.create(MapType.SOCKMAP, key_size=4, value_size=8, max_entries=3) as sockets:
        refused = osmia("map", "load", "id", sockets.id, path)
    assert refused.status == 1 and "no dump says what its values stand for" in refused.err
