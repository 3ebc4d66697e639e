"""Registries: pushed, pulled, opened; what goes wrong on the way leaves nothing half-done."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia import cache, images
from osmia.images import ImageError, RegistryError
from osmia.images.building import own_platform
from osmia.images.checking import faults
from osmia.toolchain import compile as compile_source

from .conftest import SOURCE, RunningRegistry

#: "user" and "secret", as htpasswd -B has them.
_HTPASSWD = "user:$2b$05$zpUiY3OCAj6JW1dj6vlVDexBWtw1AN2LgwSKH9Hj8ISXAMmFBVw8S\n"


def _forget() -> None:
    for kind in ("images/blobs", "images/names"):
        for path in cache.directory(kind).iterdir():
            path.unlink()


def test_what_is_pushed_is_pulled(registry: RunningRegistry, file: Path) -> None:
    image = images.build(file)
    pushed = images.push(image, f"{registry.host}/net/limit:1")
    assert str(pushed) == f"{registry.host}/net/limit:1@{image.digest}"
    found = images.pull(f"{registry.host}/net/limit:1")
    assert (found.digest, found.blobs) == (image.digest, image.blobs)
    assert images.pull(str(pushed)).digest == image.digest


def test_skopeo_reads_what_is_pushed(registry: RunningRegistry, file: Path) -> None:
    image = images.build({"linux/amd64": file, "linux/arm64": file})
    images.push(image, f"{registry.host}/limit:2")
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{registry.host}/limit:2"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["Architecture"] == "amd64"
    assert json.loads(found["Labels"]["io.ebpf.maps"]) == {"counts": "per_cpu_array"}
    assert images.pull(f"{registry.host}/limit:2").platforms == ("linux/amd64", "linux/arm64")


@pytest.mark.kernel
def test_an_object_is_opened_by_the_image_s_name_and_loaded(
    registry: RunningRegistry, file: Path
) -> None:
    digest = images.push(images.build(file), f"{registry.host}/limit").digest
    obj = osmia.open(f"oci://{registry.host}/limit")
    assert obj.path == f"oci://{registry.host}/limit:latest@{digest}/limit.bpf.o"
    assert obj.digest == osmia.open(file).digest
    for engine in ("kernel", "vm"):
        with obj.load(engine) as bpf:
            assert bpf.programs["ingress"].run(bytes(64)).verdict == "XDP_PASS"


def test_a_digest_needs_no_network_a_second_time(registry: RunningRegistry, file: Path) -> None:
    image = images.build(file)
    pushed = images.push(image, f"{registry.host}/limit:1")
    images.pull(f"{registry.host}/limit:1")
    elsewhere = f"127.0.0.1:1/limit@{pushed.digest}"  # nobody listens there
    assert images.pull(elsewhere).digest == image.digest
    assert images.pull(f"{registry.host}/limit:1", offline=True).digest == image.digest
    _forget()
    with pytest.raises(RegistryError, match="is not in the cache"):
        images.pull(f"{registry.host}/limit:1", offline=True)


def test_offline_a_digest_is_opened_and_a_tag_is_told_what_it_was_last(
    registry: RunningRegistry, file: Path
) -> None:
    image = images.build(file)
    with _Cutting(registry.host, after=1 << 20) as host:
        images.push(image, f"{host}/limit:1")
        images.pull(f"{host}/limit:1")
    named = f"{host}/limit:1@{image.digest}"
    assert osmia.open(f"oci://{named}").digest == osmia.open(file).digest
    with pytest.raises(RegistryError, match=rf"refused; what it was last is in the cache: {named}"):
        osmia.open(f"oci://{host}/limit:1")
    _forget()
    with pytest.raises(RegistryError, match=r"refused$"):
        images.pull(f"{host}/limit:1")


def test_a_name_in_the_cache_that_is_no_digest_names_nothing(
    registry: RunningRegistry, file: Path
) -> None:
    images.push(images.build(file), f"{registry.host}/limit:1")
    images.pull(f"{registry.host}/limit:1")
    for path in cache.directory("images/names").iterdir():
        path.write_bytes(b"../../blobs")
    with pytest.raises(RegistryError, match="is not in the cache"):
        images.pull(f"{registry.host}/limit:1", offline=True)


def test_objects_of_both_byte_orders_are_one_image(
    registry: RunningRegistry, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "big.bpf.o"
    content = compile_source(SOURCE, target="bpfeb").data
    other.write_bytes(content)
    image = images.build({own_platform(): file, "linux/s390x": other})
    images.push(image, f"{registry.host}/both:1")
    found = images.pull(f"{registry.host}/both:1")
    assert found.object("linux/s390x").byteorder == "big"
    assert found.object_file("linux/s390x")[1] == content
    assert osmia.open(f"oci://{registry.host}/both:1").byteorder == "little"
    assert faults(found) == []
    images.push(images.build({"linux/s390x": other}), f"{registry.host}/big:1")
    foreign = osmia.open(f"oci://{registry.host}/big:1")
    for engine in ("kernel", "vm"):
        with pytest.raises(osmia.OsmiaError, match=r"big[- ]endian"):
            foreign.load(engine).close()


def test_a_kept_part_that_was_changed_is_pulled_again(
    registry: RunningRegistry, file: Path
) -> None:
    image = images.build(file)
    images.push(image, f"{registry.host}/limit:1")
    images.pull(f"{registry.host}/limit:1")
    for path in cache.directory("images/blobs").iterdir():
        path.write_bytes(b"{}")
    assert images.pull(f"{registry.host}/limit:1").blobs == image.blobs


def test_what_is_not_there_is_said(registry: RunningRegistry) -> None:
    with pytest.raises(RegistryError, match=r"/limit: 7: there is none: manifest unknown") as told:
        images.pull(f"{registry.host}/limit:7")
    assert told.value.status == 404


def test_a_registry_that_nobody_runs_is_one_error_soon() -> None:
    with pytest.raises(RegistryError, match=r"^127.0.0.1:1/limit: latest: .*Connection refused$"):
        images.pull("127.0.0.1:1/limit")


def test_another_digest_than_was_asked_for_is_refused(
    registry: RunningRegistry, file: Path
) -> None:
    image = images.build(file)
    images.push(image, f"{registry.host}/limit:1")
    layer = json.loads(image.blobs[image.digest])["layers"][0]["digest"]
    for digest in (layer, image.digest):
        path = registry.blob(digest)
        path.write_bytes(path.read_bytes().replace(b"e", b"f"))
        with pytest.raises((ImageError, RegistryError)):
            images.pull(f"{registry.host}/limit@{image.digest}")
        assert list(cache.directory("images/blobs").iterdir()) == []
    with pytest.raises(ImageError, match="names another image"):
        images.push(image, f"{registry.host}/limit@sha256:{'0' * 64}")


def test_a_transfer_that_is_cut_leaves_nothing(registry: RunningRegistry, file: Path) -> None:
    image = images.build(file)
    images.push(image, f"{registry.host}/limit:1")
    with _Cutting(registry.host, after=900) as host:
        with pytest.raises((RegistryError, ImageError)):
            images.pull(f"{host}/limit:1")
        assert list(cache.directory("images/blobs").iterdir()) == []
        other = osmia.open(file)
        other.data["limit"] = 8
        with pytest.raises(RegistryError):
            images.push(images.build(other), f"{host}/limit:2")
    with pytest.raises(RegistryError, match="there is none"):
        images.pull(f"{registry.host}/limit:2")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system in a namespace of its own")
def test_a_registry_without_space_is_one_error(
    start_registry: Callable[..., RunningRegistry], file: Path
) -> None:
    full = start_registry(before="mount -t tmpfs -o size=4k none {root}")
    with pytest.raises(RegistryError, match=r"/limit: .*HTTP 5|Internal Server Error|no space"):
        images.push(images.build(file), f"{full.host}/limit:1")


def test_credentials_are_docker_s(
    start_registry: Callable[..., RunningRegistry], file: Path, tmp_path: Path
) -> None:
    (tmp_path / "htpasswd").write_text(_HTPASSWD)
    registry = start_registry(
        f"auth: {{htpasswd: {{realm: osmia, path: {tmp_path / 'htpasswd'}}}}}\n"
    )
    image = images.build(file)
    with pytest.raises(RegistryError, match=f"password: docker login {registry.host}"):
        images.push(image, f"{registry.host}/limit:1")
    (tmp_path / "docker").mkdir()
    secret = base64.b64encode(b"user:secret").decode()
    (tmp_path / "docker/config.json").write_text(
        json.dumps({"auths": {registry.host: {"auth": secret}}})
    )
    images.push(image, f"{registry.host}/limit:1")
    assert images.pull(f"{registry.host}/limit:1").digest == image.digest


class _Cutting:
    """A port that leads to `host` and closes each connection after so many bytes of answers or of
    requests."""

    def __init__(self, host: str, after: int) -> None:
        name, _, port = host.partition(":")
        self._target, self._after = (name, int(port)), after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(self._target) as server:
                back = threading.Thread(target=self._copy, args=(server, client))
                back.start()
                self._copy(client, server)
                back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        left = self._after
        try:
            while left > 0 and (part := source.recv(left)):
                target.sendall(part)
                left -= len(part)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
