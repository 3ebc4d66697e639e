"""The datapath in iproute2's dialect does with packets what its policy says; so does what
`osmia convert` makes of it, and libbpf loads that with the same tags."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import osmia
from osmia.object import ProgramType

EXAMPLE = Path(__file__).parents[2] / "examples" / "legacy" / "run.py"
FORWARDED, DROP_POLICY, DROP_NO_ENDPOINT, LEFT_HOST = 0, 1, 2, 5
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs iproute2"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("legacy_example", EXAMPLE)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["legacy_example"] = module
    specification.loader.exec_module(module)
    return module


def expected(example: ModuleType) -> tuple[Counter[tuple[int, int]], Counter[tuple[str, int]]]:
    """Packets by (reason, endpoint), and datagrams that arrive, from the policy alone."""
    packets: Counter[tuple[int, int]] = Counter()
    arrived: Counter[tuple[str, int]] = Counter()
    for address, port, count in example.TRAFFIC:
        endpoint = example.ENDPOINTS.get(address, 0)
        if not endpoint:
            packets[DROP_NO_ENDPOINT, 0] += count
        elif example.ALLOWED[endpoint] != port:
            packets[DROP_POLICY, endpoint] += count
        else:
            packets[FORWARDED, endpoint] += count
            arrived[address, port] += count
            packets[LEFT_HOST, 6 if ":" in address else 4] += count  # the answers
    return packets, arrived


def test_traffic_meets_the_same_before_and_after_conversion(
    example: ModuleType, tmp_path: Path
) -> None:
    packets, arrived = expected(example)
    before = example.run_datapath(example.sources())
    assert {key: value[0] for key, value in before.metrics.items()} == packets
    assert before.arrived == arrived
    drops = {key: n for key, n in packets.items() if key[0] in (DROP_POLICY, DROP_NO_ENDPOINT)}
    notices: Counter[tuple[int, int]] = Counter()
    for (reason, endpoint, _port), count in before.notices.items():
        notices[reason, endpoint] += count
    assert notices == drops
    assert example.run_datapath(example.converted(example.sources(), tmp_path)) == before


@pytest.mark.skipif(shutil.which("bpftool", path="/usr/sbin") is None, reason="needs bpftool")
@pytest.mark.parametrize("number", [0, 1], ids=["container", "host"])
def test_libbpf_loads_the_converted_objects_with_the_same_tags(
    example: ModuleType, tmp_path: Path, number: int, run_apart: Callable[[str], str]
) -> None:
    obj = example.sources()[number]
    converted = example.converted(example.sources(), tmp_path)[number]
    shown = run_apart(
        f"bpftool prog loadall {converted.path} /sys/fs/bpf/p >&2 &&"
        " for pin in /sys/fs/bpf/p/*; do bpftool -j prog show pinned $pin; echo; done"
    )
    tags = {told["name"]: told["tag"] for told in map(json.loads, shown.split("\n"))}
    with _typed(obj).load() as loaded:
        assert tags == {name[:15]: program.info.tag for name, program in loaded.programs.items()}


def _typed(obj: osmia.Object) -> osmia.Object:
    """The object, unpinned, with the type that its entry is attached as."""
    copy = obj.copy()
    for name, program in obj.programs.items():
        copy.programs[name] = replace(program, type=ProgramType.SCHED_CLS)
    for name, definition in obj.maps.items():
        copy.maps[name] = replace(definition, pinning=0)
    return copy


@pytest.fixture
def run_apart() -> Callable[[str], str]:
    """Run a shell command with a bpffs of its own at /sys/fs/bpf."""

    def run(command: str) -> str:
        script = f"mount -t bpf bpf /sys/fs/bpf && {command}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return "\n".join(line for line in done.stdout.split("\n") if line)

    return run
