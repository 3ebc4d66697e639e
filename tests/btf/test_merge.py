"""Merging: beside the slow way, and whatever the order of what is merged."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.btf import BTF, BTFBuilder, Kind, deduplicate, format_type, merge
from osmia.btf.references import referenced_ids
from osmia.errors import LinkError, ObjectFormatError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=300)

_NAMES = st.sampled_from(["", "a", "b"])
_TAGS = st.sampled_from(["", "s", "t", "t"])


@st.composite
def units(draw: st.DrawFn) -> BTF:
    """A BTF of a few types that refer to each other in any way, also in ways that C does not."""
    builder = BTFBuilder()
    count = draw(st.integers(1, 9))
    target = st.integers(0, count)
    for _ in range(count):
        match draw(st.integers(0, 11)):
            case 0:
                builder.add_int(draw(_NAMES), draw(st.sampled_from([4, 8])))
            case 1 | 2:
                builder.add_ptr(draw(target))
            case 3 | 4:
                builder.add_struct(draw(_TAGS), 8, draw(_members(target)))
            case 5:
                builder.add_union(draw(_TAGS), 8, draw(_members(target)))
            case 6:
                builder.add_fwd(draw(_TAGS), is_union=draw(st.booleans()))
            case 7:
                builder.add_typedef(draw(_NAMES), draw(target))
            case 8:
                builder.add_array(draw(target), draw(target), draw(st.integers(0, 1)))
            case 9:
                builder.add_func_proto(
                    draw(target), draw(st.lists(st.tuples(_NAMES, target), max_size=2))
                )
            case 10:
                values = draw(st.lists(st.tuples(_NAMES, st.integers(0, 1)), max_size=2))
                add = draw(st.sampled_from([builder.add_enum, builder.add_enum64]))
                add(draw(_TAGS), values, size=8)
            case 11:
                builder.add_func(draw(_NAMES), draw(target))
    for _ in range(draw(st.integers(0, 2))):
        builder.add_decl_tag(draw(_NAMES), draw(target), draw(st.integers(-1, 1)))
    for _ in range(draw(st.integers(0, 2))):
        builder.add_var(draw(_NAMES), draw(target))
    return builder.build()


def _members(target: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    return st.lists(st.tuples(_NAMES, target, st.just(0)), max_size=3)


def groups(ids: list[list[int]]) -> set[frozenset[tuple[int, int]]]:
    """The types that became one, each as (number of its unit, id there)."""
    found = defaultdict(set)
    for number, of_unit in enumerate(ids):
        for old_id, new_id in enumerate(of_unit):
            found[new_id].add((number, old_id))
    return set(map(frozenset, found.values()))


def slowly_merged(inputs: list[BTF]) -> list[list[int]]:
    builder = BTFBuilder()
    placed = [builder.extend(btf) for btf in inputs]
    ids = deduplicate(builder.build()).ids
    return [[ids[i] for i in of_unit] for of_unit in placed]


@given(st.lists(units(), min_size=1, max_size=4))
@SETTINGS
def test_the_slow_way_finds_the_same_types_equal(inputs: list[BTF]) -> None:
    assert groups(merge(inputs).ids) == groups(slowly_merged(inputs))


@given(st.lists(units(), min_size=1, max_size=4))
@SETTINGS
def test_types_mean_what_they_meant(inputs: list[BTF]) -> None:
    merged = merge(inputs)
    for btf, ids in zip(inputs, merged.ids, strict=True):
        for old_id in btf:
            before, after = btf.type(old_id), merged.btf.type(ids[old_id])
            assert before.name == after.name
            if before.kind is after.kind:
                children = [ids[child] for child in referenced_ids(before)]
                assert children == referenced_ids(after)
            else:
                assert before.kind in (Kind.FWD, Kind.ENUM, Kind.ENUM64)


@given(st.lists(units(), min_size=2, max_size=3))
@SETTINGS
def test_the_order_of_the_inputs_leaves_no_trace(inputs: list[BTF]) -> None:
    first, *others = (merge(list(order)).btf.to_bytes() for order in permutations(inputs))
    assert all(data == first for data in others)


@given(units())
@SETTINGS
def test_merging_again_changes_nothing(btf: BTF) -> None:
    once = merge([btf]).btf
    again = merge([once])
    assert again.btf.to_bytes() == once.to_bytes()
    assert again.ids == [list(range(len(once)))]


def circle(b: BTFBuilder, length: int) -> None:
    for _ in range(length - 1):
        b.add_ptr(len(b) + 1)
    b.add_ptr(len(b) - length + 1)


def shuffled_chain(b: BTFBuilder, length: int) -> None:
    order = list(range(1, length + 1))
    random.Random(1).shuffle(order)
    following = dict(pairwise([*order, 0]))
    for type_id in range(1, length + 1):
        b.add_ptr(following[type_id])


def wide_after_chain(b: BTFBuilder, length: int) -> None:
    """A struct without a name, each of whose members waits for the one before."""
    b.add_struct("", 8, [("", 2 + i, 0) for i in range(length)])
    for _ in range(length - 1):
        b.add_ptr(len(b) + 1)
    b.add_ptr(0)


def same_names(b: BTFBuilder, length: int) -> None:
    for size in range(length):
        b.add_struct("s", size, [("next", 1 + (size + 1) % length, 0)])


def two_circles(b: BTFBuilder) -> None:
    circle(b, 4_999)
    circle(b, 5_000)


HOSTILE: dict[str, Callable[[BTFBuilder], None]] = {
    "circles without a name": two_circles,
    "a chain in no order": lambda b: shuffled_chain(b, 20_000),
    "a struct that waits for a chain": lambda b: wide_after_chain(b, 20_000),
    "one name for many structs": lambda b: same_names(b, 5_000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_no_compiler_writes_takes_bounded_time(case: str) -> None:
    builder = BTFBuilder()
    HOSTILE[case](builder)
    btf = builder.build()
    started = time.process_time()
    merged = merge([btf, btf])
    assert time.process_time() - started < 10
    assert merged.ids[0] == merged.ids[1]


def test_circles_without_a_name_are_one_type() -> None:
    builder = BTFBuilder()
    circle(builder, 5)
    circle(builder, 3)
    merged = merge([builder.build()])
    assert merged.ids == [[0] + 8 * [1]]


def test_references_to_nothing_are_refused() -> None:
    builder = BTFBuilder()
    builder.add_struct("s", 8, [("p", builder.add_ptr(7), 0)])
    with pytest.raises(ObjectFormatError, match="type 1 refers to type 7, which does not exist"):
        merge([builder.build()])


def test_references_to_nothing_are_refused_beside_circles_too() -> None:
    builder = BTFBuilder()
    builder.add_struct("", 16, [("me", 1, 0), ("nothing", 7, 64)])
    with pytest.raises(ObjectFormatError, match="type 1 refers to type 7, which does not exist"):
        merge([builder.build()])


def test_types_on_top_of_others_are_refused() -> None:
    with pytest.raises(LinkError, match="split BTF"):
        merge([BTFBuilder(BTFBuilder().build()).build()])


def test_names_that_are_ends_of_others_are_the_same_names() -> None:
    builder = BTFBuilder()
    builder.add_int("print", 4)
    whole = BTFBuilder()
    whole.add_int("int", 4)
    data = bytearray(builder.build().to_bytes())
    place = builder.build().record_offset(1)
    data[place : place + 4] = (3).to_bytes(4, "little")
    assert merge([BTF(bytes(data)), whole.build()]).ids == [[0, 1], [0, 1]]


def test_a_declaration_of_no_size_takes_part() -> None:
    """What declares an enumeration may be of either kind and any size."""
    units = [BTFBuilder() for _ in range(3)]
    units[0].add_enum("e", [])
    units[1].add_enum64("e", [])
    units[2].add_enum64("e", [("A", 1 << 40)])
    declared = merge([unit.build() for unit in units[:2]])
    assert declared.ids == [[0, 1], [0, 1]]
    defined = merge([unit.build() for unit in units])
    assert defined.ids == 3 * [[0, 1]]
    assert defined.btf.kind_of(1) is Kind.ENUM64


def test_several_structs_of_one_name_leave_the_others_alone() -> None:
    """Each unit has an `event` of its own, and a `task` that all have in common."""
    inputs = []
    for number in range(3):
        b = BTFBuilder()
        integer = b.add_int("int", 4)
        event = b.add_struct("event", 4, [(f"field{number}", integer, 0)])
        b.add_struct("holder", 8, [("event", b.add_ptr(event), 0)])
        task = b.add_struct("task", 8, [("next", len(b) + 1, 0)])
        b.add_ptr(task)
        inputs.append(b.build())
    merged = merge(inputs)
    assert len(merged.btf.find_all("event")) == len(merged.btf.find_all("holder")) == 3
    assert len(merged.btf.find_all("task")) == 1
    for btf, ids in zip(inputs, merged.ids, strict=True):
        for type_id in btf:
            assert format_type(btf, type_id) == format_type(merged.btf, ids[type_id])


def test_the_other_byte_order_is_kept() -> None:
    builders = [BTFBuilder(byteorder="big") for _ in range(2)]
    for builder in builders:
        builder.add_struct("s", 4, [("a", builder.add_int("int", 4), 0)])
    merged = merge([builder.build() for builder in builders])
    assert merged.btf.byteorder == "big"
    assert format_type(merged.btf, merged.ids[1][2]) == "struct s"
