"""`osmia map`: listing, reading and changing maps, typed and untyped."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia import compile as compile_source
from osmia.kernel.sys.cpus import possible_cpus

from .conftest import OSMIA, Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


@pytest.fixture
def maps(osmia: Cli, pinned: Path) -> Path:
    """The program's maps, after two packets of 64 bytes and one of 80."""
    for size in (64, 64, 80):
        assert osmia("prog", "run", pinned / "count", "--packet", "00" * size).status == 0
    return pinned / "maps"


@pytest.fixture
def untyped(osmia: Cli, bpffs: Path) -> Path:
    """A map without BTF: 4-byte keys, 8-byte values."""
    path = bpffs / "untyped"
    made = osmia("map", "create", path, "--type", "hash", "--key", 4, "--value", 8, "--entries", 10)
    assert made.status == 0, made.err
    return path


def test_list_and_show(osmia: Cli, maps: Path) -> None:
    shown = osmia("map", "show", "pinned", maps / "totals", "-j").json
    assert (shown["type"], shown["name"], shown["max_entries"]) == ("hash", "totals", 64)
    assert (shown["bytes_key"], shown["bytes_value"]) == (4, 16)
    assert shown["id"] in [each["id"] for each in osmia("map", "list", "-j").json]
    assert osmia("map", "show", maps / "totals").lines[0] == f"{shown['id']}: hash totals"


def test_dump_is_typed_where_there_is_btf(osmia: Cli, maps: Path) -> None:
    dumped = osmia("map", "dump", maps / "totals")
    assert dumped.lines[0].split() == ["size", "packets", "bytes"]
    assert sorted(line.split() for line in dumped.lines[1:]) == [
        ["64", "2", "128"],
        ["80", "1", "80"],
    ]


@pytest.mark.skipif(not shutil.which("bpftool"), reason="compares with Debian's bpftool")
def test_dump_is_bpftools_json(osmia: Cli, maps: Path) -> None:
    for name in ("totals", "by_cpu"):
        theirs = json.loads(
            subprocess.check_output(["bpftool", "-j", "map", "dump", "pinned", maps / name])
        )
        mine = osmia("map", "dump", "pinned", maps / name, "-j").json
        assert sorted(map(json.dumps, mine)) == sorted(map(json.dumps, theirs))


def test_per_cpu_values_have_a_row_for_each_cpu(osmia: Cli, maps: Path) -> None:
    dumped = osmia("map", "dump", maps / "by_cpu")
    assert dumped.lines[0].split() == ["key", "cpu", "value"]
    assert len(dumped.lines) == 1 + 2 * possible_cpus()
    assert osmia("map", "update", maps / "by_cpu", "key", 1, "value", 5).status == 0
    (_, entry) = osmia("map", "dump", maps / "by_cpu", "-j").json
    assert [each["value"] for each in entry["formatted"]["values"]] == [5] * possible_cpus()


def test_lookup_update_delete_typed(osmia: Cli, maps: Path) -> None:
    totals = maps / "totals"
    found = osmia("map", "lookup", totals, "key", '{"size": 64}', "-j").json
    assert found["formatted"] == {"key": {"size": 64}, "value": {"packets": 2, "bytes": 128}}
    value = '{"packets": 7, "bytes": 8}'
    assert osmia("map", "update", totals, "key", '{"size": 1}', "value", value).status == 0
    assert osmia("map", "lookup", totals, "key", 1, 0, 0, 0).lines[1].split() == ["1", "7", "8"]
    exists = osmia("map", "update", totals, "key", '{"size": 1}', "value", value, "noexist")
    assert exists.status == 1 and "the key is there already" in exists.err
    assert osmia("map", "delete", totals, "key", "hex", "01", "00", "00", "00").status == 0
    gone = osmia("map", "lookup", totals, "key", '{"size": 1}')
    assert gone.status == 1 and "no such key" in gone.err


def test_maps_without_types_are_hexadecimal(osmia: Cli, untyped: Path) -> None:
    assert osmia("map", "update", untyped, "key", "0xffffffff", "value", 258).status == 0
    assert osmia("map", "dump", untyped).lines[1] == "ff ff ff ff  02 01 00 00 00 00 00 00"
    (entry,) = osmia("map", "dump", untyped, "-j").json
    assert entry == {"key": ["0xff"] * 4, "value": ["0x02", "0x01", *["0x00"] * 6]}
    assert osmia("map", "getnext", untyped).out == "ff ff ff ff\n"
    end = osmia("map", "getnext", untyped, "key", "hex", "ffffffff")
    assert end.status == 1 and "no further key" in end.err


def test_wrong_keys_and_values_are_told(osmia: Cli, untyped: Path) -> None:
    assert "4 bytes" in osmia("map", "lookup", untyped, "key", "hex", "01").err
    assert osmia("map", "lookup", untyped, "key", "hex", "zz").status == 2
    assert osmia("map", "lookup", untyped, 1).status == 2
    assert osmia("map", "update", untyped, "key", 1).status == 2
    assert osmia("map", "create", untyped, "--type", "hsh", "--entries", 1).status == 2


def test_frozen_maps_refuse_updates(osmia: Cli, untyped: Path) -> None:
    assert osmia("map", "freeze", untyped).status == 0
    refused = osmia("map", "update", untyped, "key", 1, "value", 1)
    assert refused.status == 1 and "frozen" in refused.err


def test_queues_are_pushed_and_popped(osmia: Cli, bpffs: Path) -> None:
    queue = bpffs / "queue"
    osmia("map", "create", queue, "--type", "queue", "--value", 4, "--entries", 4)
    for value in (1, 2):
        assert osmia("map", "push", queue, "value", value).status == 0
    assert osmia("map", "peek", queue).out == "1\n"
    assert osmia("map", "pop", queue, "-j").json == {
        "key": [],
        "value": ["0x01", "0x00", "0x00", "0x00"],
    }
    assert osmia("map", "dequeue", queue).out == "2\n"
    empty = osmia("map", "pop", queue)
    assert empty.status == 1 and "it is empty" in empty.err
    assert osmia("map", "dump", queue).status == 1


def test_maps_of_maps_take_maps(osmia: Cli, untyped: Path, bpffs: Path) -> None:
    outer = bpffs / "outer"
    made = osmia(
        "map", "create", outer, "--type", "array_of_maps", "--key", 4, "--value", 4,
        "--entries", 2, "--inner", untyped,
    )  # fmt: skip
    assert made.status == 0, made.err
    assert osmia("map", "update", outer, "key", 1, "value", "pinned", untyped).status == 0
    inner = osmia("map", "show", untyped, "-j").json["id"]
    (entry,) = osmia("map", "dump", outer, "-j").json
    assert entry["formatted"]["value"] == inner
    assert osmia("map", "update", outer, "key", 0, "value", "id", inner).status == 0


def test_tries_take_networks_and_prog_arrays_programs(osmia: Cli, pinned: Path) -> None:
    routes, tails = pinned / "routes", pinned / "tails"
    made = osmia(
        "map", "create", routes, "--type", "lpm_trie", "--key", 8, "--value", 4, "--entries", 9,
        "--flags", 1,
    )  # fmt: skip
    assert made.status == 0, made.err
    assert osmia("map", "update", routes, "key", "10.0.0.0/8", "value", 7).status == 0
    assert osmia("map", "lookup", routes, "key", "10.1.2.3", "-j").json["value"][0] == "0x07"
    osmia("map", "create", tails, "--type", "prog_array", "--key", 4, "--value", 4, "--entries", 2)
    stored = osmia("map", "update", tails, "key", 1, "value", "pinned", pinned / "count")
    assert stored.status == 0, stored.err
    program = osmia("prog", "show", pinned / "count", "-j").json["id"]
    found = osmia("map", "lookup", tails, "key", 1, "-j").json
    assert found["formatted"]["value"] == program
    assert osmia("map", "show", tails, "-j").json["owner_prog_type"] == "xdp"


def test_events_of_a_pinned_ring_buffer(osmia: Cli, pinned: Path) -> None:
    command = subprocess.Popen(
        [*OSMIA, "map", "event_pipe", "pinned", str(pinned / "maps" / "events")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert osmia("prog", "run", pinned / "count", "--packet", "00" * 64).status == 0
        assert command.stdout is not None
        assert command.stdout.readline().startswith("40 00 00 00 02 00 00 00 70 61 63 6b")
        command.send_signal(signal.SIGINT)
        assert command.communicate(timeout=20)[0] == ""
        assert command.returncode == 130
    finally:
        command.kill()
        command.communicate()
    refused = osmia("map", "event_pipe", pinned / "maps" / "totals")
    assert refused.status == 1 and "hash maps have no events" in refused.err


def test_pins(osmia: Cli, untyped: Path) -> None:
    again = untyped.with_name("again")
    assert osmia("map", "pin", untyped, again).status == 0
    assert osmia("map", "show", again, "-j").json["pinned"] == sorted(map(str, (again, untyped)))
    assert osmia("map", "pin", untyped).status == 2


TEXTS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
typedef char name_t[16];
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, name_t);
         __type(value, name_t); } texts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __uint(max_entries, 64); __type(key, name_t);
         __type(value, name_t); } by_cpu SEC(".maps");
char label[8] = "x";
SEC("xdp") int p(struct xdp_md *ctx) { return label[0]; }
char L[] SEC("license") = "GPL";
"""


def test_where_the_type_is_text_every_word_is(osmia: Cli, tmp_path: Path) -> None:
    words = ["10", "0x1f", "true", "null", "1.5", "[1]", "{}", "hex", "key", "value", "any", "é"]
    with compile_source(TEXTS).load() as bpf:
        texts, by_cpu = bpf.maps["texts"], bpf.maps["by_cpu"]
        for word in words:
            stored = osmia("map", "update", "id", texts.id, "key", word, "value", word)
            assert stored.status == 0, stored.err
            assert texts[word] == word
            found = osmia("map", "lookup", "id", texts.id, "key", word, "-j").json
            # To bpftool text is ASCII.
            told = word if word.isascii() else [-61, -87, *[0] * 14]
            assert found["formatted"] == {"key": told, "value": told}
            after = osmia("map", "getnext", "id", texts.id, "key", word)
            assert after.status == 0 or "no further key" in after.err
            once = osmia("map", "update", "id", texts.id, "key", word, "value", "any", "noexist")
            assert "EEXIST" in once.err
            assert osmia("map", "delete", "id", texts.id, "key", word).status == 0
        assert (
            osmia("map", "update", "id", texts.id, "key", '"1"', "value", "hex", "31").status == 0
        )
        assert dict(texts) == {"1": "1"}
        assert osmia("map", "update", "id", by_cpu.id, "key", "1", "value", "2").status == 0
        assert by_cpu["1"] == ["2"] * possible_cpus()
        each = json.dumps([str(cpu) for cpu in range(possible_cpus())])
        assert osmia("map", "update", "id", by_cpu.id, "key", "1", "value", each).status == 0
        assert by_cpu["1"] == json.loads(each)
    source = tmp_path / "texts.bpf.c"
    source.write_text(TEXTS)
    command = ("run", source, "--packet", "00" * 64, "--engine", "vm", "-j", "--set")
    assert osmia(*command, "label=10").records[-1]["globals"]["label"] == "10"


def test_a_missing_key_or_value_is_named(osmia: Cli, pinned: Path) -> None:
    place = pinned / "maps/totals"
    assert (
        "there is no value behind the word `value`"
        in osmia("map", "update", place, "key", "0", "value").err
    )
    assert "expected the word `key` and the key here" in osmia("map", "lookup", place, "0").err


def test_bytes_are_written_as_c_writes_them(osmia: Cli, pinned: Path) -> None:
    totals = pinned / "maps/totals"
    words = [
        "key",
        "0",
        "1",
        "0xa",
        "010",
        "value",
        "hex",
        "a",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
        "f",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
    ]
    assert osmia("map", "update", totals, *words).status == 0
    found = osmia("map", "lookup", totals, "key", "hex", "0", "1", "a", "8", "-j").json
    assert found["key"] == ["0x00", "0x01", "0x0a", "0x08"]
    assert found["formatted"]["value"] == {"packets": 10, "bytes": 15}


def test_a_number_with_a_leading_zero_is_octal(osmia: Cli, pinned: Path) -> None:
    assert osmia("map", "update", pinned / "maps/by_cpu", "key", "01", "value", "010").status == 0
    values = osmia("map", "lookup", pinned / "maps/by_cpu", "key", "01", "-j").json
    assert {each["value"] for each in values["formatted"]["values"]} == {8}
