"""Dynptrs of packets say in the vm what they say in the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import osmia

from .packets import IPV4

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parent / "packet_dynptrs.bpf.c"
#: offset, flags of the read, flags of the write, end, flags of the making
NUMBERS = [
    *((offset, 0, 0, 40, 0) for offset in (0, 1, 14, 36, 37, 50, 51, 58, 59, 2**32 - 1)),
    *((4, 1, 0, 40, 0), (4, 0, 1, 40, 0), (4, 0, 2, 40, 0), (4, 0, 4, 40, 0), (4, 0, 0, 40, 1)),
    *((4, 0, 0, 3, 0), (4, 0, 0, 4, 0), (4, 0, 0, 58, 0), (4, 0, 0, 59, 0), (44, 0, 0, 44, 0)),
]


@pytest.fixture(scope="module")
def source() -> Any:
    return osmia.compile(SOURCE)


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["of_link", "of_group"])
def test_dynptrs_of_packets_are_the_kernel_s(source: Any, executor: Any, name: str) -> None:
    with source.load() as theirs, source.load(engine="vm", cpus=1) as mine:
        for numbers in NUMBERS:
            expected = theirs.programs[name].run(IPV4, {"cb": list(numbers)})
            found = mine.programs[name].run(IPV4, {"cb": list(numbers)}, executor=executor)
            assert dict(mine.data) == dict(theirs.data), numbers
            assert (found.retval, found.data) == (expected.retval, expected.data), numbers
