"""BTF that lies: only ObjectFormatError, in bounded time and space."""

import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from osmia.btf import (
    BTF,
    BTFBuilder,
    BTFExt,
    CoreInfo,
    FunctionInfo,
    LineInfo,
    build_btf_ext,
    deduplicate,
    definition,
    dump_c,
    format_type,
    merge,
)
from osmia.btf.agreement import declarations, disagreement
from osmia.btf.core.match import fields_are_compatible, types_are_compatible, types_match
from osmia.errors import ObjectFormatError

pytestmark = pytest.mark.slow

MATCHES = (fields_are_compatible, types_are_compatible, types_match)


def varied() -> BTFBuilder:
    """At least one type of every kind, all in use."""
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    wide = b.add_int("unsigned long", 8)
    color = b.add_enum("color", [("RED", 0), ("BLUE", 7)])
    flag = b.add_enum64("flag", [("HIGH", 1 << 40)])
    node = b.add_struct("node", 16, [("next", len(b) + 1, 0), ("color", color, 64)])
    pointer = b.add_ptr(node)
    bits = b.add_struct("bits", 8, [("a", number, 0, 3), ("b", number, 3, 9), ("f", wide, 0, 0)])
    either = b.add_union("", 8, [("bits", bits, 0), ("flag", flag, 0), ("real", len(b) + 1, 0)])
    b.add_float("double", 8)
    array = b.add_array(either, number, 5)
    prototype = b.add_func_proto(number, [("self", pointer), ("rest", array), ("", 0)])
    handler = b.add_ptr(prototype)
    alias = b.add_typedef("handler_t", b.add_const(b.add_volatile(handler)))
    tagged = b.add_ptr(b.add_type_tag("rcu", b.add_restrict(alias)))
    forward = b.add_ptr(b.add_fwd("other"))
    big = b.add_struct("big", 64, [("h", alias, 0), ("t", tagged, 64), ("o", forward, 128)])
    function = b.add_func("run", prototype)
    variable = b.add_var("state", big)
    b.add_datasec(".data", 64, [(variable, 0, 64)])
    b.add_decl_tag("hot", function, 0)
    return b


def use_everything(btf: BTF) -> None:
    """Call all that reads, letting ObjectFormatError pass and nothing else."""
    for call in calls(btf):
        try:
            call()
        except ObjectFormatError:
            continue


def calls(btf: BTF) -> Iterator[Callable[[], object]]:
    yield lambda: "".join(dump_c(btf))
    yield lambda: btf.find("node")
    yield lambda: btf.find_all("int")
    yield lambda: btf.pointer_size
    yield lambda: deduplicate(btf)
    yield lambda: [*merge([btf, varied().build(), btf]).btf]
    yield lambda: [match(btf, a, btf, b) for match in MATCHES for a in btf for b in btf]
    try:
        count = len(btf)
    except ObjectFormatError:
        return
    methods = (btf.type, btf.name_of, btf.kind_of, btf.resolve, btf.size_of, btf.alignment_of)
    for type_id in range(min(count + 1, 64)):
        for method in methods:
            yield partial(method, type_id)
        yield partial(format_type, btf, type_id)
        yield partial(definition, btf, type_id)
        yield partial(_dumped, btf, type_id)


def _dumped(btf: BTF, type_id: int) -> str:
    return "".join(dump_c(btf, [type_id]))


def mutated(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(source.randint(1, 6)):
        position = source.randrange(len(changed))
        match source.randrange(4):
            case 0:
                changed[position] = source.randrange(256)
            case 1:
                changed[position] ^= 1 << source.randrange(8)
            case 2:
                word = source.choice([0, 1, 2, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 31])
                position -= position % 4
                changed[position : position + 4] = word.to_bytes(4, "little")
            case 3:
                # A type id or small count, where one may stand.
                position -= position % 4
                changed[position : position + 4] = source.randrange(30).to_bytes(4, "little")
    return bytes(changed[: source.randint(20, len(changed))] if source.random() < 0.1 else changed)


def try_btf(data: bytes) -> None:
    try:
        btf = BTF(data)
    except ObjectFormatError:
        return
    use_everything(btf)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_btf_is_read_or_refused(seed: int) -> None:
    source = random.Random(seed)
    data = varied().to_bytes()
    for _ in range(30):
        try_btf(mutated(data, source))


def test_damaged_types_are_merged_and_compared_or_refused() -> None:
    source = random.Random(3)
    btf = sound = varied().build()
    for _ in range(1500):
        with suppress(ObjectFormatError):
            btf = BTF(mutated(sound.to_bytes(), source))
            merged = merge([btf, sound, btf])
            assert all(merged.btf.kind_of(type_id) for type_id in merged.btf)
        for type_id in range(1, len(sound), 5):
            with suppress(ObjectFormatError):
                disagreement(btf, type_id, sound, type_id)
                declarations([("one", btf, type_id), ("other", sound, type_id)])


def test_the_unmutated_example_is_sound() -> None:
    btf = varied().build()
    assert "struct big {" in "".join(dump_c(btf))
    for type_id in btf:
        btf.type(type_id)


def test_mutated_btf_ext_is_read_or_refused() -> None:
    builder = varied()
    data = build_btf_ext(
        functions={"xdp": [FunctionInfo(0, 3)]},
        lines={
            "xdp": [LineInfo(0, "a.c", "return 1;", 7, 3)] * 3,
            "tc": [LineInfo(8, "", "", 1, 1)],
        },
        core={"xdp": [CoreInfo(8, 2, "0:1", 0)]},
        add_string=builder.add_string,
    )
    btf = builder.build()
    source = random.Random(1)
    for _ in range(2000):
        try:
            read = BTFExt(mutated(data, source), btf)
            assert (read.functions, read.lines, read.core) is not None
        except ObjectFormatError:
            continue


def chain(depth: int, add: Callable[[BTFBuilder, int], int]) -> BTF:
    builder = BTFBuilder()
    last = builder.add_int("int", 4)
    for _ in range(depth):
        last = add(builder, last)
    return builder.build()


CHAINS = {
    "typedefs": lambda b, t: b.add_typedef("t", t),
    "pointers": lambda b, t: b.add_ptr(t),
    "arrays": lambda b, t: b.add_array(t, 1, 1),
    "empty arrays": lambda b, t: b.add_array(t, 1, 0),
    "wide arrays": lambda b, t: b.add_array(t, 1, 0xFFFF_FFFF),
    "structs": lambda b, t: b.add_struct("s", 4, [("m", t, 0)]),
    "anonymous structs": lambda b, t: b.add_struct("", 4, [("m", t, 0)]),
    "doubling structs": lambda b, t: b.add_struct("", 4, [("m", t, 0), ("n", t, 0)]),
    "doubling unions": lambda b, t: b.add_union("", 4, [("m", t, 0), ("n", t, 0)]),
    "prototypes": lambda b, t: b.add_ptr(b.add_func_proto(t, [("a", t), ("b", t)])),
    "prototype members": lambda b, t: b.add_struct(
        "", 4, [("m", b.add_ptr(b.add_func_proto(t, [("a", t), ("b", t)])), 0)]
    ),
    "qualifiers": lambda b, t: b.add_const(b.add_volatile(t)),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("depth", [30, 3000])
def test_deep_chains_end(name: str, depth: int) -> None:
    btf = chain(depth, CHAINS[name])
    started = time.process_time()
    last = len(btf) - 1
    for call in (
        lambda: btf.size_of(last),
        lambda: btf.alignment_of(last),
        lambda: btf.resolve(last),
        lambda: format_type(btf, last),
        lambda: definition(btf, last),
        lambda: "".join(dump_c(btf, [last])),
        lambda: "".join(dump_c(btf)),
    ):
        try:
            call()
        except ObjectFormatError:
            continue
    assert time.process_time() - started < 5


CYCLES = {
    "struct in itself": lambda b: b.add_struct("s", 4, [("m", 2, 0)]),
    "struct in an array in itself": lambda b: b.add_struct(
        "s", 4, [("m", b.add_array(3, 1, 2), 0)]
    ),
    "anonymous struct in itself": lambda b: b.add_struct("", 4, [("m", 2, 0), ("n", 2, 0)]),
    "anonymous struct behind its pointer": lambda b: b.add_struct("", 8, [("m", b.add_ptr(3), 0)]),
    "typedef of itself": lambda b: b.add_typedef("t", 2),
    "typedef of its pointer": lambda b: b.add_typedef("t", b.add_ptr(3)),
    "const of itself": lambda b: b.add_const(2),
    "pointer to itself": lambda b: b.add_ptr(2),
    "array of itself": lambda b: b.add_array(2, 1, 2),
    "prototype of itself": lambda b: b.add_func_proto(2, [("a", 2), ("b", 2)]),
    "pointer to its prototype": lambda b: b.add_ptr(b.add_func_proto(3, [("a", 3), ("b", 3)])),
    "variable of itself": lambda b: b.add_var("v", 2),
    "function of itself": lambda b: b.add_func("f", 2),
}


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_that_no_compiler_makes_end_in_an_error(name: str) -> None:
    builder = BTFBuilder()
    builder.add_int("int", 4)
    last = CYCLES[name](builder)
    btf = builder.build()
    use_everything(btf)
    with pytest.raises(ObjectFormatError):
        assert definition(btf, last) + "".join(dump_c(btf, [last]))


def test_a_list_that_points_to_itself_is_no_such_cycle() -> None:
    builder = BTFBuilder()
    node = builder.add_struct("node", 8, [("next", 2, 0)])
    builder.add_ptr(node)
    assert "struct node *next;" in "".join(dump_c(builder.build()))


def test_a_million_types_are_read_found_and_printed_in_bounded_time() -> None:
    strings = b"\0int\0same\0"
    types = struct.pack("<4I", 1, 1 << 24, 4, 32) + struct.pack("<3I", 5, 8 << 24, 1) * 999_999
    header = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    btf = BTF(header + types + strings)
    started = time.process_time()
    assert len(btf) == 1_000_001
    assert len(btf.find_all("same")) == 999_999
    assert btf.find("int") == 1
    text = sum(len(piece) for piece in dump_c(btf, range(1, 100_000)))
    assert text > 100_000
    assert time.process_time() - started < 20


def test_names_never_become_code() -> None:
    builder = BTFBuilder()
    evil = 'x; }; int main() { system("true"); } struct y { int'
    number = builder.add_int("int", 4)
    builder.add_struct(evil, 4, [(evil, number, 0)])
    builder.add_typedef(evil, number)
    builder.add_enum(evil, [(evil, 1)])
    builder.add_int(evil, 4)
    builder.add_fwd("#include </etc/passwd>\n")
    builder.add_struct("while", 4, [("for", builder.add_func_proto(0, [("int", number)]), 0)])
    prototype = builder.add_func_proto(0, [(evil, number), ("if", number)])
    builder.add_func(evil, prototype)
    builder.add_struct("s", 8, [("return", builder.add_ptr(prototype), 0)])
    btf = builder.build()
    text = "".join(
        piece
        for type_id in btf
        if btf.name_of(type_id) != "while"
        for piece in dump_c(btf, [type_id], header=False)
    )
    assert "system(" not in text
    assert "#include" not in text
    assert " return;" not in text


def test_strings_that_overlap_cannot_fill_the_memory() -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    text = builder.add_string("x" * 200_000)
    struct_id = builder.add_struct("s", 4, [(f"m{n}", number, 0) for n in range(2_000)])
    data = bytearray(builder.build().to_bytes())
    btf = BTF(bytes(data))
    start = btf.record_offset(struct_id) + 12
    for member in range(2_000):  # each named by another end of the one long string
        struct.pack_into("=I", data, start + 12 * member, text + member)
    with pytest.raises(ObjectFormatError, match="overlap too much"):
        BTF(bytes(data)).type(struct_id)
