"""CO-RE's relations between an object's types and a kernel's, case by case as libbpf has them."""

import time
from collections.abc import Callable

import pytest

from osmia.btf import BTF, BTFBuilder, Kind
from osmia.btf.core.match import (
    Candidates,
    essential_name,
    fields_are_compatible,
    types_are_compatible,
    types_match,
)
from osmia.errors import ObjectFormatError

Make = Callable[[BTFBuilder], int]


def built(make: Make) -> tuple[BTF, int]:
    builder = BTFBuilder()
    type_id = make(builder)
    return builder.build(), type_id


def holds(relation: Callable[..., bool], mine: Make, other: Make) -> bool:
    local, local_id = built(mine)
    # Ids of the two sides never agree by chance.
    builder = BTFBuilder()
    builder.add_float("unrelated", 4)
    target_id = other(builder)
    return relation(local, local_id, builder.build(), target_id)


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("a___", "a___"),
        ("___a", "___a"),
        ("a____b", "a____b"),
        ("a__b", "a__b"),
        ("a_____b", "a_____b"),
        ("a____b___c", "a____b"),
        ("", ""),
    ],
)
def test_a_flavour_is_what_follows_exactly_three_underscores(name: str, essential: str) -> None:
    assert essential_name(name) == essential


def int4(b: BTFBuilder) -> int:
    return b.add_int("int", 4, 1)


def u32(b: BTFBuilder) -> int:
    return b.add_int("unsigned int", 4)


def s64(b: BTFBuilder) -> int:
    return b.add_int("long", 8, 1)


def old_bitfield(b: BTFBuilder) -> int:
    return b.add_int("int", 4, 1, bits=3, offset=5)


def struct(name: str = "s", **members: Make) -> Make:
    def make(b: BTFBuilder) -> int:
        made = [(member, make(b), 64 * n) for n, (member, make) in enumerate(members.items())]
        return b.add_struct(name, 8 * len(made), made)

    return make


def union(name: str = "s") -> Make:
    return lambda b: b.add_union(name, 8)


def fwd(name: str = "s", *, is_union: bool = False) -> Make:
    return lambda b: b.add_fwd(name, is_union=is_union)


def enum(name: str = "e", *values: str, size: int = 4) -> Make:
    return lambda b: b.add_enum(name, [(value, n) for n, value in enumerate(values)], size=size)


def enum64(name: str = "e", *values: str, size: int = 8) -> Make:
    return lambda b: b.add_enum64(name, [(value, n) for n, value in enumerate(values)], size=size)


def ptr(target: Make) -> Make:
    return lambda b: b.add_ptr(target(b))


def const(target: Make) -> Make:
    return lambda b: b.add_const(target(b))


def typedef(name: str, target: Make) -> Make:
    return lambda b: b.add_typedef(name, target(b))


def array(count: int, element: Make) -> Make:
    return lambda b: b.add_array(element(b), int4(b), count)


def proto(returns: Make, *parameters: Make) -> Make:
    return lambda b: b.add_func_proto(returns(b), [("", make(b)) for make in parameters])


def double(b: BTFBuilder) -> int:
    return b.add_float("double", 8)


def void(_: BTFBuilder) -> int:
    return 0


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        (int4, s64, True),
        (int4, old_bitfield, False),
        (int4, const(typedef("x", u32)), True),
        (struct("a"), struct("b", x=int4), True),
        (struct("a"), union("a"), True),
        (struct("a"), int4, False),
        (ptr(int4), ptr(struct()), True),
        (ptr(int4), s64, False),
        (enum("e"), enum64("e"), True),
        (enum("e___x"), enum("e"), True),
        (enum("e"), enum("f"), False),
        (enum(""), enum("f"), True),
        (fwd("s"), fwd("t"), False),
        (fwd("s"), fwd("s___2"), True),
        (fwd("s"), struct("s"), False),
        (array(3, int4), array(9, s64), True),
        (array(3, int4), array(3, struct()), False),
        (double, double, True),
        (proto(int4), proto(int4), False),
    ],
)
def test_fields_are_compatible_when_one_can_be_read_for_the_other(
    mine: Make, other: Make, expected: bool
) -> None:
    assert holds(fields_are_compatible, mine, other) is expected


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        (int4, s64, True),
        (int4, old_bitfield, False),
        (void, void, True),
        (struct("a"), struct("b", x=int4), True),
        (struct("a"), union("a"), False),
        (enum("e"), enum64("f"), True),
        (typedef("t", int4), typedef("t", s64), True),
        (typedef("t", int4), typedef("t", struct()), False),
        (typedef("t", int4), int4, False),
        (ptr(struct("a")), ptr(const(struct("b"))), True),
        (ptr(struct("a")), ptr(fwd("a")), False),
        (ptr(void), ptr(int4), False),
        (array(1, ptr(int4)), array(2, ptr(s64)), True),
        (double, double, False),
        (proto(int4, int4), proto(s64, const(s64)), True),
        (proto(int4, int4), proto(int4), False),
        (proto(int4, int4), proto(int4, ptr(int4)), False),
        (proto(int4), proto(ptr(int4)), False),
        (fwd("a"), fwd("a", is_union=True), True),
    ],
)
def test_types_are_compatible_by_kind(mine: Make, other: Make, expected: bool) -> None:
    assert holds(types_are_compatible, mine, other) is expected


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        (int4, int4, True),
        (int4, u32, False),
        (int4, lambda b: b.add_int("int", 8, 1), False),
        (int4, lambda b: b.add_int("int", 4), False),
        (void, void, True),
        (void, int4, False),
        (double, double, False),
        (const(int4), typedef("x", int4), True),
        (struct("s", x=int4), struct("s", x=int4, y=s64), True),
        (struct("s", x=int4, y=s64), struct("s", y=s64, x=int4), True),
        (struct("s", x=int4, y=s64), struct("s", x=int4), False),
        (struct("s", x=int4), struct("s", x=s64), False),
        (struct("s", x___old=int4), struct("s", x=int4), True),
        (struct("s___old", x=int4), struct("s", x=int4), True),
        (struct("s", x=int4), struct("t", x=int4), False),
        (struct("s"), union("s"), False),
        (struct("s", x=struct("in", y=int4)), struct("s", x=struct("in", y=int4)), True),
        (struct("s", x=struct("in", y=int4)), struct("s", x=struct("in", z=int4)), False),
        (ptr(struct("s", x=int4)), ptr(struct("s")), True),
        (ptr(struct("s")), ptr(fwd("s")), True),
        (ptr(fwd("s")), ptr(struct("s")), True),
        (ptr(fwd("s")), ptr(union("s")), False),
        (ptr(fwd("s", is_union=True)), ptr(union("s")), True),
        (ptr(struct("s")), ptr(fwd("s", is_union=True)), False),
        (ptr(struct("s")), ptr(struct("t")), False),
        (ptr(struct("s")), ptr(union("s")), False),
        (fwd("s"), fwd("s"), True),
        (fwd("s"), fwd("s", is_union=True), False),
        (fwd("s"), struct("s"), False),
        (struct("s"), fwd("s"), False),
        (enum("e", "A"), enum("e", "B", "A"), True),
        (enum("e", "A", "B"), enum("e", "A"), False),
        (enum("e", "A___x"), enum("e", "A"), True),
        (enum("e", "A"), enum("e", "A", size=1), False),
        (enum("e", "A", size=8), enum64("e", "A"), True),
        (enum("e", "A"), int4, False),
        (array(3, int4), array(3, int4), True),
        (array(3, int4), array(4, int4), False),
        (array(3, int4), ptr(int4), False),
        (proto(int4, ptr(struct("s"))), proto(int4, ptr(fwd("s"))), True),
        (proto(int4, int4), proto(int4, u32), False),
        (proto(int4, int4), proto(int4), False),
        (proto(int4), proto(u32), False),
    ],
)
def test_types_match_when_all_that_the_object_says_holds(
    mine: Make, other: Make, expected: bool
) -> None:
    assert holds(types_match, mine, other) is expected


@pytest.mark.parametrize("relation", [types_are_compatible, types_match])
def test_prototypes_that_share_parameters_are_compared_once(
    relation: Callable[..., bool],
) -> None:
    def tower(b: BTFBuilder) -> int:
        last = b.add_int("int", 4, 1)
        for _ in range(13):
            last = b.add_ptr(b.add_func_proto(last, [("", last), ("", last), ("", last)]))
        return last

    started = time.process_time()
    assert holds(relation, tower, tower)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("relation", [types_are_compatible, types_match, fields_are_compatible])
def test_a_type_without_end_is_an_error(relation: Callable[..., bool]) -> None:
    btf, array_id = built(lambda b: b.add_array(1, 1, 1))
    with pytest.raises(ObjectFormatError, match="too deeply"):
        relation(btf, array_id, btf, array_id)


def kernel_and_module() -> tuple[BTF, BTF]:
    b = BTFBuilder()
    b.add_struct("file", 8)
    b.add_union("file", 8)
    b.add_struct("file___old", 4)
    b.add_enum("mode", [("A", 1)])
    b.add_enum64("mode", [("A", 1)])
    b.add_struct("filename", 8)
    kernel = b.build()
    m = BTFBuilder(kernel)
    m.add_struct("file", 16)
    m.add_struct("private", 16)
    m.add_struct("private___v2", 16)
    return kernel, m.build()


def test_candidates_have_the_name_and_kind_with_any_flavour() -> None:
    kernel, module = kernel_and_module()
    candidates = Candidates(kernel, lambda: {"module": module})
    assert candidates.find("file", Kind.STRUCT) == [(kernel, 1), (kernel, 3)]
    assert candidates.find("file___mine", Kind.STRUCT) == [(kernel, 1), (kernel, 3)]
    assert candidates.find("file", Kind.UNION) == [(kernel, 2)]
    assert candidates.find("mode", Kind.ENUM) == [(kernel, 4), (kernel, 5)]
    assert candidates.find("mode", Kind.ENUM64) == [(kernel, 4), (kernel, 5)]
    assert candidates.find("nowhere", Kind.STRUCT) == []


def test_modules_are_asked_only_for_what_the_kernel_lacks() -> None:
    kernel, module = kernel_and_module()
    candidates = Candidates(kernel, lambda: {"module": module})
    assert candidates.find("private", Kind.STRUCT) == [(module, 8), (module, 9)]
    assert candidates.find("file", Kind.STRUCT) == [(kernel, 1), (kernel, 3)]
