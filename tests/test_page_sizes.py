"""Kernels with pages of 16 and 64 KiB: what is mapped, and which sizes rings have."""

from __future__ import annotations

import mmap
import os
from typing import Any

import pytest

from osmia.engine.reuse import ring_size
from osmia.errors import ClosedError, KernelError
from osmia.events.perf_buffer import _CpuRing
from osmia.events.ring import Ring
from osmia.events.user_ring_buffer import UserRingBuffer
from osmia.kernel.load.data_sections import MappedSection
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm

REAL = mmap.mmap
NO_FD = 77


@pytest.fixture(params=[1 << 14, 1 << 16], ids=["16 KiB", "64 KiB"])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    size = int(request.param)
    monkeypatch.setattr(mmap, "PAGESIZE", size)
    return size


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The length and offset of each piece of a map that is asked for; all of them are empty."""
    asked: list[tuple[int, int]] = []

    def record(fd: int, length: int, *_: Any, offset: int = 0, **__: Any) -> mmap.mmap:
        asked.append((length, offset))
        return REAL(-1, length)

    monkeypatch.setattr(mmap, "mmap", record)
    return asked


def test_a_rings_positions_have_a_page_each(page: int, mapped: list[tuple[int, int]]) -> None:
    ring = Ring.map(NO_FD, 2 * page)
    assert mapped == [(page, 0), (page + 4 * page, page)]
    assert len(ring.data) == 4 * page
    mapped.clear()
    writer = UserRingBuffer(NO_FD, 2 * page)
    assert mapped == [(page, 0), (page + 4 * page, page)]
    writer.close()


def test_a_perf_buffer_has_a_page_before_its_data(page: int, mapped: list[tuple[int, int]]) -> None:
    ring = _CpuRing(0, NO_FD, 4)
    assert mapped == [(5 * page, 0)]
    assert ring.size == 4 * page
    ring.release()


def test_sections_are_mapped_by_whole_pages(page: int, mapped: list[tuple[int, int]]) -> None:
    with FileDescriptor(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "map") as fd:
        section = MappedSection(fd, page + 1, writable=True)
        assert len(section.view()) == 2 * page
        assert mapped == [(2 * page, 0)]
        section.close()


def test_a_section_is_mapped_when_somebody_looks_at_it(
    page: int, mapped: list[tuple[int, int]]
) -> None:
    with FileDescriptor(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "map") as fd:
        section = MappedSection(fd, page, writable=True)
        assert not mapped
        section.write(0, b"a")
        assert section.read(0, 2) == b"a\0" and len(mapped) == 1
        unseen = MappedSection(fd, page, writable=True)
        for each in (section, unseen):
            each.close()
            with pytest.raises(ClosedError):
                each.read(0, 1)
    assert len(mapped) == 1


def test_objects_rings_grow_to_a_page(page: int) -> None:
    assert [ring_size(wanted) for wanted in (0, 1, 4096, page)] == [0, page, page, page]
    assert ring_size(page + 1) == 2 * page


def test_a_ring_smaller_than_a_page_is_refused_on_every_engine(page: int) -> None:
    with Vm(memory=1 << 25, cpus=1, jit=False) as vm:
        sizes: dict[str, Any] = {"key_size": 0, "value_size": 0}
        with pytest.raises(KernelError, match=f"at least a page \\({page:,}\\)"):
            vm.create_map(MapType.RINGBUF, max_entries=page // 2, **sizes)
        vm.create_map(MapType.RINGBUF, max_entries=page, **sizes).close()
