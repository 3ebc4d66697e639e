"""Types for older kernels: other kinds in place of what they lack, ids unchanged."""

from __future__ import annotations

import pytest

from osmia.btf import BTF, BTFBuilder, Kind
from osmia.btf.sanitize import (
    DATASEC,
    DECL_TAG,
    ENUM64,
    FLOAT,
    FUNC,
    GLOBAL_FUNC,
    KINDS,
    OPTIONAL_DATASEC,
    TYPE_TAG,
    sanitized,
)
from osmia.kernel.sys.btf_objects import load_btf


@pytest.fixture
def everything() -> BTF:
    builder = BTFBuilder()
    number = builder.add_int("int", 4, 1)
    real = builder.add_float("double", 8)
    tagged = builder.add_type_tag("rcu", number)
    pointer = builder.add_ptr(tagged)
    wide = builder.add_enum64("wide", [("SMALL", 1), ("LARGE", 1 << 40)])
    builder.add_enum("signed", [("MINUS", -1)], signed=True)
    builder.add_struct("all", 32, [("p", pointer, 0), ("e", wide, 64), ("d", real, 128)])
    prototype = builder.add_func_proto(number, [("a", number), ("b", pointer)])
    function = builder.add_func("f", prototype)
    variable = builder.add_var("v", number)
    builder.add_datasec(".data.custom", 4, [(variable, 0, 4)])
    other = builder.add_var("w", number)
    builder.add_datasec("?.struct_ops", 4, [(other, 0, 4)])
    builder.add_decl_tag("word", function)
    return builder.build()


REPLACED = {
    FLOAT: (Kind.FLOAT, Kind.STRUCT),
    TYPE_TAG: (Kind.TYPE_TAG, Kind.CONST),
    ENUM64: (Kind.ENUM64, Kind.UNION),
    FUNC: (Kind.FUNC, Kind.TYPEDEF),
    DATASEC: (Kind.DATASEC, Kind.STRUCT),
    DECL_TAG: (Kind.DECL_TAG, Kind.INT),
}


@pytest.mark.parametrize("missing", REPLACED)
def test_a_missing_kind_gives_way_to_one_of_the_same_length(everything: BTF, missing: str) -> None:
    old, new = REPLACED[missing]
    changed = sanitized(everything, [missing])
    assert not changed.ids_of_kind(old)
    assert all(changed.kind_of(type_id) is new for type_id in everything.ids_of_kind(old))
    assert all(changed.record_offset(i) == everything.record_offset(i) for i in everything)


def test_global_functions_become_static(everything: BTF) -> None:
    (function,) = sanitized(everything, [GLOBAL_FUNC]).ids_of_kind(Kind.FUNC)
    assert sanitized(everything, [GLOBAL_FUNC]).type(function).linkage == 0  # type: ignore[union-attr]


def test_a_section_loses_its_question_mark(everything: BTF) -> None:
    changed = sanitized(everything, [OPTIONAL_DATASEC])
    assert changed.find("_.struct_ops", Kind.DATASEC)
    assert changed.find(".data.custom", Kind.DATASEC)


def test_a_section_becomes_a_struct_of_its_variables(everything: BTF) -> None:
    changed = sanitized(everything, [DATASEC])
    section = changed.type(changed.find("_data_custom", Kind.STRUCT))
    assert [(member.name, member.bit_offset) for member in section.members] == [("v", 0)]  # type: ignore[union-attr]


def test_nothing_missing_changes_nothing(everything: BTF) -> None:
    assert sanitized(everything, []) is everything


@pytest.mark.kernel
@pytest.mark.parametrize("missing", [*([kind] for kind in KINDS), list(KINDS)], ids=str)
def test_the_kernel_takes_what_comes_out(everything: BTF, missing: list[str]) -> None:
    load_btf(sanitized(everything, missing)).close()
