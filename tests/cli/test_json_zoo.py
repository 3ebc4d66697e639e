"""`-j` has bpftool's keys and values: a zoo of objects, asked of both with the same ids.

What bpftool prints must be in what osmia prints, key by key and value by value; osmia may have
more keys.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import osmia as osmia_package
from osmia.engine.maps import KeyedMap, Map
from osmia.kernel import links
from osmia.kernel.inventory.cgroup_programs import cgroup_root
from osmia.kernel.links.perf import SoftwareEvent
from osmia.kernel.load.loaded import KernelObject
from osmia.object import MapType

from .conftest import Result

BPFTOOL = Path(__file__).parents[2] / "build/newer-bpftool/bpftool"
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not BPFTOOL.exists(), reason="compares with bpftool 7.8"),
]
Cli = Callable[..., Result]
Opened = Callable[[str], KernelObject]

ZOO = Path(__file__).parent / "zoo"
OBJECTS = sorted(path.name.removesuffix(".bpf.c") for path in ZOO.glob("*.bpf.c"))
ENTRY = "key 1 0 0 0 value 1 0 97 0 0 0 0 0"
MADE = "type array key 4 value 4 entries 1 name x"
WITH_PROGRAMS = ["attached", "data_sections", "inner_maps", "per_cpu", "struct_ops"]

#: Where bpftool is wrong: an unsigned enumerator of 32 bits, of which it extends a sign; the
#: kernel's ENOTSUPP, for which C has no words.
WRONG = {18446744071562067968: 1 << 31, "Unknown error 524": "Operation not supported"}


@pytest.fixture(scope="session")
def compiled_zoo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`compiled_zoo("text")`: the object of zoo/text.bpf.c."""
    place = tmp_path_factory.mktemp("zoo")

    def compiled(name: str) -> Path:
        path = place / f"{name}.bpf.o"
        if not path.exists():
            path.write_bytes(osmia_package.compile(ZOO / f"{name}.bpf.c").to_bytes())
        return path

    return compiled


@pytest.fixture
def opened(compiled_zoo: Callable[[str], Path]) -> Iterator[Opened]:
    """`opened("text")`: the object, loaded, with entries in its maps."""
    with ExitStack() as held:

        def load(name: str) -> KernelObject:
            loaded = held.enter_context(osmia_package.open(compiled_zoo(name)).load())
            assert isinstance(loaded, KernelObject)
            for each in loaded.maps.values():
                _fill(each)
            return loaded

        yield load


@pytest.fixture
def compare(osmia: Cli) -> Callable[..., Any]:
    """`compare("map", "dump", "id", 3)`: asks both; gives what bpftool says."""

    def both(*words: object) -> Any:
        theirs = _bpftool(*words)
        ours = osmia("-j", *words)
        assert ours.status == 0, ours.err
        differences = list(_differences(theirs, ours.json))
        assert not differences, "\n".join([" ".join(map(str, words)), *differences])
        return theirs

    return both


@pytest.mark.parametrize("name", OBJECTS)
def test_maps_and_their_entries(name: str, opened: Opened, compare: Callable[..., Any]) -> None:
    loaded = opened(name)
    ids = {each.info.id for each in loaded.maps.values()}
    ids |= {number for each in loaded.programs.values() for number in each.info.map_ids}
    assert ids
    for number in sorted(ids):
        compare("map", "show", "id", number)
        compare("map", "dump", "id", number)


@pytest.mark.parametrize("name", OBJECTS)
def test_single_entries(name: str, opened: Opened, compare: Callable[..., Any]) -> None:
    for each in opened(name).maps.values():
        first = each.raw.next_key(None) if isinstance(each, KeyedMap) else None
        if not isinstance(first, bytes) or not isinstance(each.raw.lookup(first), bytes):
            continue
        key = [f"{byte:#x}" for byte in first]
        compare("map", "lookup", "id", each.info.id, "key", *key)
        compare("map", "getnext", "id", each.info.id)
        if isinstance(each.raw.next_key(first), bytes):
            compare("map", "getnext", "id", each.info.id, "key", *key)


@pytest.mark.parametrize("name", WITH_PROGRAMS)
def test_programs_their_code_and_types(
    name: str, opened: Opened, compare: Callable[..., Any]
) -> None:
    for each in opened(name).programs.values():
        number = each.info.id
        compare("prog", "show", "id", number)
        compare("prog", "dump", "xlated", "id", number)
        compare("prog", "dump", "xlated", "id", number, "opcodes", "linum")
        compare("btf", "show", "id", each.info.btf_id)
        compare("btf", "dump", "prog", "id", number)


@pytest.mark.parametrize("name", OBJECTS)
def test_types_of_maps(name: str, opened: Opened, compare: Callable[..., Any]) -> None:
    for each in opened(name).maps.values():
        if each.info.btf_id:
            for part in ("key", "value", "kv", "all"):
                compare("btf", "dump", "map", "id", each.info.id, part)


def test_links_of_many_kinds(
    own_network: None, opened: Opened, compare: Callable[..., Any], tmp_path: Path
) -> None:
    subprocess.run(["ip", "link", "add", "zoo0", "type", "veth"], check=True)
    library = next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "/libc.so" in line
    )
    programs = opened("attached").programs
    with _cgroup() as cgroup, ExitStack() as held:
        made = [
            programs["entered"].attach(),
            programs["traced"].attach(),
            programs["typed"].attach(),
            programs["received"].attach("zoo0", mode="generic"),
            programs["classified"].attach("zoo0"),
            programs["sent"].attach(cgroup),
            programs["tasks"].attach(),
            links.attach_iterator(programs["tasks"], pid=os.getpid()),
            programs["looked_up"].attach(),
            links.attach_netfilter(programs["filtered"], "ipv4", "input", priority=-5),
            links.attach_uprobe(programs["probed"], library, "getpid", cookie=7),
            links.attach_uprobe(programs["returned"], library, "getpid", return_probe=True),
            links.attach_uprobe_multi(
                programs["several"], library, ["getpid", "getppid"], cookies=[1, 2]
            ),
            links.attach_perf_event(
                programs["sampled"], SoftwareEvent.CPU_CLOCK, frequency=10, cpus=[0]
            ),
        ]
        for link in made:
            held.enter_context(link)
        told = [compare("link", "show", "id", link.info.id) for link in made]
        assert len({each["type"] for each in told}) == 9
        compare("cgroup", "show", cgroup)
        compare("cgroup", "show", cgroup, "effective")
        compare("cgroup", "tree", cgroup)
        (network,) = compare("net", "show", "dev", "zoo0")
        assert len(network["xdp"]) == len(network["tc"]) == len(network["netfilter"]) == 1
        mine = [each for each in _bpftool("perf", "show") if each["pid"] == os.getpid()]
        assert {each["fd_type"] for each in mine} >= {"raw_tracepoint", "tracepoint", "uprobe"}


def test_probes_by_process(osmia: Cli, opened: Opened) -> None:
    with opened("attached").programs["entered"].attach():
        mine = [each for each in osmia("-j", "perf", "show").json if each["pid"] == os.getpid()]
        theirs = [each for each in _bpftool("perf", "show") if each["pid"] == os.getpid()]
    assert mine == theirs != []


def test_struct_ops(osmia: Cli, opened: Opened, compare: Callable[..., Any]) -> None:
    loaded = opened("struct_ops")
    with loaded.attach_struct_ops("zoo_linked") as link:
        compare("link", "show", "id", link.info.id)
    number = loaded.maps["zoo_always"].info.id
    loaded.register_struct_ops("zoo_always")
    try:
        compare("struct_ops", "show", "id", number)
        compare("map", "dump", "id", number)
        _info, ops = compare("struct_ops", "dump", "id", number)
        said = ops["bpf_struct_ops_tcp_congestion_ops"]["data"]["ssthresh"]
        assert said.startswith("u32 (struct sock *) ssthresh/prog_id:")
    finally:
        assert osmia("struct_ops", "unregister", "id", number).status == 0


def test_lists_are_lists_however_short(osmia: Cli) -> None:
    for noun in ("prog", "map", "link", "btf", "perf", "struct_ops", "token", "net"):
        assert isinstance(osmia("-j", noun, "list").json, list)


def test_queues(osmia: Cli, opened: Opened, compare: Callable[..., Any]) -> None:
    queue = opened("kinds").maps["queue"]
    number = queue.info.id
    queue.raw.push(b"\1\0abc\0ef")
    queue.raw.push(b"\2\0abcdef")
    compare("map", "peek", "id", number)
    popped = osmia("-j", "map", "pop", "id", number).json
    assert popped["key"] == []
    assert popped["value"] == ["0x01", "0x00", "0x61", "0x62", "0x63", "0x00", "0x65", "0x66"]
    compare("map", "peek", "id", number)
    osmia("map", "pop", "id", number)
    empty = osmia("-j", "map", "pop", "id", number)
    assert (empty.status, empty.out) == (1, "null\n")


def test_what_has_nothing_to_tell_is_null(osmia: Cli, opened: Opened, bpffs: Path) -> None:
    loaded = opened("kinds")
    number = loaded.maps["empty"].info.id
    for words in (
        ("map", "update", "id", number, *ENTRY.split()),
        ("map", "delete", "id", number, *["key", "1", "0", "0", "0"]),
        ("map", "push", "id", loaded.maps["stack"].info.id, *["value", "1", "0", "0", "0"]),
        ("map", "pin", "id", number, bpffs / "pinned"),
        ("map", "create", bpffs / "made", *MADE.split()),
        ("map", "freeze", "pinned", bpffs / "made"),
    ):
        done = osmia("-j", *words)
        assert (done.status, done.out) == (0, "null\n"), done.err
    lost = osmia("-j", "map", "lookup", "id", number, *["key", "9", "9", "9", "9"])
    assert (lost.status, lost.out) == (1, "null\n")


def test_errors_are_objects_on_stderr(osmia: Cli) -> None:
    wrong = osmia("-j", "prog", "show", "id", 4_000_000_000)
    assert (wrong.status, wrong.out) == (1, "")
    assert "No such file or directory" in json.loads(wrong.err)["error"]
    usage = osmia("-j", "map", "lookup")
    assert usage.status == 2
    assert "which one?" in json.loads(usage.err)["error"]


def test_a_run_tells_bytes_as_numbers(
    osmia: Cli, opened: Opened, compare: Callable[..., Any], tmp_path: Path
) -> None:
    number = opened("attached").programs["received"].info.id
    packet = tmp_path / "packet"
    packet.write_bytes(bytes(range(64)))
    words = ("prog", "run", "id", number, "data_in", packet, "data_out", "-")
    theirs, ours = _bpftool(*words), osmia("-j", *words).json
    assert ours["data_out"] == theirs["data_out"] == list(range(64))
    assert ours["retval"] == theirs["retval"]


def _bpftool(*words: object) -> Any:
    done = subprocess.run(
        [BPFTOOL, "-j", *map(str, words)], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout)


def _differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Where bpftool's is not in ours."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, value in theirs.items():
            if key not in ours:
                yield f"{path}.{key}: {value!r:.200} is missing"
            elif key in ("prog_ids", "map_ids"):  # their order is that of a hash table
                yield from _differences(sorted(value), sorted(ours[key]), f"{path}.{key}")
            else:
                yield from _differences(value, ours[key], f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (each, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(each, other, f"{path}[{index}]")
    elif (type(theirs), theirs) != (type(ours), ours):
        if isinstance(theirs, int | str) and WRONG.get(theirs) == ours:
            return
        yield f"{path}: bpftool says {theirs!r:.200}, osmia {ours!r:.200}"


@contextmanager
def _cgroup() -> Iterator[Path]:
    path = cgroup_root() / f"osmia-zoo-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def _fill(target: Map) -> None:
    """Some entries with all sorts of bytes, where a map takes them from outside."""
    kinds = (MapType.HASH, MapType.ARRAY, MapType.LRU_HASH, MapType.LPM_TRIE)
    per_cpu = (MapType.PERCPU_ARRAY, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH)
    if not isinstance(target, KeyedMap) or target.type not in (*kinds, *per_cpu):
        return
    numbers = random.Random(target.name)
    size = target.value_size
    values = [
        bytes(size),
        b"\xff" * size,
        numbers.randbytes(size),
        (b"ab\0" * size)[:size],
        (b"\1" + bytes(7) + bytes(size))[:size],
        b"x" * size,
    ]
    for index, value in enumerate(values[: target.max_entries]):
        key = index.to_bytes(target.key_size, "little")
        if target.type == MapType.LPM_TRIE:
            key = (8 * index).to_bytes(4, "little") + numbers.randbytes(target.key_size - 4)
        elif target.name == "text":
            key = [b"abc", b"ab\1", b"abcdefgh", "é".encode(), b"", b"\x7f"][index].ljust(8, b"\0")
        target.update(key, [value] * target.cpus if target.cpus else value)
