"""CO-RE access strings: read off the object's types, followed in the kernel's."""

import pytest

from osmia.btf import BTF, BTFBuilder
from osmia.btf.core.spec import (
    element_of,
    enumerator_value,
    load_size_of,
    match_enumerator,
    match_field,
    match_type,
    parse_enumerator,
    parse_field,
    parse_type,
    shape_of,
)
from osmia.errors import ObjectFormatError


def mine() -> tuple[BTF, dict[str, int]]:
    """The object's view: struct s { int a; struct { int x; int y[4]; }; struct p *p; … }."""
    b = BTFBuilder()
    ids = {"int": b.add_int("int", 4, 1)}
    ids["pair"] = b.add_struct("pair", 8, [("l", ids["int"], 0), ("r", ids["int"], 32)])
    numbers = b.add_array(ids["int"], ids["int"], 4)
    pairs = b.add_array(ids["pair"], ids["int"], 2)
    inner = b.add_struct("", 20, [("x", ids["int"], 0), ("y", numbers, 32)])
    tail = b.add_array(ids["int"], ids["int"], 0)
    members = [
        ("a", ids["int"], 0),
        ("", inner, 32),
        ("pairs", pairs, 192),
        ("p", b.add_ptr(ids["pair"]), 320),
        ("tail", tail, 384),
    ]
    ids["s"] = b.add_struct("s", 48, members)
    ids["alias"] = b.add_typedef("s_t", b.add_const(ids["s"]))
    ids["enum"] = b.add_enum("e", [("A", 3), ("B___x", 4)])
    return b.build(), ids


@pytest.mark.parametrize(
    ("access", "bits", "names"),
    [
        ("0", 0, [""]),
        ("2", 2 * 48 * 8, [""]),
        ("0:0", 0, ["", "a"]),
        ("0:1:0", 32, ["", "x"]),
        ("0:1:1", 64, ["", "y"]),
        ("0:1:1:3", 64 + 96, ["", "y", ""]),
        ("1:2:1:1", 384 + 192 + 64 + 32, ["", "pairs", "", "r"]),
        ("0:4:7", 384 + 7 * 32, ["", "tail", ""]),
    ],
)
def test_a_path_counts_bits_and_skips_anonymous_members(
    access: str, bits: int, names: list[str]
) -> None:
    btf, ids = mine()
    for root in (ids["s"], ids["alias"]):
        spec = parse_field(btf, root, access)
        assert spec.bit_offset == bits
        assert [step.name for step in spec.steps] == names
        assert spec.raw == tuple(map(int, access.split(":")))
        assert spec.root == root


@pytest.mark.parametrize(
    "access",
    ["", "x", "-1", "0:", "0:9", "0:0:0", "0:1:1:4", "0:3:0", "0x1", "0:²", ":".join("0" * 65)],
)
def test_a_path_that_leads_nowhere_is_an_error(access: str) -> None:
    btf, ids = mine()
    with pytest.raises(ObjectFormatError, match="CO-RE"):
        parse_field(btf, ids["s"], access)


def test_types_and_enumerators_have_paths_of_one_number() -> None:
    btf, ids = mine()
    assert parse_type(btf, ids["s"], "0").root == ids["s"]
    with pytest.raises(ObjectFormatError):
        parse_type(btf, ids["s"], "1")
    assert parse_enumerator(btf, ids["enum"], "1").steps[0].name == "B___x"
    for type_id, access in ((ids["enum"], "2"), (ids["enum"], "0:0"), (ids["s"], "0")):
        with pytest.raises(ObjectFormatError):
            parse_enumerator(btf, type_id, access)


def kernel() -> tuple[BTF, int]:
    """The kernel's view: other offsets, `x` no longer anonymous inside, larger arrays."""
    b = BTFBuilder()
    b.add_float("unrelated", 4)
    number = b.add_int("int", 4, 1)
    wide = b.add_int("long", 8, 1)
    pair = b.add_struct("pair", 16, [("r", wide, 0), ("l", number, 64)])
    numbers = b.add_array(number, number, 8)
    deep = b.add_struct("", 32, [("y", numbers, 0)])
    either = b.add_union("", 32, [("", deep, 0), ("z", number, 0)])
    members = [
        ("new", wide, 0),
        ("x", number, 64),
        ("", either, 128),
        ("pairs", b.add_array(pair, number, 1), 384),
        ("a", b.add_ptr(number), 512),
        ("tail", b.add_array(wide, number, 0), 576),
    ]
    struct_id = b.add_struct("s", 72, members)
    return b.build(), struct_id


@pytest.mark.parametrize(
    ("access", "bits"),
    [
        ("0:1:0", 64),
        ("0:1:1:3", 128 + 96),
        ("0:2:0:1", 384),
        ("1:1:0", 72 * 8 + 64),
        ("0:4:2", 576 + 2 * 64),
        ("0:0", None),  # a pointer there, an integer here
        ("0:2:1:0", None),  # beyond the kernel's array
        ("0:3", None),  # no such member
    ],
)
def test_a_path_is_followed_by_name(access: str, bits: int | None) -> None:
    btf, ids = mine()
    target, target_id = kernel()
    found = match_field(parse_field(btf, ids["s"], access), target, target_id)
    assert (found.bit_offset if found else None) == bits


def test_whole_types_match_loosely_or_exactly() -> None:
    btf, ids = mine()
    target, target_id = kernel()
    local = parse_type(btf, ids["s"], "0")
    found = match_type(local, target, target_id, exactly=False)
    assert found is not None
    assert found.root == target_id
    assert match_type(local, target, target_id, exactly=True) is None
    assert match_type(local, btf, ids["s"], exactly=True) is not None


def test_enumerators_are_found_by_essential_name() -> None:
    btf, ids = mine()
    b = BTFBuilder()
    target_id = b.add_enum64("e", [("B", 1 << 40), ("A___new", 5)])
    target = b.build()
    values = []
    for access in ("0", "1"):
        found = match_enumerator(parse_enumerator(btf, ids["enum"], access), target, 1)
        assert found is not None
        values.append(enumerator_value(found))
    assert values == [5, 1 << 40]
    assert match_enumerator(parse_enumerator(btf, ids["enum"], "0"), btf, ids["s"]) is None
    assert target_id == 1


def test_old_kernels_do_not_say_which_enumerators_are_negative() -> None:
    b = BTFBuilder()
    b.add_enum("e", [("MINUS", 0xFFFF_FFFF), ("PLUS", 1)])
    spec = parse_enumerator(b.build(), 1, "0")
    assert enumerator_value(spec) == 0xFFFF_FFFF
    assert enumerator_value(spec, signed=True) == -1
    assert enumerator_value(parse_enumerator(b.build(), 1, "1"), signed=True) == 1


def test_the_shape_of_plain_fields() -> None:
    btf, ids = mine()
    shape = shape_of(parse_field(btf, ids["s"], "0:1:1"))
    assert (shape.byte_offset, shape.byte_size, shape.bit_size) == (8, 16, 128)
    assert (shape.bitfield, shape.signed, shape.load_size) == (False, False, 4)
    shape = shape_of(parse_field(btf, ids["s"], "0:0"))
    assert (shape.byte_offset, shape.byte_size, shape.signed, shape.load_size) == (0, 4, True, 4)


@pytest.mark.parametrize(
    ("offset", "bits", "size", "expected"),
    [
        (0, 3, 4, (0, 4)),
        (31, 1, 4, (0, 4)),
        (32, 5, 4, (4, 4)),
        (30, 4, 4, (0, 8)),
        (60, 4, 1, (7, 1)),
        (4, 8, 1, (0, 2)),
        (13, 4, 1, (0, 4)),
    ],
)
def test_bitfields_are_loaded_by_the_smallest_integer_around_them(
    offset: int, bits: int, size: int, expected: tuple[int, int]
) -> None:
    b = BTFBuilder()
    number = b.add_int("number", size)
    b.add_struct("s", 16, [("f", number, offset, bits)])
    shape = shape_of(parse_field(b.build(), 2, "0:0"))
    assert (shape.byte_offset, shape.byte_size) == expected
    assert (shape.bit_offset, shape.bit_size, shape.bitfield) == (offset, bits, True)


def test_a_bitfield_of_nothing_is_an_error() -> None:
    b = BTFBuilder()
    b.add_struct("s", 16, [("f", b.add_int("nothing", 0), 0, 3)])
    with pytest.raises(ObjectFormatError, match="0 bytes"):
        shape_of(parse_field(b.build(), 2, "0:0"))


def test_a_bitfield_across_eight_bytes_cannot_be_loaded() -> None:
    b = BTFBuilder()
    b.add_struct("s", 16, [("f", b.add_int("long", 8), 60, 8)])
    struct_id = len(b) - 1
    with pytest.raises(ObjectFormatError, match="across 8 bytes"):
        shape_of(parse_field(b.build(), struct_id, "0:0"))


def test_array_elements_and_the_root_are_no_members() -> None:
    btf, ids = mine()
    assert element_of(parse_field(btf, ids["s"], "0")) == ids["s"]
    assert element_of(parse_field(btf, ids["s"], "0:1:1:0")) == ids["int"]
    assert element_of(parse_field(btf, ids["s"], "0:0")) is None


def test_a_load_of_an_array_is_one_of_its_innermost_element() -> None:
    b = BTFBuilder()
    number = b.add_int("short", 2)
    b.add_array(b.add_typedef("row", b.add_array(number, number, 3)), number, 5)
    matrix = len(b) - 1
    assert load_size_of(b.build(), matrix) == 2
    endless = BTFBuilder()
    endless.add_array(1, 1, 1)
    with pytest.raises(ObjectFormatError, match="too deeply"):
        load_size_of(endless.build(), 1)
