"""Opening: a file that was read before is not read again, and nobody notices but the clock."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

import osmia
from osmia.elf import ElfFile
from osmia.formats import open as reader
from osmia.formats.open import open_object
from osmia.object import DataSection, Map, Object, map_attributes
from osmia.toolchain import compile as compile_source

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
const volatile int rate = 5;
int packets;
SEC("xdp") int count(struct xdp_md *ctx) { packets += rate; return XDP_PASS; }
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return compile_source(SOURCE).data


def test_who_opens_a_file_again_gets_an_object_of_their_own(data: bytes) -> None:
    first = osmia.open(data)
    first.data["rate"] = 7
    first.programs["count"] = replace(first.programs["count"], autoload=False)
    first.data_sections[".bss"].contents[:] = b"\xff\xff\xff\xff"
    del first.functions["count"]
    second = osmia.open(data)
    assert second.data["rate"] == 5
    assert second.programs["count"].autoload
    assert second.data["packets"] == 0
    assert "count" in second.functions


def test_bytes_that_were_read_are_not_read_again(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    osmia.open(data)
    monkeypatch.setattr(ElfFile, "parse", lambda *_: pytest.fail("read again"))
    assert "count" in osmia.open(data).programs


def test_another_name_and_another_file_are_not_mixed_up(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "one.bpf.o"
    path.write_bytes(data)
    assert osmia.open(path).name == "one"
    assert osmia.open(data, name="two").name == "two"
    path.write_bytes(data.replace(b"packets\0", b"parcels\0"))
    assert "parcels" in osmia.open(path).data


def test_attributes_of_ones_own_see_every_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCE.replace(
        "int packets;",
        """
        struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, int);
                 __type(value, int); __uint(limit, 10); } flows SEC(".maps");
        int packets;""",
    )
    limited = compile_source(source).data
    factors = iter([1, 2])

    def apply(definition: Map, value: int) -> Map:
        return replace(definition, max_entries=value * next(factors))

    monkeypatch.setattr(map_attributes, "_ATTRIBUTES", dict(map_attributes._ATTRIBUTES))
    map_attributes.register(map_attributes.MapAttribute("limit", apply=apply))
    assert [osmia.open(limited).maps["flows"].max_entries for _ in range(2)] == [10, 20]


def test_an_object_is_found_again_while_others_open_files(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OpensAnother(reader.Remembered):
        @property
        def seen(self) -> set[str]:  # type: ignore[override]  # asked of each that is looked at
            return {"kernel"} if remembered.setdefault((*range(4), "one more"), self) else set()

    obj = osmia.open(data)
    other = OpensAnother.__new__(OpensAnother)
    remembered: dict[tuple[object, ...], reader.Remembered] = {
        ("another", "", "", None, None, 0): other
    }
    remembered |= reader._remembered
    monkeypatch.setattr(reader, "_remembered", remembered)
    found = reader.as_read(obj, "kernel")
    assert found is not None and found.object == obj


def test_remarks_are_made_every_time(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_remark(*_: object) -> Object:
        return Object("x", remarks=("a map that nobody uses",))

    monkeypatch.setattr("osmia.formats.libbpf.read_object", with_remark)
    for _ in range(2):
        with pytest.warns(osmia.OsmiaWarning, match="x: a map that nobody uses") as caught:
            open_object(data, name="remarked")
        assert caught[0].filename == __file__


def test_a_copy_has_all_that_the_original_has(data: bytes) -> None:
    original = osmia.open(data)
    copied = original.copy()
    for field in fields(Object):
        assert getattr(copied, field.name) == getattr(original, field.name), field.name
    section = original.data_sections[".rodata"]
    for field in fields(DataSection):
        assert getattr(section.copy(), field.name) == getattr(section, field.name), field.name
