"""Which slots a gotox may go to, from the tables that the code in front of it reads."""

import pytest

from osmia.isa import assemble, control_flow, live_registers
from osmia.object import Function, JumpTable, Object, Relocation, RelocationKind
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
    gotox r2
    r0 = 0
    exit
    {PLACES}
    r5 = 0 ll
    r1 += r5
    r5 = *(u64 *)(r1 +0)
    gotox r5
    """
    assert targets_of(text, one=0, other=12) == {3: (7, 9), 16: (9, 11)}


@pytest.mark.parametrize(
    "between",
    [
        "*(u64 *)(r10 -8) = r3\nr3 = *(u64 *)(r10 -8)",
        "r3 ^= 0\nr0 = 0",
        "call bpf_ktime_get_ns\nr0 = 0",
        "r3 = atomic64_fetch_add((u64 *)(r10 -8), r3)\nr0 = 0",
    ],
)
def test_an_entry_that_cannot_be_followed_may_be_one_of_any_table(between: str) -> None:
    text = f"r5 = 0 ll\nr3 = 0 ll\nr3 = *(u64 *)(r3 +0)\n{between}\ngotox r3\n{PLACES}"
    assert targets_of(text, other=0, one=2) == {7: (7, 9, 11)}


def test_what_comes_from_before_a_branch_may_be_one_of_any_table() -> None:
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
    assert targets_of(text, other=0, one=2) == {13: (7, 9, 11)}


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
