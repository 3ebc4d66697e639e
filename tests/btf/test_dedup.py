"""Deduplication: what several compilation units say in common is said once."""

from pathlib import Path

import pytest

from osmia.btf import BTF, BTFBuilder, Kind, Struct, deduplicate, format_type, kernel_btf, merge
from osmia.btf.references import referenced_ids
from osmia.errors import LinkError, ObjectFormatError


def unit(b: BTFBuilder, *, complete: bool = True, extra: bool = False) -> dict[str, int]:
    """The types of one compilation unit: a list, a table of functions, global variables."""
    ids = {"int": b.add_int("int", 4, 1)}
    ids["node"] = b.add_struct("node", 16, [("next", len(b) + 1, 0), ("item", len(b) + 2, 64)])
    b.add_ptr(ids["node"])
    item = [("value", ids["int"], 0), *([("more", ids["int"], 32)] if extra else [])]
    b.add_ptr(len(b) + 1)
    ids["item"] = b.add_struct("item", 4 + 4 * extra, item) if complete else b.add_fwd("item")
    ids["proto"] = b.add_func_proto(ids["int"], [("node", ids["node"] + 1)])
    ids["visit"] = b.add_func("visit", ids["proto"])
    ids["state"] = b.add_var("state", ids["node"])
    ids["color"] = b.add_enum("color", [("RED", 1)] if complete else [])
    return ids


def test_a_unit_that_is_there_twice_is_left_once() -> None:
    builder = BTFBuilder()
    first, second = unit(builder), unit(builder)
    result = deduplicate(builder.build())
    for name in ("int", "node", "item", "proto", "visit", "color"):
        assert result.ids[first[name]] == result.ids[second[name]]
    # The variables are for symbols to join.
    assert result.ids[first["state"]] != result.ids[second["state"]]
    assert len(result.builder) == first["color"] + 1 + 1


def test_types_keep_their_order_and_their_meaning() -> None:
    builder = BTFBuilder()
    unit(builder)
    unit(builder)
    before = builder.build()
    result = deduplicate(before)
    after = result.builder.build()
    new_ids = [new_id for i, new_id in enumerate(result.ids) if new_id not in result.ids[:i]]
    assert new_ids == list(range(len(after)))
    for old_id, new_id in enumerate(result.ids):
        assert format_type(before, old_id) == format_type(after, new_id)


def test_doing_it_twice_changes_nothing_more() -> None:
    builder = BTFBuilder()
    unit(builder)
    unit(builder)
    once = deduplicate(builder.build()).builder.build()
    twice = deduplicate(once)
    assert twice.builder.to_bytes() == once.to_bytes()
    assert twice.ids == list(range(len(once)))


@pytest.mark.parametrize("complete_first", [True, False])
def test_a_declaration_becomes_the_definition_of_the_other_unit(complete_first: bool) -> None:
    builder = BTFBuilder()
    first = unit(builder, complete=complete_first)
    second = unit(builder, complete=not complete_first)
    result = deduplicate(builder.build())
    after = result.builder.build()
    for name in ("node", "item", "visit", "color"):
        assert result.ids[first[name]] == result.ids[second[name]]
    assert after.kind_of(result.ids[first["item"]]) == Kind.STRUCT
    assert after.find("item", Kind.FWD) == 0
    assert len(after.find_all("color")) == 1


def test_a_declaration_stays_when_definitions_differ() -> None:
    builder = BTFBuilder()
    units = [unit(builder, complete=False), unit(builder), unit(builder, extra=True)]
    result = deduplicate(builder.build())
    assert len({result.ids[ids["item"]] for ids in units}) == 3
    assert len({result.ids[ids["node"]] for ids in units}) == 3


def test_definitions_that_differ_only_further_on_are_told_apart() -> None:
    """Both structs "outer" say the same; what they point to differs, behind declarations."""
    builder = BTFBuilder()
    outers, declared = [], []
    for size in (4, 8):
        integer = builder.add_int("word", size)
        inner = builder.add_struct("inner", 8, [("word", integer, 0)])
        outers.append(builder.add_struct("outer", 8, [("inner", builder.add_ptr(inner), 0)]))
        declared.append(builder.add_ptr(builder.add_fwd("outer")))
    result = deduplicate(builder.build())
    assert result.ids[outers[0]] != result.ids[outers[1]]
    assert result.ids[declared[0]] == result.ids[declared[1]]
    after = result.builder.build()
    assert len(after.find_all("outer", Kind.STRUCT)) == 2
    assert len(after.find_all("outer", Kind.FWD)) == 1


def test_what_differs_in_any_way_stays_apart() -> None:
    b = BTFBuilder()
    number, other = b.add_int("int", 4, 1), b.add_int("int", 4)
    b.add_struct("s", 8, [("x", number, 0)])
    b.add_struct("s", 8, [("y", number, 0)])
    b.add_struct("s", 8, [("x", number, 32)])
    b.add_struct("s", 8, [("x", other, 0)])
    b.add_struct("s", 4, [("x", number, 0)])
    b.add_struct("s", 8, [("x", number, 0, 3)])
    b.add_union("s", 8, [("x", number, 0)])
    b.add_const(number)
    b.add_volatile(number)
    b.add_typedef("t", number)
    b.add_type_tag("t", number)
    b.add_type_tag("t", number, attribute=True)
    b.add_array(number, number, 3)
    b.add_array(number, number, 4)
    proto = b.add_func_proto(number, [("a", number)])
    b.add_func_proto(number, [("b", number)])
    b.add_func("f", proto, 0)
    b.add_func("f", proto, 1)
    b.add_decl_tag("t", 3, 0)
    b.add_decl_tag("t", 3, -1)
    b.add_enum("e", [("A", 1)])
    b.add_enum64("e", [("A", 1)])
    btf = b.build()
    assert deduplicate(btf).ids == list(range(len(btf)))


def test_split_btf_keeps_only_what_its_base_lacks() -> None:
    builder = BTFBuilder()
    first = unit(builder)
    base = builder.build()
    split = BTFBuilder(base)
    second = unit(split, complete=False)
    extra = split.add_struct("extra", 16, [("node", second["node"], 0)])
    result = deduplicate(split.build())
    after = result.builder.build()
    assert result.ids[: len(base)] == list(range(len(base)))
    assert result.ids[second["node"]] == first["node"]
    assert result.ids[second["item"]] == first["item"]
    assert after.base is base
    found = after.type(result.ids[extra])
    assert isinstance(found, Struct)
    assert found.members[0].type_id == first["node"]
    assert len(after) == len(base) + 2  # the variable and the new struct


def test_strings_without_a_type_are_dropped() -> None:
    builder = BTFBuilder()
    builder.add_string("nobody's")
    builder.add_int("int", 4)
    assert deduplicate(builder.build()).builder.build().string_offset("nobody's") is None


def test_references_to_nothing_are_refused() -> None:
    builder = BTFBuilder()
    builder.add_ptr(7)
    with pytest.raises(ObjectFormatError, match="type 1 refers to type 7"):
        deduplicate(builder.build())


@pytest.mark.skipif(not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel shows no BTF")
def test_the_kernels_types_taken_twice_are_left_once() -> None:
    part = BTFBuilder()
    kernel = kernel_btf()
    wanted = set(closure(kernel, [kernel.find("sk_buff", Kind.STRUCT)]))
    mapping = {old_id: new_id for new_id, old_id in enumerate(sorted(wanted), 1)}
    for type_id in sorted(wanted):
        part.add(kernel.type(type_id), mapping)
    once = part.build()
    assert len(deduplicate(once).builder) == len(once)
    part.extend(once)
    assert deduplicate(part.build()).builder.to_bytes() == once.to_bytes()


def closure(btf: BTF, ids: list[int]) -> set[int]:
    seen: set[int] = set()
    while ids:
        type_id = ids.pop()
        if type_id and type_id not in seen:
            seen.add(type_id)
            ids += referenced_ids(btf.type(type_id))
    return seen


def test_units_are_merged_into_one_btf() -> None:
    first, second = BTFBuilder(), BTFBuilder()
    second.add_float("double", 8)
    mine, other = unit(first, complete=False), unit(second)
    section = second.add_datasec(".data", 16, [(other["state"], 0, 16)])
    merged = merge([first.build(), second.build()])
    for name in ("int", "node", "item", "proto", "visit", "color"):
        assert merged.ids[0][mine[name]] == merged.ids[1][other[name]]
    assert merged.ids[0][mine["state"]] != merged.ids[1][other["state"]]
    assert merged.ids[1][section] == 0
    assert merged.btf.kind_of(merged.ids[0][mine["item"]]) is Kind.STRUCT
    assert not merged.btf.ids_of_kind(Kind.DATASEC)


def test_what_is_left_out_goes_with_its_tags() -> None:
    builder = BTFBuilder()
    ids = unit(builder)
    tag = builder.add_decl_tag("hot", ids["state"])
    merged = merge([builder.build()], [{ids["state"]}])
    assert merged.ids[0][ids["state"]] == merged.ids[0][tag] == 0
    assert len(merged.btf) == len(builder) - 2
    assert merged.btf.find("state") == 0


def test_byte_orders_do_not_mix() -> None:
    with pytest.raises(LinkError, match=r"different byte orders: .* little, .* big-endian"):
        merge([BTFBuilder().build(), BTFBuilder(byteorder="big").build()])


def test_nothing_merged_is_nothing() -> None:
    merged = merge([])
    assert len(merged.btf) == 1
    assert merged.ids == []
