"""What values mean, on the command line: shown, taken, and asked for with --format."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osmia import compile as compile_source

from .conftest import Result

Cli = Callable[..., Result]
SOURCE = Path(__file__).with_name("meaning.bpf.c")
kernel = pytest.mark.kernel


@pytest.fixture
def maps() -> Iterator[Any]:
    """The maps, loaded in the kernel."""
    with compile_source(SOURCE).load() as bpf:
        yield bpf.maps


def update(osmia: Cli, found: Any, *words: object) -> None:
    stored = osmia("map", "update", "id", found.id, *words)
    assert stored.status == 0, stored.err


@kernel
def test_networks_are_shown_as_they_are_given(osmia: Cli, maps: Any) -> None:
    update(osmia, maps["routes"], "key", "10.0.0.0/8", "value", 7)
    update(osmia, maps["routes6"], "key", "2001:db8::/32", "value", "fe80::1")
    assert osmia("map", "dump", "id", maps["routes"].id).lines == [
        "key         value",
        "10.0.0.0/8      7",
    ]
    dumped = osmia("map", "dump", "id", maps["routes6"].id)
    assert dumped.lines[1].split() == ["2001:db8::/32", "fe80::1"]
    assert maps["routes"]["10.0.0.0/8"] == 7
    found = osmia("map", "lookup", "id", maps["routes"].id, "key", "10.1.2.3")
    assert found.lines[1].split() == ["10.1.2.3/32", "7"]
    assert osmia("map", "getnext", "id", maps["routes"].id).out == "10.0.0.0/8\n"
    assert osmia("map", "delete", "id", maps["routes"].id, "key", "10.0.0.0/8").status == 0
    assert len(maps["routes"]) == 0


@kernel
def test_a_trie_without_types_shows_networks_too(osmia: Cli, bpffs: Path) -> None:
    path = bpffs / "routes"
    made = osmia(
        "map", "create", path, "--type", "lpm_trie", "--key", 8, "--value", 4, "--entries", 9,
        "--flags", 1,
    )  # fmt: skip
    assert made.status == 0, made.err
    osmia("map", "update", path, "key", "10.0.0.0/8", "value", 7)
    assert osmia("map", "dump", path).lines[1].split() == ["10.0.0.0/8", "07", "00", "00", "00"]
    assert osmia("map", "dump", path, "-j").json[0]["shown"]["key"] == "10.0.0.0/8"


PEER = {
    "addr": "10.1.2.3",
    "port": 443,
    "mac": "02:00:00:00:00:09",
    "host_addr": 5,
    "seen_ns": 1_500_000_000,
    "ts": 7,
    "bytes": 9,
}


@kernel
def test_members_are_shown_and_taken_as_what_they_mean(osmia: Cli, maps: Any) -> None:
    peers = maps["peers"]
    update(osmia, peers, "key", "10.0.0.1", "value", json.dumps(PEER))
    dumped = osmia("map", "dump", "id", peers.id)
    assert dumped.lines[0].split() == ["key", *PEER]
    assert dumped.lines[1].split() == [
        "10.0.0.1", "10.1.2.3", "443", "02:00:00:00:00:09", "5", "1.500000000s", "7", "9",
    ]  # fmt: skip
    assert bytes(peers["10.0.0.1"])[4:6] == (443).to_bytes(2, "big")


@kernel
def test_json_adds_what_is_shown_and_it_is_taken_back(osmia: Cli, maps: Any) -> None:
    peers = maps["peers"]
    update(osmia, peers, "key", "10.0.0.1", "value", json.dumps(PEER))
    (entry,) = osmia("map", "dump", "id", peers.id, "-j").json
    assert entry["shown"] == {"key": "10.0.0.1", "value": PEER}
    assert entry["formatted"]["value"]["mac"] == [2, 0, 0, 0, 0, 9]  # bpftool's
    before = bytes(peers["10.0.0.1"])
    update(osmia, peers, "key", entry["shown"]["key"], "value", json.dumps(entry["shown"]["value"]))
    assert bytes(peers["10.0.0.1"]) == before


@kernel
@pytest.mark.skipif(not shutil.which("bpftool"), reason="compares with Debian's bpftool")
def test_what_bpftool_prints_stays_as_bpftool_prints_it(osmia: Cli, maps: Any) -> None:
    update(osmia, maps["routes"], "key", "10.0.0.0/8", "value", 7)
    update(osmia, maps["peers"], "key", "10.0.0.1", "value", json.dumps(PEER))
    for name in ("routes", "peers"):
        command = ["bpftool", "-j", "map", "dump", "id", str(maps[name].id)]
        theirs = json.loads(subprocess.check_output(command))
        mine = osmia("map", "dump", "id", maps[name].id, "-j").json
        assert [{key: each[key] for key in theirs[0]} for each in mine] == theirs


@kernel
def test_each_cpus_value_is_shown_and_taken(osmia: Cli, maps: Any) -> None:
    by_port = maps["by_port"]
    addresses = [f"10.0.0.{cpu}" for cpu in range(by_port.cpus)]
    update(osmia, by_port, "key", 443, "value", json.dumps(addresses))
    rows = [line.split() for line in osmia("map", "dump", "id", by_port.id).lines[1:]]
    assert [row[-1] for row in rows] == addresses and rows[0][0] == "443"
    update(osmia, by_port, "key", 443, "value", "10.9.9.9")
    (entry,) = osmia("map", "dump", "id", by_port.id, "-j").json
    assert {each["value"] for each in entry["shown"]["values"]} == {"10.9.9.9"}


@kernel
def test_an_address_is_no_number(osmia: Cli, maps: Any) -> None:
    refused = osmia("map", "lookup", "id", maps["peers"].id, "key", 16777226)
    assert refused.status == 1 and "write an IPv4 address (10.0.0.1), or the bytes" in refused.err
    refused = osmia(
        "map", "update", "id", maps["peers"].id, "key", "10.0.0.1", "value", '{"port": 70000}'
    )
    assert refused.status == 1 and ".port: '70000' is no value for __be16 as a port" in refused.err
    assert len(maps["peers"]) == 0


@kernel
def test_formats_are_asked_for(osmia: Cli, maps: Any) -> None:
    peers = maps["peers"]
    formats = ["--format", "host_addr=ip", "--format", "value.ts=ktime"]
    value = PEER | {"host_addr": "10.9.8.7", "ts": "2.5s"}
    update(osmia, peers, "key", "10.0.0.1", "value", json.dumps(value), *formats)
    row = osmia("map", "dump", "id", peers.id, *formats, "--format", "bytes=hex").lines[1].split()
    assert row[4] == "10.9.8.7" and row[6:] == ["2.500000000s", "0x9"]
    shown = osmia("map", "lookup", "id", peers.id, "key", "10.0.0.1", "-j", *formats).json["shown"]
    assert shown["value"]["host_addr"] == "10.9.8.7" and shown["value"]["ts"] == 2_500_000_000
    plain = osmia("map", "dump", "id", peers.id, "--format", "peers.key=plain")
    assert plain.lines[1].split()[0] == str(int.from_bytes(bytes((10, 0, 0, 1)), "little"))
    moment = osmia("map", "dump", "id", peers.id, "--format", "ts=time").lines[1].split()[6]
    assert moment.startswith("20") and "T" in moment


@kernel
@pytest.mark.parametrize("text", ["bash", '"quoted"', "a\x01b", "é\n", "443", "\\"])
def test_text_is_taken_as_it_is_shown(osmia: Cli, text: str) -> None:
    source = """
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    struct task { __u8 comm[16]; char name[16]; };
    typedef __u8 comm_t[16];
    struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, comm_t);
             __type(value, struct task); } tasks SEC(".maps");
    SEC("xdp") int p(void *c) { return 2; }
    char L[] SEC("license") = "GPL";
    """
    with compile_source(source).load() as bpf:
        tasks = bpf.maps["tasks"]
        key = text.encode().ljust(16, b"\0")
        tasks[key] = {"comm": text, "name": text}
        dumped = osmia("map", "dump", "id", tasks.id).lines[1]
        shown = dumped.split("  ")[0]
        (entry,) = osmia("map", "dump", "id", tasks.id, "-j").json
        assert entry["shown"]["key"] == entry["shown"]["value"]["comm"] == text
        del tasks[key]
        update(osmia, tasks, "key", shown, "value", json.dumps({"comm": text, "name": text}))
        assert dict(tasks)[key].comm == key and dict(tasks)[key].name == text


@kernel
def test_the_members_of_a_network_can_be_asked_for(osmia: Cli, maps: Any) -> None:
    update(osmia, maps["routes"], "key", "10.0.0.0/8", "value", 7)
    dumped = osmia("map", "dump", "id", maps["routes"].id, "--format", "addr=hex")
    assert dumped.lines[0].split() == ["prefixlen", "addr", "value"]
    assert dumped.lines[1].split() == ["8", "0xa", "7"]


@kernel
def test_formats_that_cannot_be_are_refused(osmia: Cli, maps: Any) -> None:
    dump = ["map", "dump", "id", maps["peers"].id, "--format"]
    for text, message in {
        "host_adr=ip": "map 'peers' has no field 'host_adr'; did you mean 'host_addr'",
        "host_addr=ipp": "--format has no 'ipp'; did you mean 'ip'",
        "host_addr": "'host_addr' is not FIELD=KIND",
        "port=mac": "--format port=mac: __be16 cannot be shown as mac",
    }.items():
        refused = osmia(*dump, text)
        assert refused.status == 2 and message in refused.err, refused.err


RUNS = [pytest.param("kernel", marks=kernel), "vm"]
GATEWAY = ["--set", "gateway=10.0.0.1", "--set", "gateway_mac=02:00:00:00:00:07"]


@pytest.mark.parametrize("engine", RUNS)
def test_a_run_shows_events_maps_and_variables_as_what_they_mean(osmia: Cli, engine: str) -> None:
    run = osmia(
        "run", SOURCE, "--packet", "00" * 64, "--engine", engine, *GATEWAY,
        "--format", "events.host_addr=ip", "--format", "ts=hex",
    )  # fmt: skip
    assert run.status == 0, run.err
    assert (
        "events: addr=10.0.0.1 port=443 mac=00:00:00:00:00:07 host_addr=10.0.0.1 "
        "seen_ns=1.500000000s ts=0x59682f00 bytes=64" in run.lines
    )
    rows = [line.split() for line in run.lines]
    assert ["gateway", "10.0.0.1"] in rows and ["gateway_mac", "02:00:00:00:00:07"] in rows
    number = str(int.from_bytes(bytes((10, 0, 0, 1)), "little"))
    assert ["10.0.0.1", "10.0.0.1", "443", "00:00:00:00:00:07", number, "1.500000000s",
            "0x59682f00", "64"] in rows  # fmt: skip


@pytest.mark.parametrize("engine", RUNS)
def test_a_run_says_it_in_json(osmia: Cli, engine: str) -> None:
    run = osmia("run", SOURCE, "--packet", "00" * 64, "--engine", engine, *GATEWAY, "-j")
    event, _packets, final = run.records
    assert event["event"]["value"]["addr"] == "10.0.0.1"
    assert event["event"]["value"]["port"] == 443
    assert event["event"]["value"]["seen_ns"] == 1_500_000_000
    assert final["globals"] == {"gateway": "10.0.0.1", "gateway_mac": "02:00:00:00:00:07"}
    (peers,) = [each for each in final["maps"] if each["map"] == "peers"]
    assert peers["entries"][0]["key"] == "10.0.0.1"


def test_a_run_refuses_fields_that_nothing_has(osmia: Cli) -> None:
    run = osmia("run", SOURCE, "--packet", "00" * 64, "--engine", "vm", "--format", "adr=ip")
    assert run.status == 2 and "has no field 'adr'; did you mean 'addr'" in run.err


def test_inspect_shows_variables_as_what_they_mean(osmia: Cli) -> None:
    shown = osmia("inspect", SOURCE)
    assert shown.status == 0 and "02:00:00:00:00:01" in shown.out
