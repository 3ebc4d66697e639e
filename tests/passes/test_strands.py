"""Where to count: as few counters as sums allow, and every count from them."""

from __future__ import annotations

import random

from osmia.isa import assemble
from osmia.isa.cfg import ControlFlow, control_flow
from osmia.passes.strands import Strand, counts_of, strands


def flow_of(text: str) -> ControlFlow:
    return control_flow(assemble(text), subprograms=False)


def made_of(text: str, *, throws: bool = False) -> list[Strand]:
    return strands(flow_of(text), throws=throws)


def counted(made: list[Strand]) -> int:
    return sum(not each.parts for each in made)


def test_straight_code_has_one_counter() -> None:
    assert counted(made_of("r0 = 1\nr0 += 1\nexit")) == 1


def test_a_condition_is_the_sum_of_its_arms() -> None:
    text = "if r1 == 0 goto other\nr0 = 1\ngoto end\nother: r0 = 2\nend: exit"
    made = made_of(text)
    assert counted(made) == 2
    *_, first = sorted(made, key=lambda each: len(each.parts))
    assert len(first.parts) == 2


def test_a_way_past_code_is_counted_by_itself() -> None:
    made = made_of("r0 = 1\nif r1 == 0 goto end\nr0 = 2\nend: exit")
    assert [each.ways for each in made if not each.parts and not each.pieces] == [[(1, 3)]]


def test_what_follows_a_tail_call_is_counted_by_itself() -> None:
    text = "r1 = 1\ncall bpf_tail_call\nr0 = 2\nexit"
    pieces = sorted(each.pieces[0] for each in made_of(text))
    assert pieces == [(0, 2), (2, 4)]


def test_any_call_may_end_code_that_throws() -> None:
    text = "call bpf_ktime_get_ns\nr0 = 2\nexit"
    assert counted(made_of(text)) == 1
    assert counted(made_of(text, throws=True)) == 2


def test_a_circle_that_nothing_leaves_is_counted() -> None:
    made = made_of("first: r0 = 1\ngoto second\nsecond: r0 = 2\ngoto first")
    assert counted(made) >= 1


def random_text(values: random.Random) -> str:
    count = values.randrange(3, 25)
    lines = ["r0 = 1", "r3 = 40"]
    for number in range(count):
        lines += [f"l{number}: r0 *= 31", f"r0 += {number}", "r3 += -1", "if r3 s< 0 goto end"]
        there = values.randrange(count)
        match values.randrange(4):
            case 0:
                lines.append(f"goto l{there}")
            case 1:
                lines.append(f"if r0 s> {values.getrandbits(31)} goto l{there}")
            case 2:
                lines.append(f"if w0 & {1 << values.randrange(20)} goto l{there}")
    return "\n".join([*lines, "end: exit"])


def test_counts_of_random_walks_are_those_of_the_walks() -> None:
    values = random.Random(15)
    for _ in range(100):
        flow = flow_of(random_text(values))
        made = strands(flow, throws=False)
        ran: dict[int, int] = dict.fromkeys(flow.instructions, 0)
        gone: dict[tuple[int, int], int] = {}
        for _ in range(50):  # walks that end; what they count is what counters would
            walk: list[int] = []
            at = 0
            while len(walk) < 10_000:
                block = flow.block_at(at)
                walk += [slot for slot, _ in flow.block_instructions(block)]
                if not block.successors:
                    break
                at = values.choice(block.successors)
                walk.append(-at - 1)
            else:
                continue
            _add(walk, ran, gone)
        numbers = [
            ran[each.pieces[0][0]] if each.pieces else gone.get(each.ways[0], 0)
            for each in made
            if not each.parts
        ]
        for strand, count in zip(made, counts_of(made, numbers), strict=True):
            for start, end in strand.pieces:
                assert {ran[slot] for slot in range(start, end) if slot in ran} == {count}
            assert all(gone.get(way, 0) == count for way in strand.ways)


def _add(walk: list[int], ran: dict[int, int], gone: dict[tuple[int, int], int]) -> None:
    last = 0
    for step in walk:
        if step >= 0:
            ran[step] += 1
            last = step
        else:
            way = last, -step - 1
            gone[way] = gone.get(way, 0) + 1


def test_a_ladder_of_conditions_has_a_counter_for_each_way_out() -> None:
    lines = [line for n in range(40) for line in (f"if r1 == {n} goto out", "r2 += 1")]
    made = made_of("\n".join([*lines, "out: r0 = 0", "exit"]))
    assert counted(made) == 41
    assert sum(len(each.pieces) + len(each.ways) for each in made) > 100
