"""What tests of kept loads share: a small object, a cache of their own, a memory without files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.formats import open as reader
from osmia.prepared import identities
from osmia.prepared.unread import UnreadObject
from osmia.toolchain import compile as compile_source

Forget = Callable[[], None]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32);
         __type(value, __u64); } flows SEC(".maps");
const volatile int limit = 7;
const volatile int unused = 9;
int started = 3;
long packets;
static __noinline int above(int size) { return size > limit; }
SEC("xdp") int ingress(struct xdp_md *ctx) {
    __u32 zero = 0;
    packets += started;
    if (bpf_map_lookup_elem(&flows, &zero)) return XDP_DROP;
    return above(ctx->data_end - ctx->data) ? XDP_PASS : XDP_ABORTED;
}
SEC("tc") int egress(struct __sk_buff *skb) { return 0; }
"""


def is_unread(obj: object) -> bool:
    """Whether an Object has not been read yet, which `isinstance` does not tell."""
    return type(obj) is UnreadObject


@pytest.fixture(scope="session")
def _small() -> bytes:
    return compile_source(SOURCE).data


@pytest.fixture
def small(_small: bytes, tmp_path: Path) -> Path:
    """A compiled object with a map, data sections of each kind, and two programs."""
    path = tmp_path / "small.bpf.o"
    path.write_bytes(_small)
    return path


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where loads are kept: nothing is there yet, and nothing is remembered in the process."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    monkeypatch.delenv("OSMIA_CACHE", raising=False)
    monkeypatch.delenv("LIBBPF_BPF_TOKEN_PATH", raising=False)
    monkeypatch.setattr(reader, "_remembered", {})
    monkeypatch.setattr(identities, "_known", {})
    return place / "osmia" / "prepared"


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Forget:
    """`forget()`: what this process has read is as in a new one."""

    def again() -> None:
        monkeypatch.setattr(reader, "_remembered", {})
        monkeypatch.setattr(identities, "_known", {})

    return again
