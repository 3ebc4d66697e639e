"""Compilers and a cache of this test session's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.toolchain import Compiler, find_compiler


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What these tests compile is neither taken from the user's cache nor left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("OSMIA_CLANG", raising=False)
        yield


@pytest.fixture(scope="session")
def zig() -> Compiler:
    """The compiler that every installation can have."""
    return find_compiler("zig")


@pytest.fixture(scope="session")
def clang() -> Compiler:
    """Debian's clang (tools/debian-packages.txt)."""
    return find_compiler("clang-19")


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for one test."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place
