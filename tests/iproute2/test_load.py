"""Loading: pins where tc has them, reuse, slots; and nothing left behind when it fails."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import MapMismatchError, OsmiaError, RelocationError
from osmia.kernel.load import tc_pins
from osmia.kernel.sys.pins import PinNameError
from osmia.object import ProgramType

HASH, ARRAY, PROG_ARRAY, ARRAY_OF_MAPS, HASH_OF_MAPS = 1, 2, 3, 12, 13
pytestmark = pytest.mark.kernel

PASS = "r0 = 0\nexit"
Pins = Callable[[Path], list[str]]


def test_maps_are_pinned_where_tc_pins_them(
    legacy: Any, words: Any, tc_mount: Path, pins_under: Pins
) -> None:
    maps = {"all": words(pinning=2), "own": words(pinning=1), "none": words()}
    obj = osmia.open(legacy(maps=maps, programs={"classifier": PASS}).to_bytes())
    with obj.load():
        assert pins_under(tc_mount) == [f"tc/{obj.pin_digest}/own", "tc/globals/all"]
    assert len(obj.pin_digest) == 40
    assert (tc_mount / "xdp").readlink() == Path("tc")
    assert (tc_mount / "ip").readlink() == Path("tc")
    for directory in ("tc", "tc/globals", f"tc/{obj.pin_digest}"):
        assert stat.S_IMODE((tc_mount / directory).stat().st_mode) == 0o700


def test_namespaces_are_looked_up(
    legacy: Any,
    words: Any,
    tc_mount: Path,
    tmp_path: Path,
    pins_under: Pins,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = tmp_path / "bpf_pinning"
    names.write_text("# ours\n2 never\n4 first\n0x4 shop/window # the last one counts\nx y\n5\n")
    monkeypatch.setattr(tc_pins, "NAMESPACE_FILES", (tmp_path / "none", names))
    assert tc_pins.namespaces() == {4: "shop/window"}
    with osmia.open(legacy(maps={"named": words(pinning=4)}).to_bytes()).load():
        assert pins_under(tc_mount) == ["shop/window/named"]


def test_two_objects_share_a_global_map(legacy: Any, words: Any, tc_mount: Path) -> None:
    first = osmia.open(legacy(maps={"shared": words(HASH, 4, 8, 9, pinning=2)}).to_bytes())
    other = osmia.open(
        legacy(maps={"shared": words(HASH, 4, 8, 9, pinning=2), "b": words()}).to_bytes()
    )
    with first.load() as one, other.load() as two:
        one.maps["shared"][3] = 4
        assert two.maps["shared"][3] == 4
        assert list(two.maps) == ["shared", "b"]


def test_devmaps_are_reused_though_the_kernel_adds_a_flag(
    legacy: Any, words: Any, tc_mount: Path
) -> None:
    data = legacy(maps={"devices": words(14, 4, 4, 4, pinning=2)}).to_bytes()
    with osmia.open(data).load() as one, osmia.open(data).load() as two:
        assert one.maps["devices"].id == two.maps["devices"].id


def test_a_pinned_map_of_another_shape_is_refused_with_every_difference(
    legacy: Any, words: Any, tc_mount: Path, pins_under: Pins
) -> None:
    with osmia.open(legacy(maps={"m": words(HASH, 4, 8, 9, pinning=2)}).to_bytes()).load():
        pass
    file = legacy(maps={"new": words(pinning=2), "m": words(ARRAY, 4, 16, 7, pinning=2)})
    with pytest.raises(MapMismatchError) as raised:
        osmia.open(file.to_bytes()).load()
    assert len(raised.value.differences) == 3
    assert pins_under(tc_mount) == ["tc/globals/m"]


def test_inner_maps_and_programs_are_stored(legacy: Any, words: Any) -> None:
    file = legacy(
        maps={
            "jump": words(PROG_ARRAY, 4, 4, 4, id=5),
            "outer": words(ARRAY_OF_MAPS, 4, 4, 3, inner_id=7),
            "sparse": words(HASH_OF_MAPS, 4, 4, 3, inner_id=7),
            "template": words(HASH, 4, 8, 1, id=7, inner_idx=-1),
            "zero": words(HASH, 4, 8, 1, id=7),
            "two": words(HASH, 4, 8, 1, id=7, inner_idx=2),
        },
        programs={
            "classifier": "r2 = 0x0 ll\nr3 = 3\ncall bpf_tail_call\nr0 = 0\nexit",
            "5/3": "r0 = 9\nexit",
        },
        references={"classifier": {0: "jump"}},
    )
    with osmia.open(file.to_bytes()).load() as loaded:
        assert loaded.programs["f_classifier"].run(bytes(64)).retval == 9
        ids = {name: made.id for name, made in loaded.maps.items()}
        for name in ("outer", "sparse"):
            found = {key: _id(value) for key, value in loaded.maps[name].items() if value}
            assert found == {0: ids["zero"], 2: ids["two"]}


def _id(value: Any) -> int:
    return value if isinstance(value, int) else int(value.id)


def test_an_unknown_pinning_value_is_an_error_before_anything_is_made(
    legacy: Any, words: Any, tc_mount: Path, pins_under: Pins
) -> None:
    file = legacy(maps={"a": words(pinning=2), "b": words(pinning=9)})
    with pytest.raises(RelocationError, match="'b': pinning 9 is not known"):
        osmia.open(file.to_bytes()).load()
    assert not (tc_mount / "tc").exists()


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", "/etc"])
def test_names_that_leave_the_directory_are_refused(
    legacy: Any, words: Any, tc_mount: Path, name: str
) -> None:
    with pytest.raises(PinNameError):
        osmia.open(legacy(maps={"a": words(pinning=2), name: words(pinning=2)}).to_bytes()).load()
    assert not (tc_mount / "tc").exists()


def test_namespaces_that_leave_the_mount_are_refused(
    legacy: Any,
    words: Any,
    tc_mount: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = tmp_path / "bpf_pinning"
    names.write_text("4 ../../etc\n")
    monkeypatch.setattr(tc_pins, "NAMESPACE_FILES", (names,))
    with pytest.raises(PinNameError):
        osmia.open(legacy(maps={"named": words(pinning=4)}).to_bytes()).load()


def test_a_failure_removes_the_pins_it_made_and_no_others(
    legacy: Any, words: Any, tc_mount: Path, pins_under: Pins
) -> None:
    with osmia.open(legacy(maps={"old": words(pinning=2)}).to_bytes()).load():
        pass
    file = legacy(
        maps={"old": words(pinning=2), "new": words(pinning=2), "own": words(pinning=1)},
        programs={"classifier": "r0 = *(u64 *)(r9 +0)\nexit"},
    )
    with pytest.raises(osmia.VerifierError):
        osmia.open(file.to_bytes()).load()
    assert pins_under(tc_mount) == ["tc/globals/old"]
    assert sorted(path.name for path in (tc_mount / "tc").iterdir()) == ["globals"]


def test_a_first_failure_leaves_no_directory(legacy: Any, words: Any, tc_mount: Path) -> None:
    before = sorted(tc_mount.iterdir())
    file = legacy(
        maps={"a": words(pinning=2)}, programs={"classifier": "r0 = *(u64 *)(r9 +0)\nexit"}
    )
    with pytest.raises(osmia.VerifierError):
        osmia.open(file.to_bytes()).load()
    assert sorted(tc_mount.iterdir()) == before


def test_a_program_without_a_type_says_so_before_anything_is_made(
    legacy: Any, words: Any, tc_mount: Path
) -> None:
    file = legacy(maps={"a": words(pinning=2)}, programs={"from-lxc": PASS})
    with pytest.raises(OsmiaError, match="from-lxc"):
        osmia.open(file.to_bytes()).load()
    assert not (tc_mount / "tc").exists()
    with osmia.open(file.to_bytes(), program_type=ProgramType.XDP).load() as loaded:
        assert loaded.programs["f_from_lxc"].type is ProgramType.XDP


def test_maps_attributes_do_the_same_in_btf_defined_maps(tc_mount: Path, pins_under: Pins) -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(key_size, 4); __uint(value_size, 4);
         __uint(max_entries, 4); __uint(id, 7); } calls SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(key_size, 4);
         __uint(max_entries, 4); __uint(inner_id, 9); } outer SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long);
         __uint(max_entries, 4); __uint(id, 9); __ulong(inner_idx, -1); } shape SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long);
         __uint(max_entries, 4); __uint(id, 9); __uint(inner_idx, 2); } second SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long);
         __uint(max_entries, 4); __uint(pinning, 2); } everywhere SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long);
         __uint(max_entries, 4); __ulong(pinning, -1); } alone SEC(".maps");
SEC("tc") int entry(struct __sk_buff *skb) { bpf_tail_call(skb, &calls, 1); return 0; }
SEC("7/1") int one(struct __sk_buff *skb) { return 11; }
char _license[] SEC("license") = "GPL";
"""
    obj = osmia.compile(source)
    assert obj.dialect == "libbpf"
    assert obj.maps["shape"].attributes == {"id": 9, "inner_idx": -1}
    assert obj.maps["outer"].slots == ((2, "second"),)
    with obj.load() as loaded:
        assert loaded.programs["entry"].run(bytes(64)).retval == 11
        assert pins_under(tc_mount) == [f"tc/{obj.pin_digest}/alone", "tc/globals/everywhere"]
