"""Where loads look for pinned prog arrays, and what they find in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import osmia
from osmia.kernel.load.pin_paths import pin_path, pinned_arrays, pinned_keys
from osmia.object import Map, MapType, Object, Pinning

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8);
    __type(key, __u32); __type(value, __u32); } calls SEC(".maps");
SEC("xdp") __tail(calls, 3) int target(struct xdp_md *ctx) { return 7; }
SEC("xdp") int entry(struct xdp_md *ctx) { bpf_tail_call(ctx, &calls, 3); return 1; }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def places(bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Map, Path]]:
    """A prog array in each way to say where it is pinned, and the place meant."""
    monkeypatch.setenv("TC_BPF_MNT", str(bpffs))
    array = Map("calls", MapType.PROG_ARRAY, 4, 4, 8)
    own = str(bpffs / "elsewhere")
    return {
        "by name": (replace(array, pinning=Pinning.BY_NAME), bpffs / "calls"),
        "by path": (replace(array, pin_path=own), bpffs / "elsewhere"),
        "both": (replace(array, pinning=Pinning.BY_NAME, pin_path=own), bpffs / "elsewhere"),
        "as tc": (replace(array, pinning=2), bpffs / "tc" / "globals" / "calls"),
    }


@pytest.mark.parametrize("told", ["by name", "by path", "both", "as tc"])
def test_slots_of_an_array_are_found_where_a_load_pins_it(
    bpffs: Path, places: dict[str, tuple[Map, Path]], told: str
) -> None:
    definition, place = places[told]
    wanted = Object("wanted", maps={"calls": definition})
    assert Path(pin_path(wanted, definition, bpffs) or "") == place
    assert not list(pinned_arrays(wanted, bpffs))
    compiled = osmia.compile(source=SOURCE)
    calls = replace(
        compiled.maps["calls"], pinning=definition.pinning, pin_path=definition.pin_path
    )
    with compiled.copy(maps={"calls": calls}).load(pin_root=bpffs):
        assert place.exists()
        ((name, found),) = pinned_arrays(wanted, bpffs)
        assert (name, Path(found)) == ("calls", place)
        assert pinned_keys(wanted, bpffs) == {"calls": [3]}
        place.unlink()
    assert pinned_keys(wanted, bpffs) == {}


def test_other_maps_and_those_that_no_load_makes_are_left_out(bpffs: Path) -> None:
    place = bpffs / "calls"
    with osmia.compile(source=SOURCE).load() as loaded:
        loaded.maps["calls"].pin(place)
        array = Map("calls", MapType.PROG_ARRAY, 4, 4, 8, pin_path=str(place))
        for other in (replace(array, autocreate=False), replace(array, type=MapType.ARRAY)):
            assert not list(pinned_arrays(Object("other", maps={"calls": other}), bpffs))
        loaded.maps["calls"].unpin(place)


def test_what_is_no_prog_array_tells_nothing(bpffs: Path) -> None:
    place = bpffs / "calls"
    array = Map("calls", MapType.PROG_ARRAY, 4, 4, 8, pin_path=str(place))
    obj = Object("wanted", maps={"calls": array})
    with osmia.Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=1) as other:
        other.pin(place)
        assert [Path(path) for _, path in pinned_arrays(obj, bpffs)] == [place]
        assert pinned_keys(obj, bpffs) == {}
        other.unpin(place)
