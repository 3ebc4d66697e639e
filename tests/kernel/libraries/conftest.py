"""An object that is published, and where to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import osmia
from osmia.kernel.load.loaded import KernelObject


@pytest.fixture(scope="session")
def conn() -> osmia.Object:
    return osmia.compile(Path(__file__).with_name("conn.bpf.c"))


@pytest.fixture
def loaded(conn: osmia.Object) -> Iterator[KernelObject]:
    with conn.load() as bpf:
        yield bpf


@pytest.fixture
def root(bpffs: Path) -> Path:
    """A directory for libraries, which is not there yet."""
    return bpffs / "libraries"
