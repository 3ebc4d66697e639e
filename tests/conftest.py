"""What all tests share: when a kernel is needed, a bpffs directory, what only one can use."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from osmia.errors import OsmiaError
from osmia.kernel.sys import pins, syscall
from osmia.object.uapi import MapType

from .left_behind import IN_CI, LeakCheck

_CLONE_NEWNET = 0x4000_0000


def why_no_bpf() -> str:
    """Why this process cannot use bpf(2), "" when it can."""
    try:
        fd = syscall.map_create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    except OsmiaError as error:
        return str(error)
    os.close(fd)
    return ""


REFUSED = why_no_bpf()


def pytest_configure(config: pytest.Config) -> None:
    # Whoever is started in the background of a shell without job control ignores SIGINT, and
    # so would every command that a test starts and interrupts. A handler is not inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup: the same, and it goes on
        signal.signal(signal.SIGHUP, lambda *_: None)
    if not REFUSED:
        config.pluginmanager.register(LeakCheck(config), "leak-check")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `kernel` are skipped where bpf(2) is refused; in CI that is a failure."""
    if not REFUSED or item.get_closest_marker("kernel") is None:
        return
    if IN_CI:
        pytest.fail(f"needs bpf(2): {REFUSED}", pytrace=False)
    pytest.skip(f"needs bpf(2): {REFUSED}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests for the second kernel run when asked for (`make test-kernels`)."""
    if "second_kernel" in config.getoption("markexpr"):
        return
    others = [item for item in items if item.get_closest_marker("second_kernel")]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if not item.get_closest_marker("second_kernel")]


@pytest.fixture(autouse=True)
def _one_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked `one_at_a_time("what")` wait for others of that mark, also of other runs."""
    with ExitStack() as held:
        for mark in request.node.iter_markers("one_at_a_time"):
            (what,) = mark.args
            path = Path(tempfile.gettempdir()) / f"osmia-tests-{os.getuid()}-{what}.lock"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield


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


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def interface() -> Iterator[str]:
    """`veth0` in a network namespace that this thread is in."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(_CLONE_NEWNET) == 0
        try:
            for command in ("add veth0 type veth peer name veth1", "set veth0 up", "set lo up"):
                subprocess.run(["ip", "link", *command.split()], check=True)
            yield "veth0"
        finally:
            assert libc.setns(home, _CLONE_NEWNET) == 0
    finally:
        os.close(home)
