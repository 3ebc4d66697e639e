"""biolatency measures a disk of these tests: a loop device over a file."""

from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.summaries.histogram import Histogram
from osmia.tools.biolatency import biolatency

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("both_kernels")]

REQUESTS = 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """The name of a disk of 1 MiB."""
    file = tmp_path / "disk"
    file.write_bytes(bytes(1 << 20))
    command = ["losetup", "--find", "--show", str(file)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr}")
    path = made.stdout.strip()
    try:
        yield Path(path).name
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)


def use(disk: str) -> None:
    """Write blocks, one after the other, past the page cache."""
    block = mmap.mmap(-1, 4096)  # where O_DIRECT takes it from
    fd = os.open(f"/dev/{disk}", os.O_WRONLY | os.O_DIRECT)
    try:
        for number in range(REQUESTS):
            assert os.pwrite(fd, block, number * 4096) == 4096
    finally:
        os.close(fd)


def test_requests_of_a_disk_are_counted_by_how_long_they_take(disk: str) -> None:
    with biolatency(disk=disk) as summary:
        use(disk)
        first = summary.report()
        use(disk)
        second = summary.report()
    for report in (first, second):
        histogram = report[disk]
        assert isinstance(histogram, Histogram)
        assert histogram.unit == "usecs"
        assert histogram.total == REQUESTS
        assert max(bucket.high or 0 for bucket in histogram.buckets) > 0


def test_each_disk_may_have_a_histogram(disk: str) -> None:
    with biolatency(disks=True, milliseconds=True) as summary:
        use(disk)
        report = summary.report()
    assert report[disk].total >= REQUESTS
    assert report[disk].unit == "msecs"


def test_other_disks_are_left_out(disk: str) -> None:
    other = "loop0" if disk != "loop0" else "loop1"
    with biolatency(disk=other) as summary:
        use(disk)
        assert not any(each.total for each in summary.report().values())


def test_a_disk_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no disk 'nope'"):
        biolatency(disk="nope")
