"""Profiles as files: what each format's readers find in them."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osmia.symbols.frames import Frame
from osmia.symbols.stack_profile import Sample, StackProfile

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>;\n]]>\x1b[31m\ud800'

APP = "/usr/bin/app"
MAIN = Frame(0x1000, "main", APP, 4, "/src/app.c", 10)
WORK = Frame(0x2000, "work", APP, 8, "/src/app.c", 20)
SQUARE = Frame(0x2000, "square", APP, 8, "/src/math.h", 3, inlined=True)
READ = Frame(0xFFFF_FFFF_8100_0000, "vfs_read", "kernel", 1)

PROFILE = StackProfile(
    [
        Sample((SQUARE, WORK, MAIN), 3, "app"),
        Sample((READ, WORK, MAIN), 5, "app"),
        Sample((MAIN,), 2, "app"),
        Sample((Frame(0x99, EVIL, "/tmp/evil"), Frame(0x98, module="/lib/libx.so.1")), 1, EVIL),
    ],
    title=EVIL,
    started_ns=10**18,
    duration_ns=10**9,
    period_ns=10_101_010,
    notes=["1 stack <lost>"],
)


def test_folded_text_has_a_line_a_stack() -> None:
    lines = PROFILE.folded().splitlines()
    assert "app;main;work;square 3" in lines
    assert "app;main;work;vfs_read 5" in lines
    assert "app;main 2" in lines
    assert len(lines) == 4
    (evil,) = (each for each in lines if "script" in each)
    assert evil.count(";") == 2
    assert "[libx.so.1]" in evil
    assert evil.isprintable()


def test_equal_stacks_are_one_line() -> None:
    profile = StackProfile([Sample((MAIN,), 1), Sample((MAIN._replace(address=0x1004),), 2)])
    assert profile.folded() == "main 3\n"


def _boxes(root: ElementTree.Element) -> Iterator[tuple[str, float, float, float]]:
    for group in root.iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        if title is not None and rect is not None:
            x, y, width = (float(rect.attrib[name]) for name in ("x", "y", "width"))
            yield str(title.text), x, y, width


def test_a_flame_graph_has_callees_on_callers_as_wide_as_their_value() -> None:
    root = ElementTree.fromstring(PROFILE.flame_graph())
    assert root.tag == f"{SVG}svg"
    boxes = {title.partition(" (")[0]: place for title, *place in _boxes(root)}
    assert set(boxes) >= {"all", "app", "main", "work", "square", "vfs_read", "[libx.so.1]"}
    assert boxes["main"][2] / boxes["all"][2] == pytest.approx(10 / 11, rel=1e-3)
    for inner, outer in (("work", "main"), ("square", "work"), ("vfs_read", "work")):
        left, top, size = boxes[inner]
        below = boxes[outer]
        assert below[1] - top == 18
        assert below[0] - 0.01 <= left
        assert left + size <= below[0] + below[2] + 0.01
    titles = [title for title, *_ in _boxes(root)]
    assert "vfs_read (5, 45.45%)" in titles


def test_names_cannot_get_out_of_a_flame_graph() -> None:
    for text in (PROFILE.flame_graph(), PROFILE.flame_graph_page()):
        assert text.count("<script") == 1
        assert "alert(" in text
        assert "<script>alert" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
    assert ElementTree.fromstring(PROFILE.flame_graph()) is not None
    assert "1 stack &lt;lost&gt;" in PROFILE.flame_graph()


def test_an_empty_profile_is_a_picture_too() -> None:
    assert ElementTree.fromstring(StackProfile([]).flame_graph()) is not None
    assert StackProfile([]).folded() == ""
    assert json.loads(StackProfile([]).speedscope())["profiles"][0]["samples"] == []
    assert _read(gzip.decompress(StackProfile([]).pprof()))


def test_speedscope_has_frames_by_number_outermost_first() -> None:
    document = json.loads(PROFILE.speedscope())
    frames = document["shared"]["frames"]
    (profile,) = document["profiles"]
    names = [[frames[index]["name"] for index in stack] for stack in profile["samples"]]
    assert names[0] == ["app", "main", "work", "square"]
    assert profile["weights"] == [3, 5, 2, 1]
    assert profile["endValue"] == 11
    main = next(each for each in frames if each["name"] == "main")
    assert (main["file"], main["line"]) == ("/src/app.c", 10)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[place] & 0x7F) << shift
        shift += 7
        place += 1
        if data[place - 1] < 0x80:
            return value, place


def _read(data: bytes) -> dict[int, list[Any]]:
    """A protocol buffer's fields by number."""
    fields: dict[int, list[Any]] = defaultdict(list)
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        value, place = _varint(data, place)
        if key & 7 == 2:
            fields[key >> 3].append(data[place : place + value])
            place += value
        else:
            fields[key >> 3].append(value)
    return fields


def _numbers(data: bytes) -> list[int]:
    found, place = [], 0
    while place < len(data):
        value, place = _varint(data, place)
        found.append(value)
    return found


def test_pprof_has_inlined_functions_as_lines_of_one_location() -> None:
    fields = _read(gzip.decompress(PROFILE.pprof()))
    strings = [each.decode("utf-8", "replace") for each in fields[6]]
    functions = {each[1][0]: strings[each[2][0]] for each in map(_read, fields[5])}
    locations = {each[1][0]: each for each in map(_read, fields[4])}
    first = _read(fields[2][0])
    assert _numbers(first[2][0]) == [3]
    places = [locations[number] for number in _numbers(first[1][0])]
    lines = [[_read(line) for line in place[4]] for place in places]
    names = [[functions[line[1][0]] for line in each] for each in lines]
    assert names == [["square", "work"], ["main"]]
    assert [line[2][0] for line in lines[0]] == [3, 20]
    assert places[0][3] == [0x2000]
    mapping = {each[1][0]: strings[each[5][0]] for each in map(_read, fields[3])}
    assert mapping[places[0][2][0]] == APP
    kinds = _read(fields[1][0])
    assert (strings[kinds[1][0]], strings[kinds[2][0]]) == ("samples", "count")
    assert (fields[9], fields[10], fields[12]) == ([10**18], [10**9], [10_101_010])
    assert strings[0] == ""


def test_the_name_of_a_file_says_the_format(tmp_path: Path) -> None:
    begins = {
        "a.svg": b"<svg",
        "a.html": b"<!DOCTYPE html>",
        "a.folded": b"?",
        "a.txt": b"?",
        "a.pb.gz": b"\x1f\x8b",
        "a.json": b"{",
    }
    for name, beginning in begins.items():
        PROFILE.save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        assert content.startswith(beginning) or beginning == b"?"
    with pytest.raises(ValueError, match=r"ends with one of \.svg"):
        PROFILE.save(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_the_top_tells_what_was_in_functions_alone_and_below_them() -> None:
    rows = {name: (alone, within) for name, alone, within in PROFILE.top()}
    assert rows["vfs_read"] == (5, 5)
    assert rows["main"] == (2, 10)
    assert rows["work"] == (0, 8)
    assert PROFILE.top()[0][0] == "vfs_read"
