"""Whatever osmia gives prints as one short line: a walk through all that can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.btf import kernel_btf

SOURCE = Path(__file__).parent / "cli" / "meaning.bpf.c"
#: Characters of a line that people still read.
LONGEST = 500
FEW = 6


def reachable(root: object, depth: int = 5) -> Iterator[object]:
    """The objects of osmia's classes behind public attributes, items and elements of `root`."""
    seen: dict[int, object] = {}
    left = [(root, depth)]
    while left:
        found, depth = left.pop()
        if id(found) in seen:
            continue
        seen[id(found)] = found
        ours = type(found).__module__.partition(".")[0] == "osmia"
        if ours and not isinstance(found, type | int):
            yield found
        if depth:
            left += [(each, depth - 1) for each in inside(found, ours)]


def inside(found: Any, ours: bool) -> Iterator[object]:
    if isinstance(found, Mapping):
        yield from islice(found.values(), FEW)
    elif isinstance(found, tuple | list):
        yield from found[:FEW]
    if not ours:
        return
    for name in dir(type(found)) + list(getattr(found, "__dict__", ())):
        if name.startswith("_"):
            continue
        try:
            value = getattr(found, name)
        except (osmia.OsmiaError, AttributeError, TypeError, ValueError, KeyError):
            continue
        if not callable(value) or type(value).__module__.startswith("osmia"):
            yield value


def check(root: object) -> set[str]:
    """All lines are short; the names of the classes that were there."""
    names, wrong = set(), {}
    for found in reachable(root):
        names.add(type(found).__name__)
        text = repr(found)
        if "\n" in text or len(text) > LONGEST:
            wrong[type(found).__name__] = f"{len(text)} characters: {text[:100]}"
    assert wrong == {}
    return names


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return osmia.compile(SOURCE)


def test_an_object_and_all_its_parts(obj: osmia.Object) -> None:
    found = check(obj)
    assert {"Object", "Program", "Function", "Map", "DataSection", "Variables", "BTF"} <= found


@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_what_is_loaded_and_what_it_gives(obj: osmia.Object, engine: str) -> None:
    with obj.load(engine) as bpf:
        result = bpf.programs["say"].run(bytes(1500))
        events = bpf.maps["events"].events
        found = check([bpf, result, events, events.read(), bpf.maps["peers"]])
    assert {"RunResult", "RingBuffer", "peer", "KeyedMap", "LpmTrie"} <= found
    assert "Vm" in found or "KernelMap" in found


@pytest.mark.kernel
def test_a_link_and_what_the_kernel_tells_of_it(obj: osmia.Object) -> None:
    with obj.load() as bpf, bpf.programs["say"].attach("lo", mode="generic") as link:
        assert {"KernelLink", "LinkInfo"} <= check(link)


def test_long_contents_are_cut_short() -> None:
    many = "".join(f"unsigned long long variable_{i}[200] = {{{i}}};\n" for i in range(300))
    obj = osmia.compile(f'{many}char L[] __attribute__((section("license"))) = "GPL";\n')
    check(obj)
    assert repr(obj.data_sections[".data"]).endswith(" bytes, 299 variables>")
    assert repr(obj.data).endswith("; … and 292 more>")


def test_targets_and_types() -> None:
    check(osmia.Target.running())
    btf = kernel_btf()
    assert "BTF" in check(btf)


def test_errors_of_ours_print_in_a_line(obj: osmia.Object) -> None:
    for name in ("AmbiguousNameError", "KernelError"):
        assert "\n" not in repr(getattr(osmia, name))
    with pytest.raises(KeyError) as refused:
        obj.maps["evnts"]
    assert "\n" not in repr(refused.value)
