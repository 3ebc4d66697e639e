"""The command, in this process and in others; an object for it; a network of one's own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osmia.cli import main
from osmia.kernel.inventory import iterate

HERE = Path(__file__).parent
SOURCE = HERE / "counter.bpf.c"
OSMIA = (sys.executable, "-m", "osmia")


@dataclass(frozen=True)
class Result:
    """What a command line printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def records(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture
def osmia(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line in this process: osmia("prog", "list")."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object file of traffic.bpf.c."""
    path = tmp_path_factory.mktemp("objects") / "traffic.bpf.o"
    assert main(["compile", str(HERE / "traffic.bpf.c"), "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object file of counter.bpf.c."""
    path = tmp_path_factory.mktemp("objects") / "counter.bpf.o"
    assert main(["compile", str(SOURCE), "-o", str(path)]) == 0
    return path


@pytest.fixture
def pinned(osmia: Callable[..., Result], compiled: Path, bpffs: Path) -> Path:
    """A bpffs directory with the program pinned as `count`, the maps in `maps`."""
    loaded = osmia("prog", "load", compiled, bpffs / "count", "--pin-maps", bpffs / "maps")
    assert loaded.status == 0, loaded.err
    return bpffs


CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def own_network() -> Iterator[None]:
    """A network namespace with nothing but `lo`, for this thread and what it starts."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert _libc.unshare(CLONE_NEWNET) == 0
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert _libc.setns(home, CLONE_NEWNET) == 0
    finally:
        os.close(home)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The programs and maps of these tests that are in the kernel were there before, or go.

    The kernel lets go of things in its own time; and other processes that run these tests at
    the same time have such things too, for as long as a test of theirs lasts.
    """
    before = _of_these_tests()
    yield
    left = _of_these_tests() - before
    deadline = time.monotonic() + 60
    while left := left & _of_these_tests():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


_NAMES = ("count", "totals", "by_cpu", "events", "counter.bss", "counter.rodata", "shared")


def _of_these_tests() -> set[tuple[str, int]]:
    return {
        (kind, each.id)
        for kind, all_of_them in (("program", iterate.programs()), ("map", iterate.maps()))
        for each in all_of_them
        if each.name in _NAMES
    }
