"""Images that are signed where they are, and images made of images."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

import osmia
from osmia import images
from osmia.errors import NotSignedError, NotSupportedError
from osmia.images import Image, ImageError
from osmia.images.checking import faults
from osmia.images.image import SIGNATURE
from osmia.images.opening import signatures_of
from osmia.object.signatures import new_key, sign_file, signers

from .conftest import RunningRegistry


@pytest.fixture
def keys() -> tuple[bytes, bytes]:
    return new_key()


def test_an_image_is_signed_as_a_file_is(file: Path, keys: tuple[bytes, bytes]) -> None:
    secret, public = keys
    plain = images.build(file, annotations={"a": "b"})
    signed = images.sign(plain, secret)
    assert faults(signed, public) == []
    assert "is not signed" in faults(plain, public)[0]
    sign_file(file, osmia.open(file), secret)
    assert images.build(file, annotations={"a": "b"}).digest == signed.digest
    assert signed.object_file() == plain.object_file()


def test_each_platform_is_signed_and_others_signatures_stay(
    file: Path, keys: tuple[bytes, bytes]
) -> None:
    image = images.build({"linux/amd64": file, "linux/arm64": file})
    other, public = new_key()
    signed = images.sign(images.sign(image, keys[0]), other)
    assert signed.platforms == image.platforms
    for platform in signed.platforms:
        assert len(signers(signatures_of(signed, platform))) == 2
    assert faults(signed, keys[1]) == faults(signed, public) == []


def test_what_osmia_does_not_know_stays_in_an_index(file: Path, keys: tuple[bytes, bytes]) -> None:
    image = images.build({"linux/amd64": file, "linux/arm64": file})
    index = json.loads(image.blobs[image.digest])
    attestation = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{'0' * 64}",
        "size": 7,
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    index["manifests"].append(attestation)
    index["annotations"] = {"mine": "1"}
    content = json.dumps(index).encode()
    digest = f"sha256:{sha256(content).hexdigest()}"
    signed = images.sign(Image(digest, {**image.blobs, digest: content}), keys[0])
    found = json.loads(signed.blobs[signed.digest])
    assert attestation in found["manifests"]
    assert found["annotations"] == {"mine": "1"}
    assert faults(signed, keys[1]) == []


def test_a_file_s_image_and_an_image_s_image_are_one(registry: RunningRegistry, file: Path) -> None:
    secret, _ = new_key()
    sign_file(file, osmia.open(file), secret)
    image = images.build(file)
    images.push(image, f"{registry.host}/limit:1")
    assert images.build(f"oci://{registry.host}/limit:1").digest == image.digest
    noted = images.build(f"oci://{registry.host}/limit@{image.digest}", annotations={"a": "b"})
    assert noted.annotations() == {**image.annotations(), "a": "b"}


def test_images_of_several_platforms_are_joined_and_taken_apart(
    registry: RunningRegistry, file: Path
) -> None:
    one = f"oci://{registry.host}/one:1"
    images.push(images.build({"linux/arm64": file}), one)
    both = images.build({"linux/amd64": file, "linux/arm64": one})
    assert both.digest == images.build({"linux/amd64": file, "linux/arm64": file}).digest
    images.push(both, f"{registry.host}/both:1")
    again = f"oci://{registry.host}/both:1"
    assert images.build(again).digest == both.digest
    assert images.build({"linux/arm64": again}).digest == images.pull(one).digest
    with pytest.raises(ImageError, match="has nothing for linux/s390x"):
        images.build({"linux/s390x": again})


@pytest.mark.kernel
def test_a_loader_that_the_kernel_checks_travels_with_the_image(
    registry: RunningRegistry, file: Path, tmp_path: Path
) -> None:
    from osmia.kernel.skeletons import signed
    from osmia.kernel.skeletons.pkcs7 import Signer

    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=osmia"
    subprocess.run(command.split(), check=True, capture_output=True, cwd=tmp_path)
    signer = Signer(tmp_path / "k.pem", tmp_path / "c.pem")
    name = f"oci://{registry.host}/limit:1"
    images.push(images.build(file), name)
    with pytest.raises(NotSignedError, match="is not signed for the kernel"):
        osmia.open(name).load(keyring="session")
    signed.sign_file(file, osmia.open(file), signer)
    beside = images.build(file)
    assert signed.sign_image(images.pull(name), signer).digest == beside.digest
    images.push(beside, name)
    obj = osmia.open(name)
    assert signed.kept_loader(obj) == signed.kept_loader(osmia.open(file))
    with pytest.raises((NotSignedError, NotSupportedError), match=r"kernel|not checked here"):
        obj.load(keyring="builtin").close()
    assert SIGNATURE not in beside.annotations()
