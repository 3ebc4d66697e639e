"""`osmia image` and `osmia sign`, as they are typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from osmia.images.building import own_platform

from ..images.conftest import RunningRegistry, started
from .conftest import Result

Osmia = Callable[..., Result]


@pytest.fixture
def running_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningRegistry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with ExitStack() as held:
        yield started(held, tmp_path)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_object_becomes_an_image_that_says_what_it_has(osmia: Osmia, compiled: Path) -> None:
    built = osmia("-j", "image", "build", compiled, "-t", "host.example/count:1")
    assert built.status == 0
    assert built.json["layout"] == "counter.oci.tar"
    shown = osmia("-j", "image", "inspect", "counter.oci.tar", "--image", "host.example/count:1")
    assert shown.json["digest"] == built.json["digest"]
    assert shown.json["programs"]["count"] == "xdp"
    assert shown.json["signed_by"] == []
    text = osmia("image", "inspect", "counter.oci.tar", "--image", "host.example/count:1").lines
    assert text[0] == built.json["digest"]
    assert any(line.split() == ["object:", "counter.bpf.o"] for line in text)


def test_an_image_is_right_or_it_is_said_what_is_wrong(osmia: Osmia, compiled: Path) -> None:
    osmia("image", "build", compiled, "-o", "layout")
    assert osmia("image", "verify", "layout").status == 0
    blob = max(Path("layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes() + b"x")
    found = osmia("image", "verify", "layout")
    assert (found.status, found.err[:32]) == (1, f"osmia: what should be sha256:{blob.name}"[:32])


def test_files_are_signed_and_checked(osmia: Osmia, compiled: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.bpf.o"
    file.write_bytes(compiled.read_bytes())
    assert osmia("sign", "--new-key", "--key", "k.pem", file).status == 0
    assert Path("k.pem").stat().st_mode & 0o777 == 0o600
    assert osmia("sign", "--check", "k.pem.pub", file).status == 0
    again = osmia("sign", "--new-key", "--key", "k.pem")
    assert again.status == 2
    assert "k.pem is there already" in again.err
    osmia("image", "build", file, "-o", "signed.tar")
    assert osmia("image", "verify", "signed.tar", "--key", "k.pem.pub").status == 0
    Path(f"{file}.sig").unlink()
    unsigned = osmia("-j", "sign", "--check", "k.pem.pub", file)
    assert (unsigned.status, unsigned.json["signed"]) == (1, False)
    osmia("image", "build", file, "-o", "unsigned.tar")
    refused = osmia("image", "verify", "unsigned.tar", "--key", "k.pem.pub")
    assert refused.status == 1
    assert "is not signed, and a signature is required" in refused.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["image", "build"], "what goes into it is FILE"),
        (["image", "build", "x.o", "--platform", "linux/arm64=y.o"], "what goes into it is FILE"),
        (["image", "build", "--platform", "linux/arm64"], "is not --platform OS/ARCH=FILE"),
        (["image", "build", "x.o", "-t", "No"], "names no image"),
        (["image", "pull", "No"], "names no image"),
        (["sign", "x.o"], "either --key signs, or --check checks"),
        (["sign", "--key", "k.pem"], "no FILES"),
    ],
)
def test_what_makes_no_sense_is_said(osmia: Osmia, arguments: list[str], said: str) -> None:
    found = osmia(*arguments)
    assert found.status != 0
    assert said in found.err


def test_an_image_in_a_registry_is_signed_and_made_another_of(
    osmia: Osmia, compiled: Path, running_registry: RunningRegistry
) -> None:
    registry = running_registry
    name = f"{registry.host}/count:1"
    osmia("image", "build", compiled, "-t", name, "-o", "plain.tar")
    assert osmia("image", "push", "plain.tar").status == 0
    osmia("sign", "--new-key", "--key", "k.pem")
    signed = osmia("-j", "sign", "--key", "k.pem", f"oci://{name}")
    assert signed.json["signatures"] == f"{name}@{signed.json['digest']}"
    assert osmia("image", "verify", name, "--key", "k.pem.pub").status == 0
    assert osmia("sign", "--check", "k.pem.pub", f"oci://{name}").status == 0
    built = osmia("-j", "image", "build", f"oci://{name}")
    assert (built.json["layout"], built.json["digest"]) == ("count.oci.tar", signed.json["digest"])
    own = own_platform()
    both = osmia(
        *("image", "build", "--platform", f"{own}=oci://{name}", "-o", "b.tar"),
        *("--platform", f"linux/other={compiled}"),
    )
    assert both.status == 0
    shown = osmia("-j", "image", "inspect", "b.tar", "--platform", own).json
    assert set(shown["platforms"]) == {own, "linux/other"}
    assert len(shown["signed_by"]) == 1
    assert shown["signed_for_the_kernel"] is False


def test_a_manifest_has_no_anchors(osmia: Osmia) -> None:
    where = ("--kind", "daemonset", "--scheduler", "tls://scheduler:8786")
    made = osmia("image", "manifest", "registry.example/worker:1", *where)
    assert made.status == 0
    assert "kind: DaemonSet" in made.out
    assert "&" not in made.out
    assert "*" not in made.out
