"""Images that somebody made to do harm: each is an ImageError, in little memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from osmia import images
from osmia.images import Image, ImageError, media_types
from osmia.object.signatures import public_key

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _image(layer: bytes = b"", config: Any = None, **manifest: Any) -> Image:
    blobs: dict[str, bytes] = {}

    def kept(content: bytes) -> str:
        digest = f"sha256:{sha256(content).hexdigest()}"
        blobs[digest] = content
        return digest

    said = {"os": "linux", "architecture": "amd64", "config": config}
    named = {"digest": kept(json.dumps(said).encode()), "size": 1}
    parts = [{"digest": kept(layer), "size": len(layer), "mediaType": LAYER}]
    whole = {"schemaVersion": 2, "config": named, "layers": parts, **manifest}
    return Image(kept(json.dumps(whole).encode()), blobs)


def _tar(*entries: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in entries:
            archive.addfile(each, io.BytesIO(bytes(each.size)))
    return out.getvalue()


def _with_size(size: int) -> bytes:
    header = bytearray(tarfile.TarInfo("x.o").tobuf(format=tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" + (size & ((1 << 88) - 1)).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def test_a_file_of_holes_is_no_object() -> None:
    entry = tarfile.TarInfo("x.o")
    entry.size = 1
    entry.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "x.o",
        "GNU.sparse.size": str(1 << 40),
        "GNU.sparse.map": f"{(1 << 40) - 1},1",
    }
    with pytest.raises(ImageError, match="this one 0"):
        _image(gzip.compress(_tar(entry))).object_file()


@pytest.mark.parametrize("size", [-512, -1 << 40])
def test_a_tar_that_goes_backwards_is_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="an entry of -"):
        _image(gzip.compress(_with_size(size))).object_file()
    (tmp_path / "layout.tar").write_bytes(_with_size(size))
    with pytest.raises(ImageError, match="an entry of -"):
        images.read(tmp_path / "layout.tar")


def test_links_in_a_layout_are_not_followed(tmp_path: Path) -> None:
    link = tarfile.TarInfo("oci-layout")
    link.type, link.linkname = tarfile.SYMTYPE, "oci-layout"
    (tmp_path / "layout.tar").write_bytes(_tar(link))
    with pytest.raises(ImageError, match="no OCI layout"):
        images.read(tmp_path / "layout.tar")


def test_a_directory_in_the_place_of_a_file_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").mkdir()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(ImageError, match="is a directory"):
        images.read(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_labels_and_annotations_are_objects() -> None:
    with pytest.raises(ImageError, match="labels are no JSON object"):
        _image(config={"Labels": ["x"]}).labels()
    with pytest.raises(ImageError, match="annotations are no JSON object"):
        _image(annotations=["x"]).annotations()


def test_an_image_is_bounded_as_a_whole(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.build(file).save(tmp_path / "layout")
    monkeypatch.setattr(media_types, "LARGEST_IMAGE", 100)
    with pytest.raises(ImageError, match="has more than 100 bytes"):
        images.read(tmp_path / "layout")


@pytest.mark.parametrize("name", ["limit", "limit.elf"])
def test_an_object_of_any_name_is_found_in_its_image(file: Path, name: str) -> None:
    other = file.with_name(name)
    other.write_bytes(file.read_bytes())
    assert images.build(other).object_file() == (f"{name}.bpf.o", file.read_bytes())


def test_a_key_of_an_unknown_kind_is_a_value_error() -> None:
    text = "MCowBQYDK2V/AyEA" + "A" * 43 + "="
    with pytest.raises(ValueError, match="one of another kind"):
        public_key(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n".encode())
