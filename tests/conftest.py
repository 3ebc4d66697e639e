"""What all tests share: when a kernel is needed, a bpffs of one's own, and nothing left behind."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import Structure
from dataclasses import dataclass
from pathlib import Path

import pytest

from osmia.errors import OsmiaError
from osmia.kernel.sys import attributes, pins, syscall
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import MapType
from osmia.tracefs import tracefs

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 1 << 14, 1 << 18  # linux/sched.h, linux/mount.h
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


def why_no_bpf() -> str:
    """Why this process cannot use bpf(2), "" when it can."""
    try:
        fd = syscall.map_create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    except OsmiaError as error:
        return str(error)
    os.close(fd)
    return ""


REFUSED = why_no_bpf()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `kernel` are skipped where bpf(2) is refused; in CI that is a failure."""
    if not REFUSED or item.get_closest_marker("kernel") is None:
        return
    if IN_CI:
        pytest.fail(f"needs bpf(2): {REFUSED}", pytrace=False)
    pytest.skip(f"needs bpf(2): {REFUSED}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests for the second kernel run when asked for (`-m second_kernel`, `make test-kernels`)."""
    if "second_kernel" in config.getoption("markexpr"):
        return
    others = [item for item in items if item.get_closest_marker("second_kernel")]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if not item.get_closest_marker("second_kernel")]


@pytest.fixture
def bpffs() -> Iterator[Path]:
    """An empty directory in a bpffs, mounted if there is none; removed with all pins in it."""
    if pins.bpffs_mounts():
        root, mounted = pins.find_bpffs(), None
    else:
        root = mounted = Path(tempfile.mkdtemp(prefix="osmia-bpffs-"))
        pins.mount_bpffs(root)
    directory = root / f"osmia-test-{os.getpid()}-{time.monotonic_ns()}"
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
        if mounted:
            ctypes.CDLL(None).umount(os.fsencode(mounted))
            mounted.rmdir()


GET_NEXT_ID = {
    "program": syscall.prog_get_next_id,
    "map": syscall.map_get_next_id,
    "link": syscall.link_get_next_id,
    "BTF object": syscall.btf_get_next_id,
}
MADE_BY = {
    Command.PROG_LOAD: ("program", attributes.ProgInfo),
    Command.MAP_CREATE: ("map", attributes.MapInfo),
    Command.LINK_CREATE: ("link", attributes.LinkInfo),
    Command.RAW_TRACEPOINT_OPEN: ("link", attributes.LinkInfo),
    Command.BTF_LOAD: ("BTF object", attributes.BtfInfo),
}


@dataclass(frozen=True)
class Surroundings:
    """What the machine and this process hold at a moment."""

    objects: frozenset[tuple[str, int]]
    descriptors: Counter[str]
    pins: frozenset[str]
    namespaces: frozenset[str]
    interfaces: frozenset[str]

    @classmethod
    def now(cls) -> Surroundings:
        return cls(
            objects=frozenset(
                (kind, identifier)
                for kind, get_next in GET_NEXT_ID.items()
                for identifier in _ids(get_next)
            ),
            descriptors=_bpf_descriptors(),
            pins=frozenset(str(path) for root in pins.bpffs_mounts() for path in root.rglob("*")),
            namespaces=frozenset(
                str(path)
                for root in (Path("/run/netns"),)
                if root.is_dir()
                for path in root.iterdir()
            ),
            interfaces=frozenset(name for _, name in socket.if_nameindex()),
        )

    def leaked_since(self, before: Surroundings, made: set[tuple[str, int]]) -> list[str]:
        """What is here and was not before. Others may work on a developer's machine, so
        there only what this process made (`made`) and holds counts; in CI all does."""
        new = self.objects - before.objects
        leaked = [f"{kind} {number}" for kind, number in sorted(new if IN_CI else new & made)]
        for name, count in (self.descriptors - before.descriptors).items():
            leaked.append(f"{count} open descriptor(s) of {name}")
        if IN_CI:
            leaked += [f"pin {path}" for path in sorted(self.pins - before.pins)]
            leaked += [f"namespace {path}" for path in sorted(self.namespaces - before.namespaces)]
            leaked += [f"interface {name}" for name in sorted(self.interfaces - before.interfaces)]
        else:
            mine = [path for path in self.pins - before.pins if f"-{os.getpid()}-" in path]
            leaked += [f"pin {path}" for path in sorted(mine)]
        return leaked


def _ids(get_next: Callable[[int], int | None]) -> Iterator[int]:
    identifier = get_next(0)
    while identifier is not None:
        yield identifier
        identifier = get_next(identifier)


def _bpf_descriptors() -> Counter[str]:
    """This process's descriptors of what is no file: BPF objects, perf events, …, by kind."""
    kinds: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("anon_inode:"):
            kinds[target] += 1
    return kinds


class LeakCheck:
    """Fails the session when it leaves anything in the kernel."""

    #: Seconds that the kernel may take to let go: it frees many things from a work queue.
    PATIENCE = 5.0

    def __init__(self) -> None:
        self.made: set[tuple[str, int]] = set()
        self.leaked: list[str] = []
        self._attempt = syscall._attempt
        syscall._attempt = self._recorded_attempt
        self.before = Surroundings.now()

    def _recorded_attempt(self, command: int, attribute: Structure) -> int:
        result = self._attempt(command, attribute)
        if result >= 0 and command in MADE_BY:
            kind, layout = MADE_BY[Command(command)]
            info = layout()
            syscall.obj_get_info(result, info)
            self.made.add((kind, info.id))
        return result

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        gc.collect()
        deadline = time.monotonic() + self.PATIENCE
        while True:
            self.leaked = Surroundings.now().leaked_since(self.before, self.made)
            if not self.leaked or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        syscall._attempt = self._attempt
        if self.leaked:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.leaked:
            terminalreporter.section("left behind by the tests", red=True)
            for thing in self.leaked:
                terminalreporter.line(thing)


def mount_what_is_missing() -> None:
    """Give this process and its children a bpffs and a tracefs where the machine has none.

    In a mount namespace of their own, so nothing stays; where that is not permitted, what
    needs them says so.
    """
    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        return
    with suppress(OsmiaError):
        pins.find_bpffs(mount=True)
    with suppress(OsmiaError):
        tracefs()


def pytest_configure(config: pytest.Config) -> None:
    if not REFUSED:
        mount_what_is_missing()
        config.pluginmanager.register(LeakCheck(), "leak-check")
