"""`osmia link`: attachments made here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osmia.isa import assemble
from osmia.kernel.links import KernelLink
from osmia.kernel.programs.program import KernelProgram
from osmia.object.uapi import ProgramType

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


@pytest.fixture
def link(pinned: Path, own_network: None) -> Iterator[KernelLink]:
    """The program, attached to lo of a network of its own."""
    with KernelProgram.from_pin(pinned / "count") as program, program.attach("lo") as attached:
        assert isinstance(attached, KernelLink)
        yield attached


def test_list_and_show(osmia: Cli, link: KernelLink) -> None:
    (entry,) = [each for each in osmia("link", "list", "-j").json if each["id"] == link.id]
    assert (entry["type"], entry["prog_id"]) == ("xdp", link.info.program_id)
    assert (entry["ifindex"], entry["devname"]) == (1, "lo")
    assert entry["pids"][0]["pid"] == os.getpid()
    assert osmia("link", "show", link.id, "-j").json["id"] == link.id
    assert "devname:" in osmia("link", "show", "id", link.id).out
    (line,) = [each for each in osmia("link", "list").lines if each.split()[0] == str(link.id)]
    assert "ifindex=1 devname=lo" in line


def test_the_names_are_those_of_bpftool(osmia: Cli) -> None:
    with (
        KernelProgram.load(ProgramType.RAW_TRACEPOINT, assemble("r0 = 0\nexit")) as program,
        program.attach("sched_process_fork") as link,
    ):
        shown = osmia("link", "show", "id", link.info.id, "-j").json
    assert shown["tp_name"] == "sched_process_fork"


def test_pin_and_detach(osmia: Cli, link: KernelLink, pinned: Path) -> None:
    assert osmia("link", "pin", "id", link.id, pinned / "link").status == 0
    shown = osmia("link", "show", "pinned", pinned / "link", "-j").json
    assert shown["pinned"] == [str(pinned / "link")]
    assert shown["ifindex"] == 1
    assert osmia("link", "detach", pinned / "link").status == 0
    assert osmia("link", "show", link.id, "-j").json["ifindex"] == 0


def test_links_have_no_names(osmia: Cli) -> None:
    assert osmia("link", "show", "name", "x").status == 2
    gone = osmia("link", "show", "id", 4000000000)
    assert gone.status == 1 and gone.err.startswith("osmia: ")
