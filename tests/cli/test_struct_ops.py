"""`osmia struct_ops`: congestion control of the tests' own, registered with and without links."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.kernel.inventory import iterate
from osmia.kernel.probes import features
from osmia.object import MapType

from .conftest import Result

pytestmark = [pytest.mark.kernel, pytest.mark.one_at_a_time("congestion-control")]
Cli = Callable[..., Result]

HEAD = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
SEC("struct_ops") __u32 BPF_PROG(ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(undo, struct sock *sk) { return 10; }
SEC("struct_ops") void BPF_PROG(avoid, struct sock *sk, __u32 ack, __u32 acked) { }
"""
OPS = """
SEC("%s") struct tcp_congestion_ops %s = {
    .ssthresh = (void *)ssthresh, .undo_cwnd = (void *)undo, .cong_avoid = (void *)avoid,
    .name = "%s",
};
"""


def source(directory: Path, *ops: tuple[str, str, str]) -> Path:
    path = directory / "control.bpf.c"
    path.write_text(HEAD + "".join(OPS % each for each in ops))
    return path


def available() -> set[str]:
    control = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    return set(control.read_text().split())


def test_what_is_registered_stays_until_it_is_unregistered(osmia: Cli, tmp_path: Path) -> None:
    path = source(tmp_path, (".struct_ops", "cli_plain", "osmia_plain"))
    registered = osmia("struct_ops", "register", path, "-v")
    assert (registered.status, registered.err) == (0, "registered cli_plain\n")
    try:
        assert "osmia_plain" in available()
        (listed,) = [
            each for each in osmia("struct_ops", "list", "-j").json if each["name"] == "cli_plain"
        ]
        assert listed["kernel_struct_ops"] == "tcp_congestion_ops"
        assert listed["state"] == "inuse"
        if shutil.which("bpftool"):
            command = ["bpftool", "-j", "struct_ops", "list", "id", str(listed["id"])]
            theirs = json.loads(subprocess.check_output(command))
            assert theirs.items() <= listed.items()
        assert "tcp_congestion_ops  inuse" in osmia("struct_ops", "list").out
        shown = osmia("struct_ops", "show", "cli_plain")
        assert "kernel_struct_ops: tcp_congestion_ops" in shown.out
    finally:
        done = osmia("struct_ops", "unregister", "name", "cli_plain")
    assert (done.status, done.err) == (0, "")
    assert "osmia_plain" not in available()


@pytest.mark.skipif(features.kernel_is_older_than("6.4"), reason="struct_ops links are since 6.4")
def test_links_are_pinned(osmia: Cli, tmp_path: Path, bpffs: Path) -> None:
    path = source(tmp_path, (".struct_ops.link", "cli_linked", "osmia_linked"))
    homeless = osmia("struct_ops", "register", path)
    assert (homeless.status, "Give a DIRECTORY" in homeless.err) == (2, True)
    assert osmia("struct_ops", "register", path, bpffs).status == 0
    assert [path.name for path in bpffs.iterdir()] == ["cli_linked"]
    assert "osmia_linked" in available()
    refused = osmia("struct_ops", "unregister", "cli_linked")
    assert (refused.status, "osmia link detach" in refused.err) == (1, True)
    assert osmia("link", "detach", bpffs / "cli_linked").status == 0
    assert "osmia_linked" not in available()


@pytest.mark.skipif(features.kernel_is_older_than("6.4"), reason="struct_ops links are since 6.4")
def test_when_one_cannot_be_registered_none_is(osmia: Cli, tmp_path: Path, bpffs: Path) -> None:
    both = [
        (".struct_ops", "cli_first", "osmia_first"),
        (".struct_ops.link", "cli_second", "osmia_second"),
    ]
    (bpffs / "cli_second").mkdir()
    failed = osmia("struct_ops", "register", source(tmp_path, *both), bpffs)
    assert (failed.status, "EEXIST" in failed.err) == (1, True)
    assert not available() & {"osmia_first", "osmia_second"}


def test_others_are_no_struct_ops(osmia: Cli, pinned: Path, compiled: Path) -> None:
    assert "is no struct_ops" in osmia("struct_ops", "unregister", pinned / "maps/totals").err
    assert "has no struct_ops" in osmia("struct_ops", "register", compiled).err
    assert osmia("struct_ops", "list").status == 0
    others = {each.id for each in iterate.maps() if each.type != MapType.STRUCT_OPS}
    assert not others & {each["id"] for each in osmia("struct_ops", "list", "-j").json}
