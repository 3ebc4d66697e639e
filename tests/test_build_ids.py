"""Build ids: what `readelf -n` says of a file, and the running kernel's."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from osmia import build_ids
from osmia.build_ids import build_id_of, kernel_build_id


def note(name: bytes, kind: int, content: bytes, order: str = "=") -> bytes:
    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    head = struct.pack(f"{order}III", len(name), len(content), kind)
    return head + padded(name) + padded(content)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_build_id_is_found_among_other_notes(order: str) -> None:
    others = note(b"GNU\0", 1, b"abi", order) + note(b"Xen\0", 3, b"12345678", order)
    notes = others + note(b"GNU\0", 3, bytes(range(20)), order) + note(b"x\0", 9, b"", order)
    assert build_id_of(notes, order) == bytes(range(20)).hex()
    assert build_id_of(memoryview(notes), order) == bytes(range(20)).hex()
    assert build_id_of(others, order) == ""


@pytest.mark.parametrize("size", [0, 2, 65, 1 << 20])
def test_an_id_of_no_usual_length_is_none(size: int) -> None:
    assert build_id_of(note(b"GNU\0", 3, bytes(size))) == ""


def test_notes_that_are_cut_off_have_none() -> None:
    whole = note(b"GNU\0", 3, bytes(20))
    for end in range(16):
        assert build_id_of(whole[:end]) == ""
    assert build_id_of(struct.pack("=III", 0xFFFF_FFFF, 0xFFFF_FFFF, 3) + bytes(64)) == ""


def test_the_running_kernel_has_the_one_of_its_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Path("/sys/kernel/notes")
    if not notes.exists() or not Path("/sys/kernel/btf/vmlinux").exists():
        pytest.skip("this kernel shows no notes, or no types")
    monkeypatch.setattr(build_ids, "_known", {})
    order = "<" if sys.byteorder == "little" else ">"
    assert kernel_build_id() == build_id_of(notes.read_bytes(), order) != ""
