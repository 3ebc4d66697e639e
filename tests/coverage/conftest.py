"""The program and its coverage."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.coverage.model import CoverageData
from osmia.object.model import Object

from .gate_program import PACKETS, SOURCE


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Object:
    path: Path = tmp_path_factory.mktemp("coverage") / "gate.bpf.c"
    path.write_text(SOURCE)
    return osmia.compile(path)


@pytest.fixture(scope="session")
def data(gate: Object) -> CoverageData:
    """What the packets reach."""
    with gate.load("vm") as bpf, osmia.cover(bpf) as coverage:
        for packet in PACKETS:
            bpf.programs["gate"].run(packet)
    return coverage.data
