"""What is pinned where libraries are is untrusted: one error of ours, and no descriptor left."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import KernelError, MapMismatchError, ObjectFormatError, OsmiaError
from osmia.kernel.libraries import listing, record
from osmia.kernel.libraries.places import file_of
from osmia.kernel.load.loaded import KernelObject
from osmia.object.uapi import MapType

pytestmark = pytest.mark.kernel

HEADER = struct.Struct("<8sIIQ32sQ32s256s")


@pytest.fixture
def place(loaded: KernelObject, root: Path) -> Path:
    """The directory of a library that is whole."""
    return osmia.publish(loaded, "conntrack", root=root).path


@pytest.fixture
def chunks(place: Path) -> list[bytes]:
    """The bytes of its object's map."""
    with osmia.Map.from_pin(place / "object") as stored:
        return [stored[index] for index in range(stored.max_entries)]


def replace_object(place: Path, chunks: list[bytes], **options: Any) -> None:
    """Pin a map with other bytes in its place."""
    shape = {"key_size": 4, "value_size": 4096, "max_entries": len(chunks), **options}
    (place / "object").unlink()
    with osmia.Map.create(shape.pop("type", MapType.ARRAY), **shape) as made:
        for index, chunk in enumerate(chunks):
            made[index] = chunk
        made.pin(place / "object")


def header(old: bytes, **changes: Any) -> bytes:
    names = ("magic", "format", "chunk", "length", "digest", "published", "publisher", "name")
    fields = dict(zip(names, HEADER.unpack_from(old), strict=True)) | changes
    return HEADER.pack(*fields.values()).ljust(len(old), b"\0")


def refused(place: Path, match: str, kind: type[OsmiaError] = ObjectFormatError) -> None:
    with pytest.raises(kind, match=match):
        osmia.library("conntrack", root=place.parent.parent)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"magic": b"osmialib"[::-1]}, "does not begin as osmia's do"),
        ({"format": 2, "publisher": b"9.9"}, "format 2 .* published by osmia 9.9"),
        ({"chunk": 1 << 31}, "chunks of 2147483648"),
        ({"length": 1 << 63}, "do not fit into"),
        ({"length": 100}, "digest is not that of its bytes"),
        ({"length": 0}, "digest is not that of its bytes"),
        ({"digest": bytes(32)}, "digest is not that of its bytes"),
        ({"length": 0, "digest": hashlib.sha256(b"").digest()}, "library 'conntrack'|ELF"),
    ],
)
def test_a_header_that_lies(
    changes: dict[str, Any], match: str, place: Path, chunks: list[bytes]
) -> None:
    replace_object(place, [header(chunks[0], **changes), *chunks[1:]])
    refused(place, match)


def test_text_in_a_header_is_text_whatever_its_bytes_are(place: Path, chunks: list[bytes]) -> None:
    odd = header(chunks[0], publisher=b"\xff" * 32, name=b"\x1b[2J" + b"\xfe" * 252)
    replace_object(place, [odd, *chunks[1:]])
    with osmia.library("conntrack", root=place.parent.parent) as lib:
        assert lib.object.name.startswith("\x1b[2J\ufffd")
        assert lib.header.publisher == "\ufffd" * 32


@pytest.mark.parametrize(
    "shape",
    [{"type": MapType.HASH}, {"value_size": 8}, {"value_size": 8192}, {"max_entries": 16386}],
)
def test_a_map_of_another_shape(shape: dict[str, Any], place: Path) -> None:
    replace_object(place, [], **{"max_entries": 1, **shape})
    refused(place, "is not one that osmia keeps objects in")
    (info,) = listing.published(place.parent.parent)
    assert "is not one that osmia keeps objects in" in info.problem


def test_changed_bytes(place: Path, chunks: list[bytes]) -> None:
    changed = chunks[1][:100] + bytes([chunks[1][100] ^ 1]) + chunks[1][101:]
    replace_object(place, [chunks[0], changed, *chunks[2:]])
    refused(place, "digest is not that of its bytes")


def test_damaged_objects_with_the_right_digest(place: Path, chunks: list[bytes]) -> None:
    length = HEADER.unpack_from(chunks[0])[3]
    data = b"".join(chunks[1:])[:length]
    source = random.Random(11)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(source.randint(1, 8)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        padded = bytes(damaged).ljust((len(chunks) - 1) * 4096, b"\0")
        parts = [padded[at : at + 4096] for at in range(0, len(padded), 4096)]
        digest = hashlib.sha256(damaged).digest()
        replace_object(place, [header(chunks[0], digest=digest), *parts])
        try:
            with osmia.library("conntrack", root=place.parent.parent) as lib:
                for name in lib.maps:
                    lib.maps[name].info  # noqa: B018
                dict(lib.data)
        except (OsmiaError, KeyError):
            pass


def test_a_program_where_the_object_should_be(loaded: KernelObject, place: Path) -> None:
    (place / "object").unlink()
    loaded.programs["ingress"].pin(place / "object")
    refused(place, "it is a program, not a map", KernelError)


def test_a_version_without_an_object(place: Path) -> None:
    (place / "object").unlink()
    refused(place, "ENOENT", KernelError)
    (info,) = listing.published(place.parent.parent)
    assert info.header is None
    assert "ENOENT" in info.problem


def test_maps_that_are_not_as_the_object_defines_them(place: Path) -> None:
    path = place / "maps" / file_of(".bss")
    path.unlink()
    with osmia.Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as other:
        other.pin(path)
    refused(place, "value size 8 in the object, 4 in the map", MapMismatchError)


def test_a_map_that_is_gone_is_missed_when_it_is_asked_for(place: Path) -> None:
    (place / "maps" / "flows").unlink()
    with osmia.library("conntrack", root=place.parent.parent) as lib:
        assert set(lib.maps) == {".rodata", ".bss", ".data.custom"}
        with pytest.raises(KeyError, match="no map 'flows'"):
            lib.maps["flows"]


def test_what_else_lies_there_is_no_library(loaded: KernelObject, root: Path) -> None:
    osmia.publish(loaded, "conntrack", root=root)
    (root / "empty").mkdir()
    (root / "conntrack" / "0x10").mkdir()
    (root / "conntrack" / "99999999999").mkdir()
    loaded.maps["flows"].pin(root / "file")
    assert [each.name for each in listing.published(root)] == ["conntrack"]
    for name in ("empty", "file"):
        with pytest.raises(KernelError, match="ENOENT"):
            osmia.library(name, root=root)
    assert osmia.publish(loaded, "empty", root=root).version == 1


@pytest.fixture
def too_large() -> Iterator[int]:
    before = record.MAX_LENGTH
    record.MAX_LENGTH = 1000
    yield 1000
    record.MAX_LENGTH = before


def test_an_object_that_is_too_large_is_not_published(
    too_large: int, loaded: KernelObject, root: Path
) -> None:
    with pytest.raises(ObjectFormatError, match="a library has up to 1,000"):
        osmia.publish(loaded, "conntrack", root=root)
    assert not root.exists()


def test_a_library_whose_directory_was_removed_by_hand_is_gone(place: Path) -> None:
    shutil.rmtree(place)
    refused(place, "nothing is published", KernelError)
