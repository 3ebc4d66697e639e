"""The path that a log ends with, back through branches that were taken up."""

from __future__ import annotations

import time

import pytest

from osmia.verifier.log import VerifierLog
from osmia.verifier.path import Path, path_of
from osmia.verifier.report import report_of, texts_of

from .programs import NEW, OLD


def walked(text: str) -> tuple[list[int], Path]:
    """The slots on the path, and all about it."""
    log = VerifierLog(text.encode())
    path = path_of(log, texts_of(log))
    return [log.slots[visit] for visit in path.visits], path


def test_a_branch_that_is_taken_up_leaves_the_other_way_behind() -> None:
    slots, path = walked(NEW)
    assert slots == [0, 1, 2, 4]
    assert path.certain and path.waiting == 1
    assert path.taken_up == {2: (1, 1)}


def test_old_kernels_do_not_say_where_a_way_begins_but_jumps_do() -> None:
    slots, path = walked(OLD)
    assert slots == [0, 1, 2, 4]
    assert path.certain


LOOP = """\
0: R1=ctx() R10=fp0
0: (b7) r2 = 0
1: (15) if r1 == 0x7 goto pc+3
2: (07) r2 += 1
3: (55) if r2 != 0x3 goto pc-3
1: (15) if r1 == 0x7 goto pc+3
2: (07) r2 += 1
3: (55) if r2 != 0x3 goto pc-3
4: (95) exit
from 1 to 5: R1=7 R10=fp0
5: (95) exit
R0 !read_ok
processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def test_where_several_visits_could_be_meant_it_says_so() -> None:
    slots, path = walked(LOOP)
    assert slots == [0, 1, 2, 3, 1, 5]
    assert not path.certain


def test_a_visit_that_went_there_itself_is_not_meant() -> None:
    """The jump's second visit had one way only: it went on where the branch does."""
    text = LOOP.replace("2: (07) r2 += 1\n3: (55) if r2 != 0x3 goto pc-3\n4: (95)", "5: (95)")
    slots, path = walked(text)
    assert slots == [0, 1, 5]
    assert path.certain


def test_a_log_of_level_1_is_its_own_path() -> None:
    text = LOOP.replace("2: (07) r2 += 1\n3: (55) if r2 != 0x3 goto pc-3\n4: (95) exit\n", "")
    slots, path = walked(text)
    assert slots == [0, 1, 2, 3, 1, 5]
    assert path.certain


def test_each_global_function_begins_a_path_of_its_own() -> None:
    text = "Validating f() func#1...\n9: R1=scalar() R10=fp0\n9: (95) exit\n"
    text += "Func#1 ('f') is safe for any args that match its prototype\n" + NEW
    slots, path = walked(text)
    assert slots == [0, 1, 2, 4]
    assert path.certain


def test_a_return_that_is_told_again_cuts_nothing() -> None:
    """Linux 6.1 writes "from 46 to 22" after a return, in logs of level 1."""
    text = """\
0: R1=ctx() R10=fp0
0: (85) call pc+2
caller:
 R10=fp0
callee:
 frame1: R1=ctx() R10=fp0
3: frame1: R1=ctx() R10=fp0
3: (b7) r0 = 0                        ; frame1: R0=0
4: (95) exit
returning from callee:
 frame1: R0=0 R1=ctx() R10=fp0
to caller at 1:
 R0=0 R10=fp0

from 4 to 1: R0=0 R10=fp0
1: (95) exit
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
    slots, path = walked(text)
    assert slots == [0, 3, 4, 1]
    assert path.taken_up == {}


def test_a_log_that_makes_no_sense_has_some_path() -> None:
    text = "from 7 to 3: R0=1\n" * 3 + "3: (95) exit\n" + "from 3 to 900: safe\n5: (95) exit\n" * 9
    slots, path = walked(text)
    assert slots and not path.certain


@pytest.mark.parametrize(
    "text",
    [
        "1: (15) if r1 == 0 goto pc+3\n" + "from 1 to 5: R1=0\n5: (95) exit\n" * 40_000,
        "".join(f"{n}: (15) if r1 == 0 goto pc+{9998 - n}\n" for n in range(5000))
        + "9999: safe\n" * 20_000
        + "9999: (95) exit\n" * 20_000,
        "".join(f"{n}: (85) call pc+0\n" for n in range(30_000)),
        "".join(f"{n}: (bf) r1 += r2\n" for n in range(30_000, 0, -1)),
    ],
    ids=["turns", "jumps", "calls", "backwards"],
)
def test_what_was_made_to_take_long_does_not(text: str) -> None:
    start = time.process_time()
    report_of(VerifierLog(text.encode()), accepted=False)
    assert time.process_time() - start < 20
