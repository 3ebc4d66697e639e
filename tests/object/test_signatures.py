"""Signatures of objects: what was signed is loaded, what was changed since is not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia import images
from osmia.images.opening import signatures_of
from osmia.object.signatures import kept_signatures, new_key, sign, sign_file, signers, verify
from osmia.toolchain import compile as compile_source

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
int limit = 3;
SEC("xdp") int ingress(struct xdp_md *ctx) { return limit; }
char L[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def content() -> bytes:
    return compile_source(SOURCE).data


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "limit.bpf.o"
    path.write_bytes(content)
    return path


PRIVATE, PUBLIC = new_key()
OTHER_PRIVATE, OTHER_PUBLIC = new_key()


@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_a_signed_object_is_loaded_where_a_signature_is_required(file: Path, engine: str) -> None:
    sign_file(file, osmia.open(file), PRIVATE)
    with osmia.open(file).load(engine, require_signature=PUBLIC) as bpf:
        assert bpf.programs["ingress"].run(bytes(64)).retval == 3


def test_an_object_without_a_signature_is_not_loaded(file: Path) -> None:
    with pytest.raises(osmia.NotSignedError, match=r"limit.bpf.o is not signed"):
        osmia.open(file).load("vm", require_signature=PUBLIC)
    with pytest.raises(osmia.NotSignedError, match="object is not signed"):
        osmia.open(file.read_bytes()).load("vm", require_signature=PUBLIC)


def _edit_data(obj: osmia.Object) -> None:
    obj.data["limit"] = 4


def _edit_license(obj: osmia.Object) -> None:
    obj.license = "MIT"


def _edit_autoload(obj: osmia.Object) -> None:
    obj.set_autoload("ingress", False)


@pytest.mark.parametrize("edit", [_edit_data, _edit_license, _edit_autoload])
def test_an_object_that_was_changed_since_is_not_loaded(
    file: Path, edit: Callable[[osmia.Object], None]
) -> None:
    sign_file(file, osmia.open(file), PRIVATE)
    obj = osmia.open(file)
    edit(obj)
    with pytest.raises(osmia.NotSignedError, match="is not what was signed"):
        obj.load("vm", require_signature=PUBLIC)
    verify(obj, PUBLIC, sign(obj, PRIVATE))


def test_a_file_that_was_written_anew_and_says_the_same_is_signed_still(file: Path) -> None:
    obj = osmia.open(file)
    sign_file(file, obj, PRIVATE)
    again = osmia.open(obj.to_bytes())
    assert again.digest == obj.digest
    verify(again, PUBLIC, kept_signatures(file))


def test_another_key_s_signature_does_not_do(file: Path) -> None:
    sign_file(file, osmia.open(file), OTHER_PRIVATE)
    with pytest.raises(osmia.NotSignedError, match="not by the key that is required"):
        osmia.open(file).load("vm", require_signature=PUBLIC)
    sign_file(file, osmia.open(file), PRIVATE)  # both stay
    for key in (PUBLIC, OTHER_PUBLIC):
        verify(osmia.open(file), key)
    assert len(signers(kept_signatures(file))) == 2


def test_signatures_of_what_a_file_was_before_go(file: Path, content: bytes) -> None:
    sign_file(file, osmia.open(file), OTHER_PRIVATE)
    obj = osmia.open(file)
    obj.data["limit"] = 9
    sign_file(file, obj, PRIVATE)
    assert len(signers(kept_signatures(file))) == 1


def _change(text: str, **changes: object) -> str:
    said = json.loads(text)
    said["signatures"][0].update(changes)
    return json.dumps(said)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "{",
        lambda text: "[]",
        lambda text: "7",
        lambda text: "[" * 10_000,
        lambda text: " " * 100_000,
        lambda text: _change(text, ed25519=""),
        lambda text: _change(text, ed25519="AAAA"),
        lambda text: _change(text, ed25519="ä"),
        lambda text: _change(text, ed25519=7),
        lambda text: json.dumps(json.loads(text) | {"signatures": {"a": 1}}),
    ],
)
def test_signatures_that_are_none_are_one_error(file: Path, damage: Callable[[str], str]) -> None:
    obj = osmia.open(file)
    with pytest.raises(osmia.NotSignedError):
        verify(obj, PUBLIC, damage(sign(obj, PRIVATE)))


def test_a_signature_of_another_object_is_wrong_under_this_one_s_digest(file: Path) -> None:
    obj, other = osmia.open(file), osmia.open(file)
    other.data["limit"] = 4
    forged = json.loads(sign(other, PRIVATE)) | {"digest": obj.digest}
    with pytest.raises(osmia.NotSignedError, match="by the required key is wrong"):
        verify(obj, PUBLIC, json.dumps(forged))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"x", "it is no PEM of one"),
        (PRIVATE, "it is no PEM of one"),
        ("rsa", "it is one of another kind"),
    ],
)
def test_what_is_no_public_key_is_refused(
    file: Path, tmp_path: Path, key: bytes | str, why: str
) -> None:
    if isinstance(key, str):
        private, public = tmp_path / "rsa", tmp_path / "rsa.pub"
        for command in (
            ["openssl", "genrsa", "-out", str(private), "2048"],
            ["openssl", "rsa", "-in", str(private), "-pubout", "-out", str(public)],
        ):
            subprocess.run(command, check=True, capture_output=True)
        key = str(public)
    with pytest.raises(ValueError, match=f"is no public Ed25519 key: {why}"):
        osmia.open(file).load("vm", require_signature=key)


def test_a_key_that_openssl_made_signs(file: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "k", tmp_path / "k.pub"
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)],
        ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    sign_file(file, osmia.open(file), private)
    verify(osmia.open(file), public)


def test_a_fifo_beside_an_object_keeps_nobody_waiting(file: Path) -> None:
    os.mkfifo(f"{file}.sig")
    with pytest.raises(osmia.NotSignedError, match=r"limit.bpf.o is not signed"):
        osmia.open(file).load("vm", require_signature=PUBLIC)


def test_an_image_has_the_signatures_of_its_object(file: Path) -> None:
    sign_file(file, osmia.open(file), PRIVATE)
    image = images.build(file)
    verify(image.object(), PUBLIC, signatures_of(image))
