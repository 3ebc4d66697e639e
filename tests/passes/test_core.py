"""CO-RE records answered and written into instructions, by libbpf's rules."""

from __future__ import annotations

import pytest

from osmia.btf import BTF, BTFBuilder
from osmia.errors import RelocationError
from osmia.isa import assemble, disassemble
from osmia.object.model import CoreKind, CoreRelocation, Function, Object, Unresolved
from osmia.passes.core import relocate_core
from osmia.passes.poison import POISON
from osmia.passes.target import Target

POISONED = [f"call unknown#{POISON}"]


def relocated(code: str, btf: BTF, kernel: BTF, *records: tuple[CoreKind, int, str]) -> list[str]:
    """`code` after relocation; the records belong to its instructions in turn, each one slot."""
    core = tuple(
        CoreRelocation(8 * slot, kind, type_id, access)
        for slot, (kind, type_id, access) in enumerate(records)
    )
    function = Function("f", "raw_tp/x", assemble(code), core_relocations=core)
    obj = Object("object", functions={"f": function}, btf=btf)
    result = relocate_core(obj, Target(btf=kernel)).functions["f"]
    assert result.core_relocations == ()
    return [line for _, line in disassemble(result.code)]


def structs(*layouts: list[tuple[str, str, int]], sizes: int = 64) -> BTF:
    """A struct `s` for each layout: members as (name, type, bit offset). `u…` and `s…` are
    integers of so many bits, `u16x4` an array, `ptr` a pointer, `u8:3` a bitfield."""
    b = BTFBuilder()
    known: dict[str, int] = {}

    def type_of(text: str) -> int:
        base = text.partition(":")[0]
        if base in known:
            return known[base]
        if base == "ptr":
            known[base] = b.add_ptr(0)
        elif "x" in base:
            element, _, count = base.rpartition("x")
            known[base] = b.add_array(type_of(element), type_of("u32"), int(count))
        else:
            known[base] = b.add_int(base, int(base[1:]) // 8, base.startswith("s"))
        return known[base]

    for layout in layouts:
        for _, text, _ in layout:
            type_of(text)
    for layout in layouts:
        members = [
            (name, type_of(text), bits, int(text.partition(":")[2] or 0))
            for name, text, bits in layout
        ]
        b.add_struct("s", sizes, members)
    return b.build()


OFFSET = CoreKind.FIELD_BYTE_OFFSET


def test_an_offset_is_written_into_loads_stores_and_numbers() -> None:
    mine, kernel = structs([("a", "u32", 32)]), structs([("a", "u32", 64)])
    field = (OFFSET, mine.find("s"), "0:0")
    code = "r1 = *(u32 *)(r1 +4)\n*(u32 *)(r1 +4) = r2\n*(u32 *)(r1 +4) = 7\nr1 += 4"
    assert relocated(code, mine, kernel, field, field, field, field) == [
        "r1 = *(u32 *)(r1 +8)",
        "*(u32 *)(r1 +8) = r2",
        "*(u32 *)(r1 +8) = 7",
        "r1 += 8",
    ]


def test_candidates_that_lacked_an_earlier_field_are_out_for_later_ones() -> None:
    mine = structs([("a", "u32", 0), ("b", "u32", 32)])
    kernel = structs([("b", "u32", 64)], [("a", "u32", 0), ("b", "u32", 96)])
    a, b = ((OFFSET, mine.find("s"), access) for access in ("0:0", "0:1"))
    code = "r1 = *(u32 *)(r1 +0)\nr1 = *(u32 *)(r1 +4)"
    assert relocated(code, mine, kernel, a, b)[1] == "r1 = *(u32 *)(r1 +12)"
    with pytest.raises(RelocationError, match="ambiguous"):
        relocated("r1 = *(u32 *)(r1 +4)\nr1 = *(u32 *)(r1 +0)", mine, kernel, b, a)


def test_candidates_stay_when_none_has_the_field() -> None:
    mine = structs([("a", "u32", 0), ("b", "u32", 32)])
    kernel = structs([("b", "u32", 64)])
    a = (CoreKind.FIELD_EXISTS, mine.find("s"), "0:0")
    b = (OFFSET, mine.find("s"), "0:1")
    assert relocated("r1 = 1\nr1 = *(u32 *)(r1 +4)", mine, kernel, a, b) == [
        "r1 = 0",
        "r1 = *(u32 *)(r1 +8)",
    ]


@pytest.mark.parametrize("access", ["0:0", "0:0:0"])
def test_a_load_from_an_array_is_one_of_its_element_whatever_its_length(access: str) -> None:
    mine, kernel = structs([("a", "u16x4", 0)]), structs([("a", "u16x8", 64)])
    field = (OFFSET, mine.find("s"), access)
    assert relocated("r1 = *(u16 *)(r1 +0)", mine, kernel, field) == ["r1 = *(u16 *)(r1 +8)"]


def test_arrays_of_arrays_are_loaded_by_their_innermost_element() -> None:
    mine, kernel = structs([("a", "u16x4x2", 0)]), structs([("a", "u16x9x2", 64)])
    for access in ("0:0", "0:0:0", "0:0:0:0"):
        field = (OFFSET, mine.find("s"), access)
        assert relocated("r1 = *(u16 *)(r1 +0)", mine, kernel, field) == ["r1 = *(u16 *)(r1 +8)"]


@pytest.mark.parametrize(
    ("local", "there", "expected"),
    [
        ("u32", "u64", "r1 = *(u64 *)(r1 +8)"),
        ("u32", "u8", "r1 = *(u8 *)(r1 +8)"),
        ("u32", "s64", None),
        ("s32", "s64", None),
        ("u32x2", "u16x2", None),  # only the elements' sizes count, but arrays do not resize
        ("u32", "u8:3", None),  # a bitfield there: no load of 4 bytes becomes one of 3 bits
    ],
)
def test_loads_change_their_size_only_where_the_value_stays(
    local: str, there: str, expected: str | None
) -> None:
    mine, kernel = structs([("a", local, 0)]), structs([("a", there, 64)])
    field = (OFFSET, mine.find("s"), "0:0")
    wanted = [expected] if expected else POISONED
    assert relocated("r1 = *(u32 *)(r1 +0)", mine, kernel, field) == wanted


def test_a_number_has_no_size_to_change() -> None:
    mine, kernel = structs([("a", "u32", 0)]), structs([("a", "u8:3", 64)])
    assert relocated("r1 = 0", mine, kernel, (OFFSET, mine.find("s"), "0:0")) == ["r1 = 8"]


def enumeration(value: int, *, signed: bool = False, wide: bool = False) -> BTF:
    b = BTFBuilder()
    if wide:
        b.add_enum64("e", [("A", value)], signed=signed)
    else:
        b.add_enum("e", [("A", value)], signed=signed)
    return b.build()


MINUS_ONE = "0xffffffffffffffff"


@pytest.mark.parametrize(
    ("mine", "kernel", "code", "expected"),
    [
        (enumeration(1), enumeration(2), "0x1", "0x2"),
        (
            enumeration(-1, signed=True),
            enumeration(-2, signed=True),
            MINUS_ONE,
            MINUS_ONE[:-1] + "e",
        ),
        # Kernels before 6.0 and compilers before clang 16 do not say what is signed.
        (enumeration(-1, signed=True), enumeration(0xFFFF_FFFE), MINUS_ONE, MINUS_ONE[:-1] + "e"),
        (enumeration(0xFFFF_FFFF), enumeration(0xFFFF_FFFE), MINUS_ONE, MINUS_ONE[:-1] + "e"),
        (enumeration(5), enumeration(0xFFFF_FFFF), "0x5", MINUS_ONE),
        # Flags in the highest bit: libbpf takes the instruction for wrong.
        (enumeration(0x8000_0000), enumeration(0x8000_0001), "0x80000000", "0x80000001"),
        (enumeration(0x8000_0000), enumeration(1), "0x80000000", "0x1"),
        (
            enumeration(1 << 40, wide=True),
            enumeration((1 << 64) - 1, wide=True),
            "0x10000000000",
            MINUS_ONE,
        ),
        (
            enumeration(-1, wide=True, signed=True),
            enumeration(-1 << 40, wide=True, signed=True),
            MINUS_ONE,
            "0xffffff0000000000",
        ),
    ],
)
def test_enumerators_are_signed_as_the_object_has_them(
    mine: BTF, kernel: BTF, code: str, expected: str
) -> None:
    record = (CoreKind.ENUMVAL_VALUE, 1, "0")
    assert relocated(f"r1 = {code} ll", mine, kernel, record) == [f"r1 = {expected} ll"]


@pytest.mark.parametrize(
    ("btf", "code"),
    [
        (enumeration(5), "r1 = 0x100000005 ll"),
        (enumeration((1 << 32) + 5, wide=True), "r1 = 0x5 ll"),
        (enumeration(5), "r1 = 6"),
        (enumeration(0x8000_0005), "r1 = 0x5 ll"),
    ],
)
def test_an_instruction_with_another_value_is_an_error(btf: BTF, code: str) -> None:
    with pytest.raises(RelocationError, match="the object's types say"):
        relocated(code, btf, btf, (CoreKind.ENUMVAL_VALUE, 1, "0"))


def test_a_value_that_no_offset_holds_is_an_error() -> None:
    mine = structs([("a", "u32", 0)])
    kernel = structs([("a", "u32", 0x8000 * 8)], sizes=0x10000)
    with pytest.raises(RelocationError, match="too large for a load"):
        relocated("r1 = *(u32 *)(r1 +0)", mine, kernel, (OFFSET, mine.find("s"), "0:0"))
    minus = enumeration(-70_000, signed=True)
    with pytest.raises(RelocationError, match="types say -70000"):
        relocated("*(u32 *)(r1 +0) = 1", minus, minus, (CoreKind.ENUMVAL_VALUE, 1, "0"))


@pytest.mark.parametrize(
    ("kind", "access"), [(OFFSET, "0:9"), (OFFSET, "x"), (CoreKind.TYPE_SIZE, "1"), (99, "0")]
)
def test_an_impossible_record_names_its_function_and_instruction(
    kind: CoreKind, access: str
) -> None:
    mine = structs([("a", "u32", 0)])
    with pytest.raises(RelocationError, match=r"function 'f', instruction 1.*CO-RE"):
        ok = (OFFSET, mine.find("s"), "0:0")
        relocated("r1 = 0\nr1 = 0", mine, mine, ok, (kind, mine.find("s"), access))


def test_what_has_no_answer_is_told_where_the_call_is() -> None:
    mine = structs([("a", "s32", 0), ("b", "u32x4", 32)])
    kernel = structs([("a", "s64", 0)])
    s, e = mine.find("s"), enumeration(1)
    code = assemble("r1 = 0\nr1 = *(u32 *)(r1 +4)\nr1 = *(u32 *)(r1 +0)\nr1 = 0\nexit")
    core = [(8, OFFSET, s, "0:1:0"), (16, OFFSET, s, "0:0")]
    earlier = Unresolved(32, "of another pass")
    function = Function(
        "f",
        "raw_tp/x",
        code,
        core_relocations=tuple(CoreRelocation(*each) for each in core),
        unresolved=(earlier,),
    )
    obj = Object("object", functions={"f": function}, btf=mine)
    assert relocate_core(obj, Target(btf=kernel)).functions["f"].unresolved == (
        Unresolved(8, "CO-RE: the kernel's types have no s.b[0]"),
        Unresolved(
            16, "CO-RE: s.a has another type in the kernel's types, which this load cannot take"
        ),
        earlier,
    )
    record = CoreRelocation(0, CoreKind.ENUMVAL_VALUE, 1, "0")
    function = Function("f", "raw_tp/x", assemble("r1 = 1 ll\nexit"), core_relocations=(record,))
    obj = Object("object", functions={"f": function}, btf=e)
    words = "CO-RE: the kernel's types have no enumerator A of e"
    assert relocate_core(obj, Target(btf=kernel)).functions["f"].unresolved == (
        Unresolved(0, words),
        Unresolved(8, words),
    )
