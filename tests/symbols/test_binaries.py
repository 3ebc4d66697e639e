"""Files that are not what they claim: no names, and nothing worse."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from osmia.symbols.binaries import Binary
from osmia.symbols.demangling import demangled
from osmia.symbols.foreign_files import open_regular
from osmia.symbols.jit_map import parse_jit_map
from osmia.symbols.memory_maps import MemoryMaps

from .conftest import Compile


def _looked_at(path: Path) -> None:
    binary = Binary(os.open(path, os.O_RDONLY), str(path))
    assert isinstance(binary.build_id, str)
    for offset in range(0x1000, 0x1400, 32):
        if (image := binary.image_address(offset)) is not None:
            assert binary.frames(image, image, image)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_are_survived(
    build: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    whole = build("places.c", "-g", "-O2", "-w").read_bytes()
    chance = random.Random(seed)
    path = tmp_path / "damaged"
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20, 300))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        _looked_at(path)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + bytes(60), b"x" * 5000])
def test_what_is_no_elf_file_has_no_names(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    _looked_at(path)


def test_a_name_cannot_stand_for_gigabytes() -> None:
    # Each level names the one before twice.
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    levels = "".join(f"S_IS{digit}_S{digit}_E" for digit in digits)
    name = f"_Z1fSt4pairIiiE{levels}"
    assert demangled(name) == name
    assert len(demangled(f"_Z1f{'P' * 4000}i")) <= 4096
    assert demangled("plain") == "plain"
    assert demangled("_Znonsense") == "_Znonsense"


def test_rust_names_are_demangled() -> None:
    assert demangled("_ZN4core3fmt5write17h0123456789abcdefE") == "core::fmt::write"
    assert demangled("_RNvCskwGfYPst2Cb_3foo16example_function") == "foo::example_function"


def test_links_do_not_lead_out_of_a_root(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("inside")
    (tmp_path / "out").symlink_to("/etc/passwd")
    (tmp_path / "in").symlink_to("/inside")
    os.mkfifo(tmp_path / "pipe")
    for name in ("/out", "/pipe", "/missing", "/../../etc/passwd", "/"):
        assert open_regular(name, str(tmp_path)) is None, name
    fd = open_regular("/in", str(tmp_path))
    assert fd is not None
    with os.fdopen(fd) as file:
        assert file.read() == "inside"


def test_lines_of_jit_maps_that_are_none_are_passed_over() -> None:
    found = parse_jit_map(b"2000 8 b c\n\nx\n1000 8 a\n1000 zz c\n-5 8 d\n3000 0 e\n\xff 1 f\n")
    assert [(each.start, each.size, each.name) for each in found] == [
        (0x1000, 8, "a"),
        (0x2000, 8, "b c"),
    ]


def test_paths_with_odd_letters_stay_whole() -> None:
    maps = MemoryMaps(
        b"1000-2000 r-xp 00000000 08:01 7 /a b\\012c (deleted)\n"
        b"nonsense\n"
        b"3000-4000 rw-p 00000000 00:00 0 [heap]\n"
    )
    found = maps.find(0x1FFF)
    assert found is not None
    assert (found.path, found.deleted, found.executable) == ("/a b\nc", True, True)
    assert maps.find(0x2000) is None
    assert maps.find(0x3000) is not None
