"""Six to ten arguments, on engines that pass five."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from osmia.btf import BTFBuilder, FuncLinkage, IntEncoding
from osmia.errors import NotSupportedError, RewriteError
from osmia.object import Object
from osmia.passes.stack_arguments import pass_on_stack

from .assembled import assembled, retval


def passing(count: int) -> Object:
    """A program that calls `sum` with 1, 2, … `count`, twice; it weighs them by their place."""
    registers = "".join(f"r{n} = {n}\n" for n in range(1, 6))
    stored = "".join(
        f"r0 = {n}\n*(u64 *)(r11 -{8 * (n - 5)}) = r0\n"
        if n % 2
        else f"*(u64 *)(r11 -{8 * (n - 5)}) = {n}\n"
        for n in range(6, count + 1)
    )
    call = f"{stored}{registers}call @sum\n"
    program = f"*(u64 *)(r10 -8) = 1000\n{call}r6 = r0\n{call}r0 += r6\nr1 = *(u64 *)(r10 -8)\n"
    taken = "".join(f"r{n} *= {n}\nr0 += r{n}\n" for n in range(1, 6))
    loaded = "".join(
        f"r1 = *(u64 *)(r11 +{8 * (n - 5)})\nr1 *= {n}\nr0 += r1\n" for n in range(6, count + 1)
    )
    own = "*(u64 *)(r10 -16) = 3\n*(u64 *)(r10 -8) = 4\nr0 = 0\n"
    return assembled(
        {"p": f"{program}r0 += r1\nexit"},
        {"sum": f"{own}{taken}{loaded}r1 = *(u64 *)(r10 -16)\nexit"},
    )


def wanted(count: int) -> int:
    return 2 * sum(n * n for n in range(1, count + 1)) + 1000


def with_types(obj: Object, count: int) -> Object:
    types = BTFBuilder()
    integer = types.add_int("int", 4, IntEncoding.SIGNED)
    long_ = types.add_int("long", 8, IntEncoding.SIGNED)
    context = types.add_ptr(types.add_struct("xdp_md", 24))
    program = types.add_func_proto(integer, [("ctx", context)])
    many = types.add_func_proto(long_, [(f"a{n}", long_) for n in range(1, count + 1)])
    functions = {
        "p": replace(obj.functions["p"], btf_id=types.add_func("p", program)),
        "sum": replace(
            obj.functions["sum"], btf_id=types.add_func("sum", many, FuncLinkage.STATIC)
        ),
    }
    return obj.copy(functions=obj.functions | functions, btf=types.build())


@pytest.mark.kernel
@pytest.mark.parametrize("count", range(6, 11))
@pytest.mark.parametrize("typed", [False, True])
def test_arguments_arrive_on_both_engines(count: int, typed: bool) -> None:
    obj = passing(count)
    if typed:
        obj = with_types(obj, count)
    for engine in ("vm", "kernel"):
        assert retval(obj, "p", engine=engine) == wanted(count)


def test_callees_call_on() -> None:
    """Who takes arguments there passes some himself."""
    head = "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\n"
    obj = assembled(
        {"p": f"*(u64 *)(r11 -8) = 6\n{head}call @one\nexit"},
        {
            "one": "r6 = *(u64 *)(r11 +8)\nr7 = r5\n*(u64 *)(r11 -8) = 60\n"
            f"*(u64 *)(r11 -16) = 70\n{head}call @two\nr1 = *(u64 *)(r11 +8)\n"
            "r0 *= r1\nr0 += r6\nr0 += r7\nexit",
            "two": "r0 = *(u64 *)(r11 +8)\nr1 = *(u64 *)(r11 +16)\nr0 += r1\nr0 += r5\nexit",
        },
    )
    assert retval(obj, "p") == 135 * 6 + 6 + 5


def test_inlining_comes_after(engine: str = "vm") -> None:
    options: dict[str, Any] = {"calls": "inline"}
    assert retval(passing(8), "p", engine=engine, **options) == wanted(8)


def test_a_frame_that_is_full_is_refused() -> None:
    obj = passing(7)
    text = obj.functions["p"]
    full = assembled({"p": "*(u64 *)(r10 -500) = 1\nr0 = 0\nexit"}).functions["p"]
    obj.functions["p"] = replace(
        text,
        code=full.code[:8] + text.code,
        relocations=tuple(each._replace(offset=each.offset + 8) for each in text.relocations),
    )
    with pytest.raises(RewriteError, match="528 bytes of stack"):
        pass_on_stack(obj)


def test_callbacks_cannot_have_them() -> None:
    obj = assembled(
        {"p": "r1 = 1\nr2 = function:back\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit"},
        {"back": "r0 = *(u64 *)(r11 +8)\nexit"},
    )
    with pytest.raises(NotSupportedError, match="'back'"):
        pass_on_stack(obj)


@pytest.mark.parametrize("text", ["r0 = r11", "*(u64 *)(r11 +8) = 1", "*(u32 *)(r11 -8) = 1"])
def test_other_uses_are_refused(text: str) -> None:
    with pytest.raises(RewriteError, match="r11 at slot 0"):
        pass_on_stack(assembled({"p": f"{text}\nr0 = 0\nexit"}))
