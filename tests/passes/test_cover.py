"""Code with counters does what it did, and counts what a vm counts of it as it was."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

import osmia
from osmia.coverage.model import CoverageData
from osmia.errors import RewriteError
from osmia.object import Object
from osmia.passes.cover import SECTION, Counted, cover

from .assembled import assembled

PACKETS = (bytes(64), bytes(range(64)), b"\xff" * 64)
FULL = "\n".join(f"r{n} = {n}" for n in (0, 2, 3, 4, 5, 6, 7, 8, 9))
"""Every register has a value that is needed later."""
SUM = "\n".join(f"r0 += r{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9))


def by_pass(obj: Object, program: str = "main") -> tuple[list[int], dict[str, Any]]:
    """What the program with counters gives, run in a vm, and what it counted."""
    made, counted = cover(obj, cpus=2)
    with made.load("vm", jit=False) as loaded:
        given = [loaded.programs[program].run(packet).retval for packet in PACKETS]
        counters = counted.sums(section_of(loaded, counted))
    return given, {key: each.counts(counters) for key, each in counted.functions.items()}


def section_of(loaded: Any, counted: Counted) -> bytes:
    (value,) = loaded.section_maps[SECTION].values()
    assert len(bytes(value)) == counted.rows.size
    return bytes(value)


def by_vm(obj: Object, program: str = "main") -> tuple[list[int], CoverageData]:
    with obj.load("vm", jit=False) as loaded, osmia.cover(loaded) as coverage:
        given = [loaded.programs[program].run(packet).retval for packet in PACKETS]
    return given, coverage.data


def agreed(obj: Object, program: str = "main") -> Mapping[str, Any]:
    """What both count; asserts that it is the same, and the results, too."""
    given, counts = by_pass(obj, program)
    expected, data = by_vm(obj, program)
    assert given == expected
    for function in data.functions.values():
        slots, ways = counts[function.name]
        assert {slot: slots[slot] for slot in function.slots} == function.slots
        assert ways == function.ways
    return counts


def random_function(values: random.Random, name: str, callees: list[str]) -> str:
    count = values.randrange(3, 15)
    lines = ["r0 = 1", "r6 = 40", "r7 = r1" if name != "main" else "r7 = 3"]
    for number in range(count):
        lines += [f"l{number}: r0 *= 31", f"r0 += {number}", "r6 += -1", "if r6 s< 0 goto end"]
        there = values.randrange(count)
        match values.randrange(6):
            case 0:
                lines.append(f"goto l{there}")
            case 1:
                lines.append(f"if r0 s> {values.getrandbits(31)} goto l{there}")
            case 2:
                lines.append(f"if w0 & {1 << values.randrange(20)} goto l{there}")
            case 3 if callees:
                lines += ["r1 = r0", f"call @{values.choice(callees)}"]
            case 4:
                lines += ["*(u64 *)(r10 - 8) = r0", "r1 = *(u64 *)(r10 - 8)", "r0 ^= r1"]
    return "\n".join([*lines, "end: r0 += r7", "exit"])


def test_random_functions_count_what_a_vm_counts() -> None:
    values = random.Random(15)
    for _ in range(40):
        functions = {"leaf": random_function(values, "leaf", [])}
        functions["middle"] = random_function(values, "middle", ["leaf"])
        main = random_function(values, "main", ["leaf", "middle"])
        agreed(assembled({"main": main}, functions))


def test_where_no_register_is_free_two_are_put_aside() -> None:
    text = f"r1 = 1\n{FULL}\nagain: r0 += 1\nif r0 < 9 goto again\nr0 += r1\n{SUM}\nexit"
    slots, ways = agreed(assembled({"main": text}))["main"]
    assert ways[11, 10] == 8 * len(PACKETS)
    assert slots[10] == 9 * len(PACKETS)


def test_a_full_frame_counts_in_the_row_that_all_share() -> None:
    text = (
        "*(u64 *)(r10 - 512) = 1\nr0 = *(u64 *)(r10 - 512)\nif r1 == 0 goto end\nr0 += 1\nend: exit"
    )
    made, counted = cover(assembled({"main": text}), cpus=2)
    assert b"\x85" not in made.functions["main"].code[0::8]
    with made.load("vm", jit=False) as loaded:
        loaded.programs["main"].run(bytes(64))
        section = section_of(loaded, counted)
    shared = counted.rows.count * counted.rows.stride
    assert not any(section[:shared])
    assert any(section[shared:])
    agreed(assembled({"main": text}))


def test_a_full_frame_without_free_registers_is_an_error() -> None:
    loop = f"{FULL}\nagain: r0 += 1\nif r0 < 9 goto again\nr0 += r1\n{SUM}"
    text = f"*(u64 *)(r10 - 512) = 1\nr1 = 1\n{loop}"
    with pytest.raises(RewriteError, match="'main' has no two registers"):
        cover(assembled({"main": text + "\nexit"}))


def test_arguments_are_there_when_the_cpu_was_asked_for() -> None:
    main = "\n".join([*(f"r{n} = {n}" for n in range(1, 6)), "call @five", "exit"])
    five = "r0 = r1\nr0 += r2\nr0 += r3\nr0 += r4\nr0 *= r5\nif r0 > 3 goto end\nr0 += 1\nend: exit"
    agreed(assembled({"main": main}, {"five": five}))
    given, _ = by_pass(assembled({"main": main}, {"five": five}))
    assert given == [50] * len(PACKETS)


def test_functions_under_a_lock_ask_for_no_cpu() -> None:
    lock = "r1 = map:locks\ncall bpf_spin_lock\n"
    programs = {"main": "call @inner\nexit", "other": f"{lock}r0 = 0\nexit"}
    obj = assembled(programs, {"inner": "r0 = 3\nexit"})
    made, _ = cover(obj)
    assert b"\x85" not in made.functions["inner"].code[0::8]
    assert b"\x85" in made.functions["main"].code[0::8]


def test_what_follows_a_tail_call_is_counted_when_it_failed() -> None:
    call = "r2 = map:calls\nr3 = {}\ncall bpf_tail_call\nr0 = 7\nexit"
    obj = assembled({"main": call.format(1), "next": call.format(30)}, slots={1: "next"})
    counts = agreed(obj)
    assert counts["main"][0][0] == len(PACKETS) == counts["next"][0][5]
    assert counts["main"][0][5] == 0


def test_loops_back_to_the_first_instruction_enter_the_function_once() -> None:
    text = (
        "first: r0 = *(u64 *)(r10 - 8)\nr0 += 1\n*(u64 *)(r10 - 8) = r0\nif r0 < 5 goto first\nexit"
    )
    text = text.replace("first: r0", "first: *(u64 *)(r10 - 16) = 1\nr0", 1)
    made, counted = cover(assembled({"main": text}))
    assert counted.counters == 2
    assert made.functions["main"].code[0::8].count(b"\x85") == 1


def test_more_counters_than_an_offset_reaches() -> None:
    lines = [f"if r0 == {n} goto end\nr0 += 1" for n in range(5000)]
    obj = assembled({"main": "\n".join(["r0 = 0", *lines, "end: exit"])})
    assert agreed(obj)["main"][0][0] == len(PACKETS)


def test_an_object_is_counted_once() -> None:
    obj = assembled({"main": "r0 = 0\nexit"})
    made, counted = cover(obj)
    assert counted.object is obj
    assert SECTION not in obj.data_sections
    with pytest.raises(RewriteError, match="counted already"):
        cover(made)


def test_functions_that_no_load_takes_stay_as_they_are() -> None:
    obj = assembled({"main": "r0 = 0\nexit", "other": "call @inner\nexit"}, {"inner": "exit"})
    obj.set_autoload("other", False)
    made, counted = cover(obj)
    assert counted.functions.keys() == {"main"}
    assert made.functions["inner"] == obj.functions["inner"]


def test_each_cpu_has_a_row() -> None:
    _, counted = cover(assembled({"main": "r0 = 0\nexit"}), cpus=5)
    assert counted.rows.count == 8
    with pytest.raises(RewriteError, match="too many"):
        cover(assembled({"main": "r0 = 0\nexit"}), cpus=1 << 24)


def test_only_the_functions_that_are_named_are_counted() -> None:
    text = {"main": "r6 = r1\ncall @part\nr0 += 1\nexit", "part": "r0 = 2\nexit"}
    obj = assembled(text)
    _, whole = cover(obj)
    made, counted = cover(obj, only=["part"])
    assert list(counted.functions) == ["part"] and counted.counters < whole.counters
    with obj.load("vm", jit=False) as plain, made.load("vm", jit=False) as loaded:
        assert loaded.programs["main"].run(bytes(64)).retval == 3
        assert plain.programs["main"].run(bytes(64)).retval == 3
        slots, _ = counted.functions["part"].counts(counted.sums(section_of(loaded, counted)))
        assert set(slots.values()) == {1}
    with pytest.raises(RewriteError, match="no function 'prt'"):
        cover(obj, only=["prt"])
