"""Running programs by hand, on every engine."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable

import pytest

import osmia
from osmia.engine.protocol import Engine

Load = Callable[..., osmia.LoadedObject]
PASS, DROP = 2, 1  # enum xdp_action


def test_a_packet_gives_a_verdict_and_what_the_program_made_of_it(load: Load) -> None:
    result = load().programs["ingress"].run(bytes(60))
    assert result.retval == PASS
    assert result.data == b"\xab" + bytes(59)
    assert result.duration_ns >= 0


def test_any_bytes_are_a_packet(load: Load) -> None:
    ingress = load().programs["ingress"]
    for packet in (bytes(60), bytearray(60), memoryview(bytes(60))):
        assert ingress.run(packet).data == b"\xab" + bytes(59)


def test_constants_are_seen_by_programs(load: Load, obj: osmia.Object) -> None:
    assert load().programs["ingress"].run(bytes(200)).retval == DROP
    obj.data["longest"] = 300
    assert load().programs["ingress"].run(bytes(200)).retval == PASS


def test_variables_are_written_by_programs(load: Load) -> None:
    bpf = load()
    bpf.programs["ingress"].run(bytes(60), repeat=3)
    assert bpf.data["packets"] == 3


def test_a_context_goes_in_and_comes_back(load: Load) -> None:
    result = load().programs["add"].run(ctx=struct.pack("<3Q", 40, 2, 0))
    assert result.retval == 7
    assert struct.unpack("<3Q", result.ctx_data) == (40, 2, 42)
    assert result.ctx == result.ctx_data  # nobody knows its type


def test_a_typed_context_has_fields(load: Load) -> None:
    result = load().programs["ingress"].run(bytes(60), ctx={"ingress_ifindex": 1})
    assert result.ctx.data_end - result.ctx.data == 60


def test_many_packets_are_run_at_once(load: Load) -> None:
    verdicts = load().programs["ingress"].run_batch([bytes(60), bytes(200), bytes(14)])
    assert list(verdicts) == [PASS, DROP, PASS]


def test_a_packet_that_is_too_short_is_refused(load: Load) -> None:
    with pytest.raises(osmia.KernelError, match="Ethernet header of 14 is the least"):
        load().programs["ingress"].run(b"short")


def test_a_negative_number_of_runs_is_refused(load: Load) -> None:
    with pytest.raises(ValueError, match="cannot run"):
        load().programs["ingress"].run(bytes(60), repeat=-1)


def test_a_misspelt_option_is_a_type_error_that_names_the_nearest(load: Load) -> None:
    ingress = load().programs["ingress"]
    with pytest.raises(TypeError, match="no option 'repeet'; did you mean 'repeat'"):
        ingress.run(bytes(60), repeet=1)  # type: ignore[call-arg]


def test_an_option_of_another_engine_is_not_swallowed(load: Load, engine: Engine) -> None:
    ingress = load().programs["ingress"]
    foreign = "flags" if engine.name != "kernel" else "hook"
    match = rf"run\({foreign}=\) is an option of the engine"
    with pytest.raises(osmia.NotSupportedError, match=match):
        ingress.run(bytes(60), **{foreign: 0})
    with pytest.raises(osmia.NotSupportedError, match=match):
        ingress.run_batch([], **{foreign: 0})  # type: ignore[arg-type]


def test_what_only_single_runs_have_is_refused_for_many(load: Load, engine: Engine) -> None:
    ingress = load().programs["ingress"]
    for option in engine.options["run"] - {"budget"}:
        with pytest.raises(TypeError, match=f"run_batch .* has no option '{option}' of run$"):
            ingress.run_batch([bytes(60)], **{option: 0})  # type: ignore[arg-type]


def test_an_executor_that_is_none_is_refused(obj: osmia.Object) -> None:
    with obj.load("vm") as bpf, pytest.raises(ValueError, match="executor='jitt': 'auto', 'int"):
        bpf.programs["ingress"].run(bytes(60), executor="jitt")  # type: ignore[arg-type]


def test_results_go_to_other_processes(load: Load) -> None:
    result = load().programs["ingress"].run(bytes(60), ctx={"ingress_ifindex": 1})
    same = pickle.loads(pickle.dumps(result))
    assert same == result
    assert same.ctx.ingress_ifindex == 1
