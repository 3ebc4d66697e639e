"""Objects to make images of, a cache of the test's own, and a registry on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from osmia.toolchain import compile as compile_source

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");
int limit = 3;
SEC("xdp") int ingress(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);
	if (count && ++*count > limit)
		return XDP_DROP;
	return XDP_PASS;
}
SEC("tcx/egress") int egress(struct __sk_buff *skb) { return 0; }
char L[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="session")
def content() -> bytes:
    return compile_source(SOURCE).data


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "limit.bpf.o"
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    monkeypatch.delenv("OSMIA_CACHE", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return place


class RunningRegistry:
    """Debian's docker-registry on a free port of loopback, with its files in `root`."""

    def __init__(self, host: str, root: Path) -> None:
        self.host, self.root = host, root

    def blob(self, digest: str) -> Path:
        """The file that the registry has a blob in."""
        digits = digest.partition(":")[2]
        return self.root / "docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"


def started(held: ExitStack, tmp_path: Path, more: str = "", before: str = "") -> RunningRegistry:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = tmp_path / "registry"
    root.mkdir()
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n{more}"
    )
    command = ["docker-registry", "serve", str(config)]
    if before:
        command = [
            "unshare",
            "-m",
            "sh",
            "-c",
            f"{before.format(root=root)} && exec {' '.join(command)}",
        ]
    log = held.enter_context((tmp_path / "registry.log").open("wb"))
    process = held.enter_context(
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    )
    held.callback(os.killpg, process.pid, signal.SIGKILL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return RunningRegistry(f"127.0.0.1:{port}", root)
        time.sleep(0.05)
    pytest.fail((tmp_path / "registry.log").read_text())


@pytest.fixture
def start_registry(tmp_path: Path) -> Iterator[Callable[..., RunningRegistry]]:
    """`more` is further configuration, `before` a shell command in a mount namespace of its own."""
    with ExitStack() as held:
        yield lambda more="", before="": started(held, tmp_path, more, before)


@pytest.fixture
def registry(start_registry: Callable[..., RunningRegistry]) -> RunningRegistry:
    return start_registry()
