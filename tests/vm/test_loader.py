"""Objects on both engines: the same verdicts, maps, events and globals."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.captures.packets import read_packets
from osmia.errors import NotSupportedError
from osmia.vm.batch import Batch
from osmia.vm.errors import ProgramFault

EXAMPLES = Path(__file__).parents[2] / "examples"


def packets(limit: int) -> list[bytes]:
    return [data for _, data in islice(read_packets(EXAMPLES / "traffic.pcap"), limit)]


@pytest.fixture(scope="module")
def flows() -> Any:
    return osmia.compile(EXAMPLES / "flows.bpf.c")


def outcome(loaded: Any, verdicts: list[int]) -> tuple[Any, ...]:
    """Verdicts, data, and every map's entries, without what depends on time."""
    maps = {
        name: sorted(bytes(str(key), "utf-8") for key in held)
        for name, held in loaded.maps.items()
        if hasattr(held, "keys")
    }
    events = sum(len(held.read()) for held in loaded.maps.values() if hasattr(held, "events"))
    return verdicts, maps, events, dict(loaded.data)


@pytest.mark.kernel
def test_the_example_gives_the_same_on_both_engines(flows: Any) -> None:
    if os.geteuid():
        pytest.skip("needs bpf(2) as root")
    traffic = packets(300)
    outcomes = []
    for engine, options in (
        ("kernel", {}),
        ("vm", {"executor": "interpreter"}),
        ("vm", {"executor": "jit"}),
    ):
        with flows.load(engine=engine) as loaded:
            program = next(iter(loaded.programs.values()))
            verdicts = [program.run(packet, **options).retval for packet in traffic]
            outcomes.append(outcome(loaded, verdicts))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_batch_gives_what_single_runs_give(flows: Any) -> None:
    traffic = packets(300)
    with flows.load(engine="vm") as one, flows.load(engine="vm") as all_at_once:
        name = next(iter(one.programs))
        verdicts = [one.programs[name].run(p, executor="jit").retval for p in traffic]
        assert list(all_at_once.programs[name].run_batch(Batch(traffic))) == verdicts
        assert outcome(all_at_once, verdicts) == outcome(one, verdicts)


def test_a_missing_helper_is_named_and_can_be_given(tmp_path: Path) -> None:
    source = tmp_path / "x.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int ask(struct xdp_md *ctx) { return bpf_send_signal(1); }\n'
        'char _license[] SEC("license") = "GPL";\n'
    )
    obj = osmia.compile(source)
    with pytest.raises(NotSupportedError, match="bpf_send_signal"):
        obj.load(engine="vm", strict_helpers=True)
    with (
        obj.load(engine="vm") as loaded,
        pytest.raises(ProgramFault, match="bpf_send_signal"),
    ):
        loaded.programs["ask"].run(bytes(64))
    given = {"send_signal": lambda: 42}
    with obj.load(engine="vm", helpers=given) as loaded:
        for executor in ("interpreter", "generated", "jit"):
            assert loaded.programs["ask"].run(bytes(64), executor=executor).retval == 42
