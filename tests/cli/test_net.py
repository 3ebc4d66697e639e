"""`osmia net`: loaded programs on interfaces, as bpftool attaches and lists them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    char LICENSE[] SEC("license") = "GPL";
    SEC("xdp") int pass(void *ctx) { return XDP_PASS; }
    SEC("xdp") int other(void *ctx) { return XDP_PASS; }
    SEC("tc") int first(void *ctx) { return 0; }
    SEC("tc") int second(void *ctx) { return 0; }
"""


@pytest.fixture
def device(own_network: None) -> str:
    subprocess.run(["ip", "link", "add", "net0", "type", "veth"], check=True)
    return "net0"


@pytest.fixture
def programs(osmia: Cli, tmp_path: Path, bpffs: Path) -> Path:
    (tmp_path / "net.bpf.c").write_text(SOURCE)
    done = osmia("prog", "loadall", tmp_path / "net.bpf.c", bpffs / "net")
    assert done.status == 0, done.err
    return bpffs / "net"


def test_xdp_is_attached_replaced_and_detached(osmia: Cli, device: str, programs: Path) -> None:
    attach = ("net", "attach", "xdpgeneric", "pinned")
    assert osmia(*attach, programs / "pass", "dev", device).status == 0
    assert osmia(*attach, programs / "other", "dev", device).status == 1
    assert osmia(*attach, programs / "other", "dev", device, "overwrite").status == 0
    (listed,) = osmia("-j", "net", "show", "dev", device).json
    other = osmia("prog", "show", programs / "other", "-j").json["id"]
    (found,) = listed["xdp"]
    assert (found["devname"], found["mode"], found["id"]) == (device, "generic", other)
    assert osmia("net", "detach", "xdpgeneric", "dev", device).status == 0
    assert osmia("-j", "net").status != 1
    assert osmia("net", "list", device, "-j").json[0]["xdp"] == []


def test_tcx_programs_stand_in_their_order(osmia: Cli, device: str, programs: Path) -> None:
    attach = ("net", "attach", "tcx_ingress", "pinned")
    assert osmia(*attach, programs / "second", "dev", device).status == 0
    assert osmia(*attach, programs / "first", "dev", device, "prepend").status == 0
    (listed,) = osmia("net", "list", device, "-j").json
    assert [(each["kind"], each["name"]) for each in listed["tc"]] == [
        ("tcx/ingress", "first"),
        ("tcx/ingress", "second"),
    ]
    table = osmia("net", "list", device)
    assert ["net0", "tcx/ingress", "first"] in [line.split()[:3] for line in table.lines]
    assert osmia("net", "detach", "tcx_ingress", device, programs / "first").status == 0
    (listed,) = osmia("net", "list", device, "-j").json
    assert [each["name"] for each in listed["tc"]] == ["second"]


def test_what_does_not_go_together_is_said(osmia: Cli, device: str) -> None:
    wrong = osmia("net", "attach", "xdp", device, "x", "--prepend")
    assert (wrong.status, "of XDP programs there is one" in wrong.err) == (2, True)
    wrong = osmia("net", "attach", "tcx_egress", device, "x", "--overwrite")
    assert (wrong.status, "one after the other" in wrong.err) == (2, True)
