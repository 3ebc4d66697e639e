"""Images and layouts: what is built is read back, what is wrong in one is found."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia import images
from osmia.images import Image, ImageError
from osmia.images.checking import faults
from osmia.images.layouts import names

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _skopeo(*arguments: str) -> Any:
    command = ["skopeo", "inspect", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


def test_the_same_object_gives_the_same_image(file: Path, tmp_path: Path) -> None:
    first, second = images.build(file), images.build(file)
    assert first.digest == second.digest
    first.save(tmp_path / "a.tar")
    second.save(tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_labels_say_programs_and_maps_as_bpfman_does(file: Path) -> None:
    image = images.build(file)
    assert json.loads(image.labels()["io.ebpf.programs"]) == {"ingress": "xdp", "egress": "tcx"}
    assert json.loads(image.labels()["io.ebpf.maps"]) == {"counts": "per_cpu_array"}


@pytest.mark.parametrize("layout", ["dir", "x.tar"])
def test_skopeo_reads_what_is_written(file: Path, tmp_path: Path, layout: str) -> None:
    image = images.build(file, annotations={"org.example.note": "n"})
    image.save(tmp_path / layout, "latest")
    transport = "oci-archive" if layout.endswith(".tar") else "oci"
    found = _skopeo(f"{transport}:{tmp_path / layout}:latest")
    assert found["Digest"] == image.digest
    assert json.loads(found["Labels"]["io.ebpf.programs"])["ingress"] == "xdp"
    raw = _skopeo("--raw", f"{transport}:{tmp_path / layout}:latest")
    assert [each["mediaType"] for each in raw["layers"]] == [LAYER]
    assert raw["annotations"] == {"org.example.note": "n"}


def test_what_skopeo_copies_is_read(file: Path, tmp_path: Path) -> None:
    images.build(file).save(tmp_path / "a", "latest")
    copied = f"oci:{tmp_path / 'b'}:other"
    subprocess.run(
        ["skopeo", "copy", f"oci:{tmp_path / 'a'}:latest", copied], check=True, capture_output=True
    )
    assert images.read(tmp_path / "b", "other").object().digest == osmia.open(file).digest


@pytest.mark.parametrize("layout", ["dir", "x.tar"])
def test_the_object_comes_back(file: Path, tmp_path: Path, layout: str) -> None:
    images.build(file).save(tmp_path / layout)
    found = images.read(tmp_path / layout)
    assert found.object_file() == ("limit.bpf.o", file.read_bytes())
    assert found.object().digest == osmia.open(file).digest


def test_an_object_that_was_edited_can_be_built(file: Path) -> None:
    obj = osmia.open(file)
    obj.data["limit"] = 7
    assert images.build(obj).object().data["limit"] == 7


def test_a_directory_holds_several_images(file: Path, tmp_path: Path) -> None:
    obj = osmia.open(file)
    obj.data["limit"] = 7
    images.build(file).save(tmp_path / "d", "a")
    images.build(obj).save(tmp_path / "d", "b")
    images.build(file).save(tmp_path / "d", "a")
    assert sorted(names(tmp_path / "d")) == ["a", "b"]
    assert images.read(tmp_path / "d", "b").object().data["limit"] == 7
    with pytest.raises(ImageError, match="has no image 'latest': b, a"):
        images.read(tmp_path / "d")


def test_a_directory_with_other_files_is_not_written_into(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(ImageError, match="is no OCI layout"):
        images.build(file).save(tmp_path / "mine")
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_an_image_of_two_platforms_has_one_for_each(file: Path, tmp_path: Path) -> None:
    image = images.build({"linux/amd64": file, "linux/arm64": file})
    assert image.platforms == ("linux/amd64", "linux/arm64")
    image.save(tmp_path / "x.tar")
    found = images.read(tmp_path / "x.tar")
    assert found.digest == image.digest
    assert found.object("linux/arm64").digest == osmia.open(file).digest
    with pytest.raises(ImageError, match="has nothing for linux/s390x: linux/amd64, linux/arm64"):
        found.object("linux/s390x")


def test_an_object_of_the_other_byte_order_is_no_image_of_the_platform(file: Path) -> None:
    with pytest.raises(ImageError, match="little-endian, linux/s390x is big-endian"):
        images.build({"linux/s390x": file})


def _without(image: Image, change: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    """Blobs of an image whose manifest was changed, in their order: the manifest's digest last."""
    manifest = json.loads(image.blobs[image.digest])
    change(manifest)
    blobs = {key: value for key, value in image.blobs.items() if key != image.digest}
    return blobs | _blob(json.dumps(manifest).encode())


def _blob(content: bytes) -> dict[str, bytes]:
    return {f"sha256:{sha256(content).hexdigest()}": content}


def _layer(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _with_layer(image: Image, layer: bytes) -> Image:
    blob = _blob(layer)
    (digest,) = blob

    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"] = [{"mediaType": LAYER, "digest": digest, "size": len(layer)}]

    blobs = _without(image, change) | blob
    (found,) = [key for key, value in blobs.items() if b'"schemaVersion"' in value]
    return Image(found, blobs)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(layers=m["layers"] * 2),
        lambda m: m.update(layers=[]),
        lambda m: m.update(layers=7),
        lambda m: m["layers"][0].update(mediaType="application/vnd.oci.image.layer.v1.tar+zstd"),
        lambda m: m["layers"][0].update(digest="sha256:" + "0" * 64),
        lambda m: m["layers"][0].update(digest="../../etc/passwd"),
        lambda m: m["layers"][0].update(size=1 << 40),
        lambda m: m["layers"][0].update(size="1"),
        lambda m: m.update(config=None),
        lambda m: m.update(mediaType="text/html"),
        lambda m: m.update(mediaType=["x"]),
    ],
)
def test_a_manifest_that_is_wrong_is_one_error(
    file: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    blobs = _without(images.build(file), change)
    with pytest.raises(ImageError):
        Image(list(blobs)[-1], blobs).object_file()


@pytest.mark.parametrize(
    "layer",
    [
        b"",
        b"no gzip",
        gzip.compress(b"no tar" * 200),
        gzip.compress(b"\0" * 1024)[:-9],
        _layer(),
        _layer(("a.o", b"1"), ("b.o", b"2")),
        _layer(("in/a.o", b"1")),
    ],
    ids=["empty", "no gzip", "no tar", "cut", "no file", "two objects", "not at the root"],
)
def test_a_layer_that_is_wrong_is_one_error(file: Path, layer: bytes) -> None:
    with pytest.raises(ImageError):
        _with_layer(images.build(file), layer).object_file()


def test_files_beside_the_object_are_no_matter(file: Path) -> None:
    layer = _layer(("./x.o", file.read_bytes()), ("README", b"x"), ("more/y.o", b"x"))
    assert _with_layer(images.build(file), layer).object_file() == ("x.o", file.read_bytes())


def test_a_layer_that_unpacks_to_too_much_is_not_unpacked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osmia.images.media_types.LARGEST_OBJECT", 1 << 20)
    layer = _layer(("a.o", bytes(1 << 21)))
    with pytest.raises(ImageError, match="unpacks to more than 1,048,576 bytes"):
        _with_layer(images.build(file), layer).object_file()


def test_a_blob_that_was_changed_on_disk_is_found(file: Path, tmp_path: Path) -> None:
    image = images.build(file)
    image.save(tmp_path / "d")
    layer = json.loads(image.blobs[image.digest])["layers"][0]["digest"]
    path = tmp_path / "d/blobs/sha256" / layer.partition(":")[2]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ImageError, match=f"what should be {layer} is sha256:"):
        images.read(tmp_path / "d")


def test_a_blob_that_was_changed_on_disk_is_written_again(file: Path, tmp_path: Path) -> None:
    image = images.build(file)
    image.save(tmp_path / "d")
    path = tmp_path / "d/blobs/sha256" / image.digest.partition(":")[2]
    path.write_bytes(b"{}")
    image.save(tmp_path / "d")
    assert images.read(tmp_path / "d").digest == image.digest


def test_a_link_in_the_place_of_a_blob_is_replaced(file: Path, tmp_path: Path) -> None:
    image = images.build(file)
    image.save(tmp_path / "d")
    path = tmp_path / "d/blobs/sha256" / image.digest.partition(":")[2]
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"mine")
    path.symlink_to(tmp_path / "elsewhere")
    image.save(tmp_path / "d")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert images.read(tmp_path / "d").digest == image.digest


def test_a_part_is_hashed_once_and_again_when_it_was_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images.build(file)
    hashed = []

    def counting(content: bytes) -> str:
        hashed.append(content)
        return f"sha256:{sha256(content).hexdigest()}"

    layer = json.loads(image.blobs[image.digest])["layers"][0]["digest"]
    monkeypatch.setattr("osmia.images.image.digest_of", counting)
    for _ in range(3):
        image.object_file()
    assert len(hashed) == 1
    image.blobs[layer] += b"x"
    with pytest.raises(ImageError, match=f"what should be {layer} is sha256:"):
        image.object_file()


@pytest.mark.parametrize(
    "content", [b"", b"not a tar", bytes(2048)], ids=["empty", "text", "zeros"]
)
def test_a_file_that_is_no_layout_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(ImageError, match="is no OCI layout"):
        images.read(tmp_path / "x.tar")


def test_a_blob_that_is_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    image = images.build(file)
    image.save(tmp_path / "d")
    path = tmp_path / "d/blobs/sha256" / image.digest.partition(":")[2]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        images.read(tmp_path / "d")


def test_labels_that_say_something_else_than_the_object_are_faults(file: Path) -> None:
    image = images.build(file)
    assert faults(image) == []
    manifest = json.loads(image.blobs[image.digest])
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    config["config"]["Labels"]["io.ebpf.programs"] = '{"ingress":"tc","egress":"tcx"}'
    blob = _blob(json.dumps(config).encode())
    (digest,) = blob
    blobs = _without(image, lambda m: m["config"].update(digest=digest)) | blob
    (top,) = [key for key, value in blobs.items() if b'"schemaVersion"' in value]
    assert faults(Image(top, blobs)) == [
        "linux/amd64: the label io.ebpf.programs says ingress: tc, the object has xdp"
    ]
