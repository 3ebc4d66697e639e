"""`osmia cgroup`: programs put on a control group of the tests' own, listed and taken off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osmia import compile as compile_source
from osmia.errors import NotSupportedError
from osmia.kernel.inventory.cgroup_programs import cgroup_root

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("cgroup_skb/egress") int lets_out(struct __sk_buff *skb) { return 1; }
SEC("cgroup/sock_create") int lets_make(struct bpf_sock *sk) { return 1; }
"""


@pytest.fixture
def cgroup() -> Iterator[Path]:
    try:
        made = cgroup_root() / f"osmia-test-{os.getpid()}"
    except NotSupportedError as error:
        pytest.skip(str(error))
    (made / "below").mkdir(parents=True)
    yield made
    (made / "below").rmdir()
    made.rmdir()


@pytest.fixture
def programs(bpffs: Path) -> Path:
    """Where both programs are pinned."""
    with compile_source(SOURCE).load() as bpf:
        bpf.pin(bpffs)
    return bpffs


def test_what_is_attached_is_listed_until_it_is_detached(
    osmia: Cli, cgroup: Path, programs: Path
) -> None:
    hook = "cgroup_inet_egress"
    assert osmia("cgroup", "attach", cgroup, hook, programs / "lets_out", "multi").status == 0
    (listed,) = osmia("cgroup", "list", cgroup, "-j").json
    assert (listed["attach_type"], listed["attach_flags"], listed["name"]) == (
        hook,
        "multi",
        "lets_out",
    )
    table = osmia("cgroup", "list", cgroup).lines
    assert table[1].split() == [str(listed["id"]), hook, "multi", "lets_out"]
    assert osmia("cgroup", "list", cgroup / "below", "-j").json == []
    (inherited,) = osmia("cgroup", "show", cgroup / "below", "-e", "-j").json
    assert inherited["id"] == listed["id"]
    tree = osmia("cgroup", "tree", cgroup, "-j").json
    assert tree == [{"cgroup": str(cgroup), "programs": [listed]}]
    assert str(cgroup) in {each["cgroup"] for each in osmia("cgroup", "tree", "-j").json}
    assert osmia("cgroup", "tree", cgroup).lines[1].startswith(f"{cgroup}  {listed['id']}")
    assert osmia("cgroup", "detach", cgroup, hook, "id", listed["id"]).status == 0
    assert osmia("cgroup", "list", cgroup, "-j").json == []
    again = osmia("cgroup", "detach", cgroup, hook, programs / "lets_out")
    assert again.status == 1
    assert "it is not attached there" in again.err


@pytest.mark.skipif(not shutil.which("bpftool"), reason="compares with Debian's bpftool")
@pytest.mark.parametrize("sharing", [[], ["override"], ["multi"]])
def test_json_is_bpftools(osmia: Cli, cgroup: Path, programs: Path, sharing: list[str]) -> None:
    place = [str(cgroup), "cgroup_inet_sock_create", "pinned", str(programs / "lets_make")]
    assert osmia("cgroup", "attach", *place, *sharing).status == 0
    try:
        listed = subprocess.check_output(["bpftool", "-j", "cgroup", "list", cgroup])
        assert osmia("cgroup", "list", cgroup, "-j").json == json.loads(listed)
        (below,) = json.loads(subprocess.check_output(["bpftool", "-j", "cgroup", "tree", cgroup]))
        (mine,) = osmia("cgroup", "tree", cgroup, "-j").json
        assert mine == below
    finally:
        subprocess.run(["bpftool", "cgroup", "detach", *place], check=True)


def test_a_link_stays_with_its_pin(osmia: Cli, cgroup: Path, programs: Path) -> None:
    hook, link = "cgroup_inet_egress", programs / "link"
    done = osmia("cgroup", "attach", cgroup, hook, programs / "lets_out", "--link", link)
    assert done.status == 0, done.err
    assert [each["name"] for each in osmia("cgroup", "list", cgroup, "-j").json] == ["lets_out"]
    refused = osmia("cgroup", "detach", cgroup, hook, programs / "lets_out")
    assert refused.status == 1
    assert osmia("link", "detach", link).status == 0
    assert osmia("cgroup", "list", cgroup, "-j").json == []


def test_wrong_words_are_explained(osmia: Cli, cgroup: Path, programs: Path) -> None:
    program = programs / "lets_out"
    assert osmia("cgroup", "attach", cgroup, "inward", program).status == 2
    wrong = osmia("cgroup", "attach", cgroup, "cgroup_inet_egress", program, "many")
    assert (wrong.status, "`multi` or `override`" in wrong.err) == (2, True)
    both = osmia(
        *("cgroup", "attach", cgroup, "cgroup_inet_egress", program, "multi"),
        *("--link", programs / "link"),
    )
    assert both.status == 2
    nowhere = osmia("cgroup", "list", "/nowhere")
    assert (nowhere.status, "/nowhere" in nowhere.err) == (1, True)
    elsewhere = osmia("cgroup", "list", "/tmp")
    assert "not one of a cgroup v2" in elsewhere.err
    other = osmia("cgroup", "attach", cgroup, "cgroup_device", program)
    assert other.status == 1
    assert osmia("cgroup", "list", cgroup, "-j").json == []
