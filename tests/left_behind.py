"""What tests must not leave behind: BPF objects, descriptors, pins, namespaces, interfaces.

Each process that runs tests has a mount namespace and a network of its own, so what is new in
them it made itself; the BPF objects that it makes are recorded at bpf(2). So processes, and
whole runs, do not blame each other. What the machine has is compared once more when all have
ended: in CI all of it, unless another run is on, else what this run made.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import socket
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import Structure
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osmia.errors import OsmiaError
from osmia.kernel.sys import attributes, pins, syscall
from osmia.kernel.sys.syscall import Command
from osmia.tracefs import tracefs

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
#: Where `ip netns` has its names.
NETNS = Path("/run/netns")
CLONE_NEWNS, CLONE_NEWNET = 0x2_0000, 0x4000_0000  # linux/sched.h
MS_REC, MS_PRIVATE, MNT_DETACH = 1 << 14, 1 << 18, 2  # linux/mount.h, linux/fs.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h

GET_NEXT_ID = {
    "program": syscall.prog_get_next_id,
    "map": syscall.map_get_next_id,
    "link": syscall.link_get_next_id,
    "BTF object": syscall.btf_get_next_id,
}
MADE_BY: dict[int, tuple[str, type[Structure]]] = {
    Command.PROG_LOAD: ("program", attributes.ProgInfo),
    Command.MAP_CREATE: ("map", attributes.MapInfo),
    Command.LINK_CREATE: ("link", attributes.LinkInfo),
    Command.RAW_TRACEPOINT_OPEN: ("link", attributes.LinkInfo),
    Command.BTF_LOAD: ("BTF object", attributes.BtfInfo),
}
#: A kind of BPF object, and its number.
Made = tuple[str, int]


def move_into_namespaces() -> bool:
    """Give this thread and what it starts mounts and a network of their own; False if refused.

    With a bpffs, a tracefs, no named network namespaces, and a loopback that is up.
    """
    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET):
        return False
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        return False
    libc.umount2(os.fsencode(pins.BPFFS), MNT_DETACH)  # the machine's, if it has one
    with suppress(OsmiaError):
        pins.mount_bpffs(pins.BPFFS)
    with suppress(OsmiaError):
        tracefs()
    NETNS.mkdir(exist_ok=True)
    libc.mount(b"none", os.fsencode(NETNS), b"tmpfs", 0, None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    return True


class Recorder:
    """Every BPF object that this process makes, by kind and number, and the test that did."""

    def __init__(self) -> None:
        self.made: dict[Made, str] = {}
        self._attempt = syscall._attempt
        syscall._attempt = self._recorded_attempt

    def _recorded_attempt(self, command: int, attribute: Structure) -> int:
        result = self._attempt(command, attribute)
        if result >= 0 and command in MADE_BY:
            kind, layout = MADE_BY[command]
            info: Any = layout()
            syscall.obj_get_info(result, info)
            self.made[kind, info.id] = os.environ.get("PYTEST_CURRENT_TEST", "no test")
        return result

    def stop(self) -> None:
        syscall._attempt = self._attempt


@dataclass(frozen=True)
class Surroundings:
    """What there is at a moment."""

    objects: frozenset[Made]
    descriptors: Counter[str]
    #: Pins, namespaces, interfaces.
    names: frozenset[str]

    @classmethod
    def now(cls, bpffs: Callable[[], list[Path]]) -> Surroundings:
        """What the machine and this process have; pins of those bpffs."""
        namespaces = NETNS.iterdir() if NETNS.is_dir() else ()
        return cls(
            frozenset((kind, number) for kind in GET_NEXT_ID for number in _numbers(kind)),
            _descriptors(),
            frozenset(
                [f"pin {path}" for root in bpffs() for path in root.rglob("*")]
                + [f"namespace {path}" for path in namespaces]
                + [f"interface {name}" for _, name in socket.if_nameindex()]
            ),
        )


def _numbers(kind: str) -> Iterator[int]:
    number = GET_NEXT_ID[kind](0)
    while number is not None:
        yield number
        number = GET_NEXT_ID[kind](number)


def _descriptors() -> Counter[str]:
    """This process's descriptors of what is no file: BPF objects, perf events, …, by kind."""
    kinds: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("anon_inode:"):
                kinds[target] += 1
    return kinds


def _holders(kind: str, number: str) -> Iterator[str]:
    """The processes with a descriptor of a BPF object, or with a mapping of any map."""
    label = {"program": "prog_id", "map": "map_id", "link": "link_id", "BTF object": "btf_id"}[kind]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = [info.read_text() for info in (process / "fdinfo").iterdir()]
            mapped = kind == "map" and "anon_inode:bpf-map" in (process / "maps").read_text()
            if mapped or any(f"{label}:\t{number}\n" in info for info in told):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield f"process {process.name} ({command.strip()[:120]})"


class OtherRuns:
    """Whether another run of the tests is on: each holds a lock for as long as it lasts."""

    def __init__(self) -> None:
        path = Path(tempfile.gettempdir()) / f"osmia-tests-{os.getuid()}.lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def are_on(self) -> bool:
        """When there are none, none begins until `close` either."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        os.close(self._fd)


class LeakCheck:
    """Fails the session when it leaves anything behind; a plugin of every process of a run.

    Workers of pytest-xdist tell the process that controls them what they made and left; that
    one looks when all have ended. Without workers one process is both.
    """

    #: Seconds that the kernel may take to let go: what a freed program or outer map had is put down
    #: from a work queue, behind RCU's grace periods, which other runs and machines can hold up.
    PATIENCE = 60.0

    def __init__(self, config: pytest.Config) -> None:
        self._told: dict[str, Any] | None = getattr(config, "workeroutput", None)
        controls = self._told is None and config.getoption("dist", "no") != "no"
        self._others = OtherRuns() if self._told is None else None
        self._apart = not controls and move_into_namespaces()
        self._recorder = Recorder()
        self._made = self._recorder.made
        self._leaked: list[str] = []
        self._before = Surroundings.now(self._bpffs)

    def _bpffs(self) -> list[Path]:
        return [Path(pins.BPFFS)] if self._apart else pins.bpffs_mounts()

    def _left(self, all_counts: bool) -> list[str]:
        """What is here and was not before."""
        now = Surroundings.now(self._bpffs)
        objects = now.objects - self._before.objects
        if not all_counts:
            objects &= self._made.keys()
        left = [f"{kind} {number}" for kind, number in sorted(objects)]
        for kind, count in (now.descriptors - self._before.descriptors).items():
            left.append(f"{count} open descriptor(s) of {kind}")
        if all_counts or self._apart:
            left += sorted(now.names - self._before.names)
        return left

    def _origin(self, thing: str) -> str:
        """For a BPF object: the test that made it, and the processes that have it open."""
        kind, _, number = thing.rpartition(" ")
        if kind not in GET_NEXT_ID:
            return ""
        test = self._made.get((kind, int(number)), "another process")
        return f", made in {test}, held by {', '.join(_holders(kind, number)) or 'no process'}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended."""
        told = getattr(node, "workeroutput", {})
        self._made |= {(kind, number): test for kind, number, test in told.get("made", ())}
        self._leaked += [f"{thing} ({node.gateway.id})" for thing in told.get("left", ())]

    @pytest.hookimpl(trylast=True)  # after pytest-xdist has ended the workers
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        gc.collect()
        all_counts = IN_CI and self._others is not None and not self._others.are_on()
        deadline = time.monotonic() + self.PATIENCE
        while (left := self._left(all_counts)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._recorder.stop()
        if self._others is not None:
            self._others.close()
        self._leaked += [thing + self._origin(thing) for thing in left]
        if self._told is not None:
            made = [(kind, number, test) for (kind, number), test in self._made.items()]
            self._told |= {"made": made, "left": self._leaked}
        elif self._leaked:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._leaked:
            terminalreporter.section("left behind by the tests", red=True)
            for thing in self._leaked:
                terminalreporter.line(thing)
