"""Whether two objects mean the same by one name: each rule of libbpf's linker."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from osmia.btf import BTF, BTFBuilder, FuncLinkage, VarLinkage
from osmia.btf.agreement import declarations, disagreement, function_disagreement
from osmia.errors import ObjectFormatError

#: Makes a type and gives its id; "int" is type 1, "long" 2, "unsigned int" 3.
Make = Callable[[BTFBuilder], int]


def made(make: Make) -> tuple[BTF, int]:
    builder = BTFBuilder()
    builder.add_int("int", 4, 1)
    builder.add_int("long", 8, 1)
    builder.add_int("unsigned int", 4)
    type_id = make(builder)
    return builder.build(), type_id


def compared(a: Make, b: Make) -> str | None:
    there, back = disagreement(*made(a), *made(b)), disagreement(*made(b), *made(a))
    assert (there is None) == (back is None)
    return there


def struct(*members: tuple[str, int, int], name: str = "s", size: int = 16) -> Make:
    return lambda b: b.add_struct(name, size, members)


def behind_pointer(make: Make) -> Make:
    return lambda b: b.add_ptr(make(b))


def forward(name: str = "s", *, is_union: bool = False) -> Make:
    return lambda b: b.add_fwd(name, is_union=is_union)


def prototype(returns: int, *parameters: tuple[str, int]) -> Make:
    return lambda b: b.add_func_proto(returns, parameters)


AGREE: dict[str, tuple[Make, Make]] = {
    "integers of one size": (lambda b: 1, lambda b: 3),
    "a typedef": (lambda b: b.add_typedef("u32", 3), lambda b: 1),
    "qualifiers": (lambda b: b.add_const(b.add_volatile(1)), lambda b: 1),
    "a type tag": (
        behind_pointer(lambda b: b.add_type_tag("arena", 1)),
        behind_pointer(lambda b: 1),
    ),
    "values of an enumeration": (
        lambda b: b.add_enum("e", [("A", 0)]),
        lambda b: b.add_enum("e", [("B", 1), ("C", 2)]),
    ),
    "lengths of arrays": (lambda b: b.add_array(1, 1, 4), lambda b: b.add_array(3, 2, 0)),
    "sizes of structs, beyond the members": (
        struct(("a", 1, 0), size=4),
        struct(("a", 3, 0), size=16),
    ),
    "a struct behind a pointer": (behind_pointer(struct(("a", 1, 0))), behind_pointer(struct())),
    "an array of structs behind a pointer": (
        behind_pointer(lambda b: b.add_array(struct(("a", 1, 0))(b), 1, 1)),
        behind_pointer(lambda b: b.add_array(struct()(b), 1, 1)),
    ),
    "a declaration behind a pointer": (behind_pointer(forward()), behind_pointer(struct())),
    "a union's declaration": (
        behind_pointer(forward(is_union=True)),
        behind_pointer(lambda b: b.add_union("s", 8)),
    ),
    "two declarations": (behind_pointer(forward()), behind_pointer(forward())),
    "names of parameters": (prototype(1, ("x", 2)), prototype(3, ("", 2))),
    "void": (behind_pointer(lambda b: 0), behind_pointer(lambda b: b.add_const(0))),
    "extern and defined": (
        lambda b: b.add_var("x", 1, VarLinkage.GLOBAL_EXTERN),
        lambda b: b.add_var("x", 3),
    ),
    "an extern function": (
        lambda b: b.add_func("f", prototype(1)(b), FuncLinkage.EXTERN),
        lambda b: b.add_func("f", prototype(1)(b)),
    ),
    "names, which are for symbols": (lambda b: b.add_var("x", 1), lambda b: b.add_var("y", 1)),
}

DIFFER: dict[str, tuple[Make, Make, str]] = {
    "sizes": (lambda b: 1, lambda b: 2, "'int' and 'long' differ: 4 bytes and 8"),
    "kinds": (
        lambda b: 2,
        lambda b: b.add_ptr(0),
        r"'long' and 'void \*' differ: an integer and a pointer",
    ),
    "names of structs": (
        behind_pointer(struct()),
        behind_pointer(struct(name="other")),
        "'struct s' and 'struct other' differ: named 's' and 'other'",
    ),
    "a struct and a union": (
        behind_pointer(struct()),
        behind_pointer(lambda b: b.add_union("s", 8)),
        "a struct and a union",
    ),
    "a declaration of another kind": (
        behind_pointer(forward(is_union=True)),
        behind_pointer(struct()),
        "a union and a struct",
    ),
    "a declaration of another name": (
        behind_pointer(forward("other")),
        behind_pointer(struct()),
        "named 'other' and 's'",
    ),
    "a declaration where its size counts": (forward(), struct(), "declared only and a struct"),
    "numbers of members": (
        struct(("a", 1, 0)),
        struct(("a", 1, 0), ("b", 1, 32)),
        "two types 'struct s' differ: 1 members and 2",
    ),
    "names of members": (struct(("a", 1, 0)), struct(("b", 1, 0)), "member 1 is 'a' and 'b'"),
    "offsets": (
        struct(("a", 1, 0)),
        struct(("a", 1, 32)),
        "member 'a' at bit 0 and bit 32",
    ),
    "sizes of bitfields": (
        lambda b: b.add_struct("s", 4, [("a", 1, 0, 3)]),
        lambda b: b.add_struct("s", 4, [("a", 1, 0, 4)]),
        r"member 'a' at bit 0 \(3 bits\) and bit 0 \(4 bits\)",
    ),
    "members' types": (
        struct(("a", 1, 0)),
        struct(("a", 2, 0)),
        "^member 'a' of struct s: 'int' and 'long' differ",
    ),
    "types of members in arrays of structs": (
        lambda b: b.add_array(struct(("a", 1, 0))(b), 1, 1),
        lambda b: b.add_array(struct(("a", 2, 0))(b), 1, 1),
        "member 'a' of struct s: ",
    ),
    "sizes of enumerations": (
        lambda b: b.add_enum("e", [], size=1),
        lambda b: b.add_enum("e", []),
        "1 bytes and 4",
    ),
    "names of enumerations": (
        lambda b: b.add_enum("e", []),
        lambda b: b.add_enum("f", []),
        "named 'e' and 'f'",
    ),
    "widths of enumerations": (
        lambda b: b.add_enum("e", []),
        lambda b: b.add_enum64("e", []),
        "an enumeration and an enumeration of 64 bits",
    ),
    "floats": (
        lambda b: b.add_float("float", 4),
        lambda b: b.add_float("double", 8),
        "4 bytes and 8",
    ),
    "numbers of parameters": (
        prototype(1, ("a", 1)),
        prototype(1, ("a", 1), ("", 0)),
        "1 parameters and 2",
    ),
    "parameters": (
        prototype(1, ("a", 1), ("b", 1)),
        prototype(1, ("a", 1), ("b", 2)),
        "^parameter 2: 'int' and 'long' differ",
    ),
    "return values": (prototype(1), prototype(0), "^the return value: 'int' and 'void' differ"),
    "parameters of members": (
        lambda b: b.add_struct("s", 8, [("f", b.add_ptr(prototype(1, ("a", 1))(b)), 0)]),
        lambda b: b.add_struct("s", 8, [("f", b.add_ptr(prototype(1, ("a", 2))(b)), 0)]),
        "^member 'f' of struct s, parameter 1: ",
    ),
    "one is static": (
        lambda b: b.add_var("x", 1, VarLinkage.STATIC),
        lambda b: b.add_var("x", 1),
        "only the first is static",
    ),
    "one function is static": (
        lambda b: b.add_func("f", prototype(1)(b)),
        lambda b: b.add_func("f", prototype(1)(b), FuncLinkage.STATIC),
        "only the second is static",
    ),
    "a variable and a function": (
        lambda b: b.add_var("x", 1),
        lambda b: b.add_func("x", prototype(1)(b)),
        "a variable and a function",
    ),
}


@pytest.mark.parametrize("rule", AGREE)
def test_what_does_not_count(rule: str) -> None:
    assert compared(*AGREE[rule]) is None


@pytest.mark.parametrize("rule", DIFFER)
def test_what_counts(rule: str) -> None:
    a, b, words = DIFFER[rule]
    assert compared(b, a) is not None
    difference = compared(a, b)
    with pytest.raises(ValueError, match=words):
        raise ValueError(difference)


def test_lists_that_point_to_themselves_agree() -> None:
    def chained(b: BTFBuilder) -> int:
        node = b.add_struct("node", 8, [("next", len(b) + 1, 0)])
        b.add_ptr(node)
        return node

    assert compared(chained, chained) is None


def test_functions_are_compared_with_prototypes() -> None:
    function = made(lambda b: b.add_func("f", prototype(1, ("x", 1))(b), FuncLinkage.STATIC))
    assert function_disagreement(*function, *made(prototype(3, ("", 3)))) is None
    words = function_disagreement(*function, *made(prototype(3, ("", 2))))
    assert words == "parameter 1: 'int' and 'long' differ: 4 bytes and 8"
    assert function_disagreement(*function, *made(lambda b: 2)) == "'long' is no function"


def test_declarations_are_shown_as_c() -> None:
    mine = made(lambda b: b.add_var("count", b.add_array(1, 1, 4), VarLinkage.GLOBAL_EXTERN))
    other = made(lambda b: b.add_var("count", 2))
    assert declarations([("a.o", *mine), ("b.o", *other)]) == [
        "a.o: extern int count[4];",
        "b.o: long count;",
    ]


def test_structs_that_only_their_bodies_tell_apart_are_shown_with_them() -> None:
    sides = []
    for where, member in (("a.o", "x"), ("b.o", "y")):
        body = struct((member, 2, 0), size=8)
        sides.append((where, *made(lambda b, body=body: b.add_var("v", body(b)))))  # type: ignore[misc]
    assert declarations(sides) == [
        "a.o: struct s v;\nstruct s {\n\tlong x;\n};",
        "b.o: struct s v;\nstruct s {\n\tlong y;\n};",
    ]


HOSTILE: dict[str, tuple[Make, Make]] = {
    "a struct in itself": (struct(("a", 4, 0)), struct(("a", 4, 0))),
    "a pointer to itself": (lambda b: b.add_ptr(4), lambda b: b.add_ptr(4)),
    "a pointer to nothing": (lambda b: b.add_ptr(99), lambda b: b.add_ptr(99)),
    "a typedef of itself": (lambda b: b.add_typedef("t", 4), lambda b: b.add_typedef("t", 4)),
    "a tag": (lambda b: b.add_decl_tag("t", 1), lambda b: b.add_decl_tag("t", 1)),
    "structs in structs, each twice": (
        lambda b: doubling(b, 2000),
        lambda b: doubling(b, 2000),
    ),
    "circles of pointers that never meet": (lambda b: circle(b, 4999), lambda b: circle(b, 5000)),
}


def doubling(b: BTFBuilder, depth: int) -> int:
    last = 1
    for _ in range(depth):
        last = b.add_struct("s", 4, [("a", last, 0), ("b", last, 0)])
    return last


def circle(b: BTFBuilder, length: int) -> int:
    for _ in range(length - 1):
        b.add_ptr(len(b) + 1)
    return b.add_ptr(len(b) - length + 1)


@pytest.mark.parametrize("case", HOSTILE)
def test_what_no_compiler_writes_has_an_end(case: str) -> None:
    started = time.process_time()
    with suppress(ObjectFormatError):
        compared(*HOSTILE[case])
    assert time.process_time() - started < 5
