"""The object whose programs are verified."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.object.model import Object

from .programs import SOURCE


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verifier") / "flows.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def flows(source: Path) -> Object:
    return osmia.compile(source)
