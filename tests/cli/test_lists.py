"""Lists of what the kernel holds: whole names, who holds what, places by name; and any terminal."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import osmia as library
from osmia.engine.maps import Map
from osmia.kernel.inventory.cgroup_programs import cgroup_root
from osmia.kernel.inventory.full_names import map_name, program_name
from osmia.object.uapi import MapType

from ..terminal import screen
from .conftest import OSMIA, Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct flow { __u32 source, destination; __u16 source_port, destination_port; };
struct seen { __u64 packets, bytes; char name[24]; __u64 first, last; };
#define MAP(name, kind, k, v, count) \\
struct { __uint(type, BPF_MAP_TYPE_##kind); __uint(max_entries, count); \\
         __type(key, k); __type(value, v); } name SEC(".maps");
MAP(flows_by_addresses_and_ports, HASH, struct flow, struct seen, 64)
MAP(counters_of_packets, ARRAY, __u32, __u64, 4)
MAP(counters_of_packets_too, ARRAY, __u32, __u64, 4)
MAP(counters_of_bytes, ARRAY, __u32, __u32, 4)
MAP(short_one, ARRAY, __u32, __u64, 4)
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8);
         __type(key, __u32); __type(value, __u32); } targets_of_tail_calls SEC(".maps");
SEC("xdp") int a_program_with_a_long_name(struct xdp_md *ctx)
{ struct flow f = {}; bpf_map_delete_elem(&flows_by_addresses_and_ports, &f); return XDP_PASS; }
SEC("cgroup_skb/egress") int lets_all_packets_out(struct __sk_buff *skb) { return 1; }
char LICENSE[] SEC("license") = "GPL";
"""
PROGRAM = "a_program_with_a_long_name"


@pytest.fixture(scope="module")
def loaded() -> Iterator[Any]:
    with library.compile(SOURCE).load() as bpf:
        yield bpf


def one(things: list[dict[str, Any]], number: int) -> dict[str, Any]:
    (found,) = [each for each in things if each["id"] == number]
    return found


def test_names_are_whole_where_btf_tells_them(osmia: Cli, loaded: Any) -> None:
    program, maps = loaded.programs[PROGRAM].info, loaded.maps
    assert program.name == PROGRAM[:15]
    assert one(osmia("prog", "list", "-j").json, program.id)["name"] == PROGRAM
    assert osmia("prog", "show", "name", PROGRAM).lines[0] == f"{program.id}: xdp {PROGRAM}"
    flows = maps["flows_by_addresses_and_ports"]
    listed = one(osmia("map", "list", "-j").json, flows.id)
    assert (listed["name"], listed["full_name"]) == ("flows_by_addres", flows.name)
    (line,) = [each for each in osmia("map", "list").lines if each.split()[0] == str(flows.id)]
    assert line.split()[:3] == [str(flows.id), "hash", flows.name]


def test_names_that_btf_leaves_open_stay_as_they_are(loaded: Any) -> None:
    names = {name: map_name(each.info) for name, each in loaded.maps.items()}
    # Two of the same type, key and value begin alike; the third has another value.
    assert names["counters_of_packets"] == names["counters_of_packets_too"] == "counters_of_pac"
    assert names["counters_of_bytes"] == "counters_of_bytes"[:15] + "es"
    assert names["short_one"] == "short_one"
    info = loaded.programs[PROGRAM].info
    assert program_name(info._replace(btf_id=4_000_000_000)) == info.name
    assert program_name(info._replace(name="another_name_of")) == "another_name_of"
    assert map_name(loaded.maps["counters_of_bytes"].info._replace(btf_id=0)) == "counters_of_byt"


def test_who_holds_programs_and_maps(osmia: Cli, loaded: Any, bpffs: Path) -> None:
    program, calls = loaded.programs[PROGRAM], loaded.maps["targets_of_tail_calls"]
    flows = loaded.maps["flows_by_addresses_and_ports"]
    calls[3] = program
    program.pin(bpffs / "pinned")
    try:
        shown = one(osmia("prog", "list", "-j").json, program.info.id)
        assert shown["held_by"] == {"maps": [calls.id]}
        assert "pinned" not in shown
        (line,) = [
            each for each in osmia("prog", "list").lines if each.startswith(str(program.info.id))
        ]
        held = line.split()[-1].split(",")
        assert held[1:] == [f"map:{calls.id}", str(bpffs / "pinned")]
        assert held[0].endswith(f"({os.getpid()})")
        used = one(osmia("map", "list", "-j").json, flows.id)
        assert used["held_by"] == {"programs": [program.info.id]}
        assert f"programs: {program.info.id}" in osmia("map", "show", "id", flows.id).out
        # The prog array shows what is in it.
        whole = osmia("map", "show", "id", calls.id, "-j").json
        assert whole["programs"] == [{"key": 3, "id": program.info.id, "name": PROGRAM}]
        told = osmia("map", "show", "id", calls.id).out
        assert f"3={program.info.id} {PROGRAM}" in told
        assert [line.split() for line in osmia("map", "dump", "id", calls.id).lines] == [
            ["key", "value", "program"],
            ["3", str(program.info.id), PROGRAM],
        ]
    finally:
        (bpffs / "pinned").unlink()
        del calls[3]


def test_a_list_leaves_large_prog_arrays_to_show(osmia: Cli, loaded: Any) -> None:
    program = loaded.programs[PROGRAM]
    number = program.info.id
    shape: Any = {"key_size": 4, "value_size": 4}
    with (
        Map.create(MapType.PROG_ARRAY, max_entries=1024, **shape) as small,
        Map.create(MapType.PROG_ARRAY, max_entries=1025, **shape) as large,
    ):
        small[1023] = large[1024] = program
        assert one(osmia("prog", "list", "-j").json, number)["held_by"] == {"maps": [small.id]}
        shown = osmia("prog", "show", "id", number, "-j").json
        assert shown["held_by"] == {"maps": [small.id, large.id]}


def test_links_say_program_and_cgroup(osmia: Cli, loaded: Any) -> None:
    group = cgroup_root() / f"osmia-lists-{os.getpid()}" / "inner"
    group.mkdir(parents=True)
    try:
        program = loaded.programs["lets_all_packets_out"]
        with program.attach(str(group)) as link:
            shown = one(osmia("link", "list", "-j").json, link.id)
            assert (shown["prog_name"], shown["cgroup"]) == ("lets_all_packets_out", str(group))
            (line,) = [
                each for each in osmia("link", "list").lines if each.split()[0] == str(link.id)
            ]
            assert line.split()[3] == "lets_all_packets_out" and f"cgroup={group}" in line
            held = one(osmia("prog", "list", "-j").json, program.info.id)["held_by"]
            assert held == {"links": [link.id]}
    finally:
        group.rmdir()
        group.parent.rmdir()


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """A process with a network of its own, in which there is a device `far0`."""
    script = "ip link add far0 index 7077 type veth peer name far1 && echo ready && exec sleep 600"
    command = ["unshare", "-n", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


@pytest.mark.parametrize("kind", ["xdp", "tcx"])
def test_devices_of_other_networks_are_found_there(
    osmia: Cli, loaded: Any, elsewhere: int, kind: str
) -> None:
    with library.compile(
        '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nSEC("tcx/ingress")\n'
        'int in(struct __sk_buff *s) { return -1; } char L[] SEC("license") = "GPL";'
    ).load() as classifiers:
        program = loaded.programs[PROGRAM] if kind == "xdp" else classifiers.programs["in"]
        made: list[Any] = []

        def attach() -> None:
            with Path(f"/proc/{elsewhere}/ns/net").open() as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
            made.append(program.attach("far0"))

        thread = Thread(target=attach)
        thread.start()
        thread.join()
        with made.pop() as link:
            shown = one(osmia("link", "list", "-j").json, link.id)
            assert (shown["ifindex"], shown["devname"]) == (7077, "far0")
            there = Path(f"/proc/{elsewhere}/ns/net").stat().st_ino
            assert Path(shown["netns"]).stat().st_ino == there
            (line,) = [
                each for each in osmia("link", "list").lines if each.split()[0] == str(link.id)
            ]
            assert {"ifindex=7077", "devname=far0", f"netns={shown['netns']}"} <= set(line.split())


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("verb", ["prog", "map", "link", "btf"])
def test_lists_break_no_word_on_a_terminal(
    loaded: Any, own_network: None, verb: str, columns: int
) -> None:
    with loaded.programs[PROGRAM].attach("lo") as link:
        number = link.id
        lines = screen([*OSMIA, verb, "list"], columns)
    info = loaded.programs[PROGRAM].info
    words = {
        "prog": [str(info.id), PROGRAM, info.tag, "lets_all_packets_out"],
        "map": [name for name in loaded.maps if not name.startswith("counters_of_p")],
        "link": [str(number), PROGRAM, "ifindex=1", "devname=lo"],
        "btf": [str(info.btf_id)],
    }[verb]
    text = " ".join(lines).replace(",", " ").split()
    assert set(words) <= set(text)


def test_a_list_at_80_and_200_columns(loaded: Any) -> None:
    info = loaded.programs[PROGRAM].info
    narrow = screen([*OSMIA, "prog", "list"], 80)
    wide = screen([*OSMIA, "prog", "list"], 200)
    assert narrow[0].split()[:4] == ["id", "type", "name", "tag"] or ":" in narrow[0]
    assert "loaded" not in narrow[0]
    assert wide[0].split()[:4] == ["id", "type", "name", "tag"]
    (line,) = [each for each in wide if each.split()[0] == str(info.id)]
    assert line.split()[:4] == [str(info.id), "xdp", PROGRAM, info.tag]


def test_devices_on_a_terminal(loaded: Any, own_network: None) -> None:
    info = loaded.programs[PROGRAM].info
    with loaded.programs[PROGRAM].attach("lo", mode="generic"):
        assert screen([*OSMIA, "xdp", "list"], 80) == [
            f"device  mode     name                        {'id':>{len(str(info.id))}}  tag",
            "─" * (63 + len(str(info.id))),
            f"lo      generic  {PROGRAM}  {info.id}  {info.tag}",
        ]
        assert screen([*OSMIA, "xdp", "list"], 65)[0].split() == ["device", "name", "id", "tag"]
        assert screen([*OSMIA, "xdp", "list"], 45) == [
            "device: lo  mode: generic",
            f"    name: {PROGRAM}",
            f"    id: {info.id}  tag: {info.tag}",
        ]


def test_a_dump_at_80_and_200_columns(loaded: Any) -> None:
    flows = loaded.maps["flows_by_addresses_and_ports"]
    flows.clear()
    flows[{"source": 1, "destination": 2, "source_port": 3, "destination_port": 4}] = {
        "packets": 5, "bytes": 6, "name": "a name of some length", "first": 10**15, "last": 8,
    }  # fmt: skip
    command = [*OSMIA, "map", "dump", "id", str(flows.id)]
    assert screen(command, 200) == [
        "source  destination  source_port  destination_port  packets  bytes  name       "
        "                         first  last",
        "─" * 115,
        "     1            2            3                 4        5      6  "
        '"a name of some length"  1000000000000000     8',
    ]
    assert screen(command, 80) == [
        "source: 1  destination: 2  source_port: 3  destination_port: 4  packets: 5",
        '    bytes: 6  name: "a name of some length"  first: 1000000000000000  last: 8',
    ]
    flows.clear()


_MODULES = """
import sys, osmia.cli
osmia.cli.main(sys.argv[1:])
for each in sys.modules: print(each, file=sys.stderr)
"""


@pytest.mark.parametrize("verb", ["map", "prog", "link"])
def test_a_list_in_a_pipe_imports_little(loaded: Any, verb: str) -> None:
    command = [sys.executable, "-c", _MODULES, verb, "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    unwanted = {"rich", "numpy", "osmia.passes", "osmia.toolchain", "osmia.cli.dump"}
    if verb != "link":
        unwanted |= {"osmia.kernel.links", "osmia.kernel.rtnetlink", "osmia.kernel.load"}
    assert modules & unwanted == set()
