"""Three objects, linked when they are loaded, share a library's state: as traffic alone says."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

import osmia

EXAMPLE = Path(__file__).parents[2] / "examples" / "multi" / "run.py"
NEEDS_IP = pytest.mark.skipif(shutil.which("ip") is None, reason="needs iproute2")
ENGINES = [pytest.param("kernel", marks=[pytest.mark.kernel, NEEDS_IP]), "vm"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("multi_example", EXAMPLE)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["multi_example"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def objects(example: ModuleType) -> dict[str, osmia.Object]:
    found: dict[str, osmia.Object] = example.sources()
    return found


def expected(example: ModuleType) -> tuple[int, int, dict[tuple[int, str], list[int]]]:
    """Opened, refused, and by connection the packets and bytes of both directions."""
    connections: dict[tuple[int, str], list[int]] = {}
    refused = 0
    for packet in example.TRAFFIC:
        key = packet.local[1], packet.remote[0]
        if packet.leaves:
            connections.setdefault(key, [0, 0, 0, 0])
        if key not in connections:
            refused += 1
            continue
        direction = 0 if packet.leaves else 1
        connections[key][direction] += 1
        connections[key][2 + direction] += packet.size
    return len(connections), refused, connections


@pytest.mark.parametrize("engine", ENGINES)
def test_state_is_shared_under_traffic(
    example: ModuleType, objects: dict[str, osmia.Object], engine: str
) -> None:
    opened, refused, connections = expected(example)
    assert opened and refused
    seen = example.run(engine, objects)
    assert (seen.opened, seen.refused) == (opened, refused)
    assert {key: [*p, *b] for key, (p, b) in seen.connections.items()} == connections


@pytest.mark.parametrize("engine", ENGINES)
def test_each_object_alone_is_refused_with_what_it_lacks(
    objects: dict[str, osmia.Object], engine: str
) -> None:
    with pytest.raises(osmia.RelocationError, match=r"'conntrack_known' .*, 'refused'"):
        objects["ingress"].load(engine)


def test_functions_can_be_called_in_the_library_itself(
    example: ModuleType, objects: dict[str, osmia.Object]
) -> None:
    opened, refused, _ = expected(example)
    counted: dict[str, int] = defaultdict(int)
    with (
        objects["conntrack"].load("vm") as library,
        objects["egress"].load("vm", imports=[library], bind="call") as egress,
        objects["ingress"].load("vm", imports=[library], bind="call") as ingress,
    ):
        example.by_hand(egress.programs["egress"], ingress.programs["ingress"])
        counted["opened"], counted["refused"] = library.data["opened"], library.data["refused"]
        assert "conntrack_open" not in egress.object.functions
    assert counted == {"opened": opened, "refused": refused}
