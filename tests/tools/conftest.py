"""What the tools' tests have in common: both kernels, a process that waits, rows as they come."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from osmia.tools.running import Stream

Row = TypeVar("Row")

#: Seconds; an emulated kernel is slow.
PATIENCE = 60


SECOND = pytest.param("second-kernel", marks=pytest.mark.second_kernel)


@pytest.fixture(params=["this-kernel", SECOND])
def both_kernels() -> None:
    """Run here, and in the second kernel by `make test-kernels`."""


@contextmanager
def waiting(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that runs the script when `say_go` lets it."""
    command = ["sh", "-c", f"read word; {script}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def say_go(process: subprocess.Popen[bytes]) -> None:
    """Let a waiting shell run its script, and wait for its end."""
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()
    process.wait(PATIENCE)


def first(stream: Stream[Row], wanted: Callable[[Row], object]) -> Row:
    """The first row that is wanted; what happens on the machine meanwhile is passed by."""
    for row in stream.rows(PATIENCE):
        if wanted(row):
            return row
    raise AssertionError("it did not come")
