"""Which slots a gotox may go to, from the tables that the code in front of it reads."""

from dataclasses import replace

import pytest

from osmia.isa import assemble, control_flow, live_registers
from osmia.object import CoreRelocation, Function, JumpTable, Object, Relocation, RelocationKind
from osmia.object.jump_targets import jump_targets, placed_targets

ONE = JumpTable("one", "entry", (7, 9, 7))
OTHER = JumpTable("other", "entry", (11, 9))


def object_with(text: str, **tables: int) -> Object:
    """A function `entry` of assembly text; each table is referred to at its slot."""
    relocations = tuple(
        Relocation(8 * slot, RelocationKind.JUMP_TABLE, name) for name, slot in tables.items()
    )
    entry = Function("entry", ".text", assemble(text), relocations)
    return Object("o", functions={"entry": entry}, jump_tables={"one": ONE, "other": OTHER})


def targets_of(text: str, **tables: int) -> dict[int, tuple[int, ...]]:
    obj = object_with(text, **tables)
    return jump_targets(obj, obj.functions["entry"])


PLACES = """
    r0 = 7
    exit
    r0 = 9
    exit
    r0 = 11
    exit
"""


def test_a_jump_goes_where_the_table_in_front_of_it_says() -> None:
    text = f"r2 = 0 ll\nr2 += r1\nr3 = *(u64 *)(r2 +0)\nr4 = r3\ngotox r4\nexit\n{PLACES}"
    assert targets_of(text, one=0) == {5: (7, 9)}


def test_two_jumps_through_two_tables_are_told_apart() -> None:
    text = f"""
    r2 = 0 ll
    r2 = *(u64 *)(r2 +8)
    if r1 == 0 goto second
    gotox r2
    r0 = 0
    exit
    {PLACES}
second:
    r5 = 0 ll
    r1 += r5
    r5 = *(u64 *)(r1 +0)
    gotox r5
    """
    assert targets_of(text, one=0, other=13) == {4: (7, 9), 17: (9, 11)}


@pytest.mark.parametrize(
    "between",
    [
        "*(u64 *)(r10 -8) = r3\nr3 = *(u64 *)(r10 -16)",
        "r3 += 8\nr0 = 0",
        "r3 ^= 0\nr0 = 0",
        "call bpf_ktime_get_ns\nr0 = 0",
        "r3 = atomic64_fetch_add((u64 *)(r10 -8), r3)\nr0 = 0",
    ],
)
def test_an_entry_that_cannot_be_followed_may_be_one_of_any_table(between: str) -> None:
    text = f"r5 = 0 ll\nr3 = 0 ll\nr3 = *(u64 *)(r3 +0)\n{between}\ngotox r3\n{PLACES}"
    assert targets_of(text, other=0, one=2) == {7: (7, 9, 11)}


def test_an_entry_is_followed_through_the_stack() -> None:
    text = f"""
    r5 = 0 ll
    r3 = 0 ll
    r3 = *(u64 *)(r3 +0)
    *(u64 *)(r10 -8) = r3
    goto there
    {PLACES}
there:
    r4 = *(u64 *)(r10 -8)
    gotox r4
    """
    assert targets_of(text, other=0, one=2) == {14: (7, 9)}


def test_an_entry_is_followed_through_branches() -> None:
    text = f"""
    r5 = 0 ll
    r3 = 0 ll
    r3 = *(u64 *)(r3 +0)
    r0 = 1
    goto there
    {PLACES}
there:
    gotox r3
    """
    assert targets_of(text, other=0, one=2) == {13: (7, 9)}


def test_an_entry_of_one_table_or_another_leads_where_both_lead() -> None:
    text = f"""
    r5 = 0 ll
    r3 = 0 ll
    if r1 == 0 goto there
    r3 = r5
    goto there
    {PLACES}
there:
    r3 = *(u64 *)(r3 +0)
    gotox r3
    """
    assert targets_of(text, other=0, one=2) == {14: (7, 9, 11)}


def test_a_jump_that_is_reached_through_another_one_is_found() -> None:
    """Only from slot 7, where the first jump goes, the second one is reached."""
    text = """
    r5 = 0 ll
    r3 = 0 ll
    r3 = *(u64 *)(r3 +0)
    gotox r3
    exit
    goto second
    exit
    r0 = 9
    exit
    exit
second:
    r5 = *(u64 *)(r5 +8)
    gotox r5
    """
    assert targets_of(text, other=0, one=2) == {5: (7, 9), 13: (9, 11)}


def test_a_jump_that_nothing_leads_to_may_go_anywhere() -> None:
    text = f"r5 = 0 ll\nr3 = 0 ll\nr0 = 0\nr0 = 0\nexit\n{PLACES}gotox r3"
    assert targets_of(text, other=0, one=2) == {13: (7, 9, 11)}


def test_values_that_core_will_change_are_not_known() -> None:
    """Before CO-RE the comparison's number is not final, and both ways may be taken."""
    text = f"""
    r5 = 0 ll
    r3 = 0 ll
    r1 = 1
    if r1 == 1 goto there
    goto elsewhere
    {PLACES}
elsewhere:
    r3 = r5
there:
    r3 = *(u64 *)(r3 +0)
    gotox r3
    """
    obj = object_with(text, other=0, one=2)
    entry = obj.functions["entry"]
    assert jump_targets(obj, entry) == {15: (7, 9)}
    record = CoreRelocation(8 * 4, 0, 1, "0")
    unresolved = replace(entry, core_relocations=(record,))
    assert jump_targets(obj, unresolved) == {15: (7, 9, 11)}


def test_a_jump_without_any_table_goes_nowhere_known() -> None:
    assert targets_of("gotox r1\nexit") == {}
    assert targets_of("r0 = 0\nexit") == {}


def test_targets_are_placed_where_the_functions_are() -> None:
    text = f"r2 = 0 ll\nr2 += r1\nr3 = *(u64 *)(r2 +0)\ngotox r3\nexit\nexit\n{PLACES}"
    obj = object_with(text, one=0)
    assert placed_targets(obj, [(100, "entry")]) == {104: (107, 109)}


def test_control_flow_and_liveness_follow_a_table() -> None:
    text = f"""
    r2 = 0 ll
    r2 += r1
    r3 = *(u64 *)(r2 +0)
    gotox r3
    r0 = r7
    exit
    {PLACES.replace("r0 = 9", "r0 = r8")}
    """
    obj = object_with(text, one=0)
    entry = obj.functions["entry"]
    flow = control_flow(entry.code, subprograms=False, jump_tables=jump_targets(obj, entry))
    assert flow.block_at(4).successors == (7, 9)
    assert not flow.is_reachable(5)
    assert not flow.is_reachable(11)
    needed = live_registers(flow).before[4]
    assert needed & 1 << 8  # one target reads it
    assert not needed & 1 << 7  # no target does


def test_many_jumps_and_many_targets_are_not_followed() -> None:
    """A hostile file may have very many of both: then all jumps go wherever a table says."""
    size = 1000
    text = "r2 = 0 ll\nr3 = 0 ll\n" + "r2 = *(u64 *)(r2 +0)\ngotox r2\n" * size + "exit"
    tables = {
        "one": JumpTable("one", "entry", tuple(range(4, 2 * size))),
        "other": JumpTable("other", "entry", (5,)),
    }
    relocations = tuple(
        Relocation(8 * slot, RelocationKind.JUMP_TABLE, name)
        for name, slot in (("one", 0), ("other", 2))
    )
    entry = Function("entry", ".text", assemble(text), relocations)
    obj = Object("o", functions={"entry": entry}, jump_tables=tables)
    found = placed_targets(obj, [(0, "entry")])
    assert len(found) == size
    assert set(map(len, found.values())) == {2 * size - 4}


def test_many_jumps_share_what_they_know() -> None:
    """A hostile file may have very many of both: the work does not multiply."""
    size = 20_000
    text = "r2 = 0 ll\nr2 = *(u64 *)(r2 +0)\n" + "r3 = r2\ngotox r3\n" * size + "exit"
    targets = tuple(range(2 * size + 3, 2 * size + 4)) * size
    table = JumpTable("one", "entry", targets)
    entry = Function(
        "entry", ".text", assemble(text), (Relocation(0, RelocationKind.JUMP_TABLE, "one"),)
    )
    obj = Object("o", functions={"entry": entry}, jump_tables={"one": table})
    found = placed_targets(obj, [(7, "entry")])
    assert len(found) == size
    assert len({id(each) for each in found.values()}) == 1
