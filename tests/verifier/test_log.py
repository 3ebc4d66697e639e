"""Logs of all formats become columns of visits, and turns."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from osmia.verifier.log import VerifierLog, logs_in
from osmia.verifier.states import state, visit

from .programs import NEW, OLD, PASTED


@pytest.mark.parametrize("text", [NEW, OLD])
def test_visits_and_statistics_are_the_verifiers_own(text: str) -> None:
    log = VerifierLog(text.encode())
    assert list(log.slots) == [0, 1, 2, 3, 4, 4]
    numbers = log.statistics()
    assert numbers.processed == len(log.slots)
    assert numbers.microseconds == 120
    assert numbers.stack == (0,)
    assert log.whole
    assert log.complaint() == ""


def test_the_other_way_of_a_branch_is_a_turn() -> None:
    log = VerifierLog(NEW.encode())
    assert [tuple(turn) for turn in log.turns] == [(5, 2, 4, False, False)]


def test_where_the_verifier_had_been_before_counts_as_processed() -> None:
    text = NEW.replace("from 2 to 4: R0=1 R1=5 R10=fp0\n4: (95) exit\n", "from 2 to 4: safe\n")
    log = VerifierLog(text.encode())
    assert log.pruned == 1 and len(log.slots) == 5
    assert log.whole


def test_the_state_after_an_instruction_is_read_from_either_format() -> None:
    for text, known in ((NEW, "2"), (OLD, "inv2")):
        log = VerifierLog(text.encode())
        seen = visit(log, 3)
        assert seen.text == "r0 = 2"
        assert seen.after["R0"] == known


def test_values_with_brackets_and_frames_are_whole() -> None:
    frame, values = state(
        "frame1: R0_w=map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0)"
        " R3=scalar(umax=255,var_off=(0x0; 0xff)) R10=fp0 fp-8=mmmm???? refs=2"
    )
    assert frame == 1
    assert values == {
        "R0": "map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0)",
        "R3": "scalar(umax=255,var_off=(0x0; 0xff))",
        "R10": "fp0",
        "fp-8": "mmmm????",
        "refs": "2",
    }


def test_libbpfs_lines_around_a_log_name_the_program() -> None:
    ((name, log),) = logs_in((PASTED + "\n").encode())
    assert name == "main"
    assert list(log.slots) == [0, 1, 2, 3, 4, 5]
    assert log.complaint() == "R3 invalid mem access 'scalar'"
    names = [name for name, _ in logs_in((PASTED + PASTED.replace("main", "other")).encode())]
    assert names == ["main", "other"]


def test_carriage_returns_do_no_harm() -> None:
    text = PASTED.replace("\n", "\r\n").encode()
    ((_, log),) = logs_in(text)
    assert log.complaint() == "R3 invalid mem access 'scalar'"
    assert visit(log, 4).after["R3"] == "scalar(umin=4,umax=4294967299)"


def test_a_log_without_its_beginning_or_end_says_that_it_is_not_whole() -> None:
    assert not VerifierLog(NEW.encode()[400:]).whole
    assert not VerifierLog(NEW.encode()[:-200]).whole


def test_a_log_ends_at_the_first_nul() -> None:
    data = NEW.encode()
    assert len(VerifierLog(data + b"\0" + data).slots) == 6
    assert VerifierLog(data).end == len(data)


def test_garbage_is_read_as_nothing_in_particular() -> None:
    chance = random.Random(7)
    pieces = [NEW.encode(), OLD.encode(), PASTED.encode(), b"\n", b"\0", b"from 9 to 1: ", b"(("]
    for _ in range(300):
        data = bytearray(b"".join(chance.choices(pieces, k=chance.randrange(5))))
        for _ in range(chance.randrange(40)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        for _, log in logs_in(bytes(data)):
            log.statistics()
            log.functions()
            log.complaint()
            for number in range(len(log.slots)):
                visit(log, number)


def test_columns_take_a_few_bytes_a_visit() -> None:
    line = b"8: (bf) r3 = r1                       ; R1=pkt(r=64) R3=pkt(r=64)\n"
    data = b"0: R1=ctx() R10=fp0\n" + line * 100_000
    tracemalloc.start()
    try:
        log = VerifierLog(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(log.slots) == 100_000
    assert peak < 32 * 100_000
