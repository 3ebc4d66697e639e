"""Calls as code of the caller: what it computes stays the same, and what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

import osmia
from osmia.errors import RewriteError
from osmia.isa import walk
from osmia.object import JumpTable, Object, Relocation, RelocationKind
from osmia.object.frames import frame_sizes
from osmia.object.known_code import known_code
from osmia.passes.inline import Call, inline, is_last

from .assembled import assembled, retval


def all_inlined(obj: Object) -> Object:
    return inline(obj, lambda call: True)


def kinds(obj: Object, function: str) -> list[RelocationKind]:
    return [each.kind for each in obj.functions[function].relocations]


MIXES = "r0 = r1\nr6 = 3\nr7 = 5\nr8 = 7\nr9 = 11\nr0 += r6\nr0 *= r9\nexit"


def test_registers_that_the_caller_needs_are_saved() -> None:
    obj = assembled(
        {
            "p": "r6 = 100\nr7 = 200\nr8 = 300\nr9 = 400\nr1 = 1\ncall @mix\nr0 += r6\nr0 += r7"
            "\nr0 += r8\nr0 += r9\nexit"
        },
        {"mix": MIXES},
    )
    made = all_inlined(obj)
    assert kinds(made, "p") == []
    assert retval(made, "p") == retval(obj, "p") == 4 * 11 + 1000
    assert frame_sizes(known_code(made))["p"] == 32  # r6 to r9, each once


def test_registers_that_nobody_needs_are_not_saved() -> None:
    obj = assembled({"p": "r6 = 1\nr1 = r6\ncall @mix\nexit"}, {"mix": MIXES})
    made = all_inlined(obj)
    assert frame_sizes(known_code(made))["p"] == 0
    assert made.functions["p"].instruction_count == 3 + 7
    assert retval(made, "p") == 44


@pytest.mark.kernel
def test_a_register_that_only_some_ways_set_can_be_saved() -> None:
    """The verifier lets nobody store a register that has no value."""
    text = (
        "r7 = *(u32 *)(r1 +16)\nr7 &= 1\nif r7 == 0 goto no\nr6 = 5\nno: r1 = 1\ncall @mix\n"
        "if r7 == 0 goto out\nr0 += r6\nout: exit"
    )
    obj = assembled({"p": text}, {"mix": MIXES})
    made = all_inlined(obj)
    for engine in ("vm", "kernel"):
        assert retval(made, "p", engine=engine) == retval(obj, "p", engine=engine) == 44


FRAMES = {
    "outer": "r6 = r1\n*(u64 *)(r10 -8) = r1\n*(u64 *)(r10 -16) = 7\nr1 = r10\nr1 += -16\n"
    "call @inner\nr1 = *(u64 *)(r10 -8)\nr0 += r1\nr1 = *(u64 *)(r10 -16)\nr0 += r1\nexit",
    "inner": "r2 = *(u64 *)(r1 +0)\n*(u64 *)(r10 -24) = r2\nr2 += 1\n*(u64 *)(r1 +0) = r2\n"
    "r3 = -24\nr3 += r10\nr0 = *(u64 *)(r3 +0)\nr4 = r10\nr4 += -24\n*(u64 *)(r10 -8) = r4\n"
    "r5 = *(u64 *)(r10 -8)\nr5 = *(u64 *)(r5 +0)\nr0 *= r5\nexit",
}


@pytest.mark.kernel
def test_frames_lie_below_each_other_and_are_used_again() -> None:
    obj = assembled(
        {
            "p": "*(u64 *)(r10 -8) = 1000\nr1 = 1\ncall @outer\nr6 = r0\nr1 = 2\ncall @outer\n"
            "r0 += r6\nr1 = *(u64 *)(r10 -8)\nr0 += r1\nexit"
        },
        FRAMES,
    )
    made = all_inlined(obj)
    wanted = 2 * (49 + 8) + 1 + 2 + 1000
    for engine in ("vm", "kernel"):
        assert retval(obj, "p", engine=engine) == retval(made, "p", engine=engine) == wanted
    assert frame_sizes(known_code(made))["p"] == 8 + 8 + 16 + 24  # p, saved r6, outer, inner


@pytest.mark.kernel
def test_the_frame_pointer_as_an_operand_is_moved() -> None:
    """Stored, compared, subtracted: uses for which another register has to hold it."""
    inner = (
        "*(u64 *)(r10 -8) = r10\nr2 = *(u64 *)(r10 -8)\nr2 += -16\n*(u64 *)(r2 +0) = 6\n"
        "r0 = *(u64 *)(r10 -16)\nr3 = r10\nr3 += -16\nr3 -= r10\nr0 -= r3\n"
        "r4 = r10\nif r4 != r10 goto out\nr0 += 100\nout: exit"
    )
    obj = assembled(
        {"p": "*(u64 *)(r10 -8) = 1\ncall @inner\nr1 = *(u64 *)(r10 -8)\nr0 += r1\nexit"},
        {"inner": inner},
    )
    made = all_inlined(obj)
    for engine in ("vm", "kernel"):
        assert retval(obj, "p", engine=engine) == retval(made, "p", engine=engine) == 123


def test_too_much_stack_is_refused_with_the_calls_and_the_bytes() -> None:
    deep = "*(u64 *)(r10 -{}) = 1\ncall @{}\nexit"
    obj = assembled(
        {"p": deep.format(200, "one")},
        {"one": deep.format(200, "two"), "two": "*(u64 *)(r10 -160) = 1\nr0 = 1\nexit"},
    )
    with pytest.raises(RewriteError, match=r"p -> one -> two: inlined, .* 560 bytes .* are 512"):
        all_inlined(obj)
    assert kinds(obj, "p") == [RelocationKind.CALL]


def test_recursion_is_refused_with_its_circle() -> None:
    obj = assembled({"p": "call @a\nexit"}, {"a": "call @b\nexit", "b": "call @a\nexit"})
    with pytest.raises(RewriteError, match="a -> b -> a"):
        all_inlined(obj)


def test_too_much_code_is_refused() -> None:
    """Each function calls the next one ten times: ten million instructions."""
    names = [f"f{n}" for n in range(7)]
    functions = {
        name: "\n".join([f"call @{below}"] * 10) + "\nexit"
        for name, below in zip(names, [*names[1:], "last"], strict=True)
    }
    obj = assembled({"p": "call @f0\nexit"}, functions | {"last": "r0 = 1\n" * 9 + "exit"})
    with pytest.raises(RewriteError, match="more than the 1000000"):
        all_inlined(obj)


def test_callbacks_stay_functions() -> None:
    obj = assembled(
        {"p": "r1 = 3\nr2 = function:back\nr3 = 0\nr4 = 0\ncall bpf_loop\nr1 = 1\ncall @sub\nexit"},
        {"back": "r0 = 0\nexit", "sub": "r0 = r1\nexit"},
    )
    made = all_inlined(obj)
    assert kinds(made, "p") == [RelocationKind.FUNCTION]
    assert retval(made, "p") == 1


def test_jump_tables_get_copies() -> None:
    text = (
        "r1 &= 1\nr1 <<= 3\nr2 = 0 ll\nr2 += r1\nr1 = *(u64 *)(r2 +0)\ngotox r1\n"
        "r0 = 5\nexit\nr0 = 6\nexit"
    )
    obj = assembled({"p": "r1 = 0\ncall @s\nr6 = r0\nr1 = 1\ncall @s\nr0 += r6\nexit"}, {"s": text})

    table = Relocation(16, RelocationKind.JUMP_TABLE, "t")
    obj.functions["s"] = replace(obj.functions["s"], relocations=(table,))
    obj.jump_tables["t"] = JumpTable("t", "s", (7, 9))
    made = all_inlined(obj)
    assert len(made.jump_tables) == 3
    assert retval(made, "p") == retval(obj, "p") == 11


def test_lines_come_along() -> None:
    source = (
        "#define SEC(x) __attribute__((section(x)))\n"
        "static __attribute__((noinline)) int sub(int a)\n{\n\tint r = a * 3;\n"
        '\tasm volatile("" : "+r"(r));\n'
        '\treturn r;\n}\nSEC("socket") int p(void *c)\n{\n\treturn sub(7) +\n\t\tsub(9);\n}\n'
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    obj = osmia.compile(source=source)
    made = all_inlined(obj)
    inside = {each.text for each in obj.source_lines("sub")} - {"return r;"}  # the exit's
    assert inside <= {each.text for each in made.source_lines("p")}
    slots = {slot for slot, _ in walk(made.functions["p"].code)}
    assert {each.slot for each in made.source_lines("p")} <= slots


def test_a_call_is_last_if_its_result_is_what_is_returned() -> None:
    obj = assembled(
        {
            "last": "call @s\nexit",
            "jumps": "call @s\ngoto out\nr0 = 1\nout: exit",
            "not": "call @s\nr0 += 1\nexit",
            "maybe": "call @s\nif r0 == 0 goto out\nr0 = 1\nout: exit",
        },
        {"s": "r0 = 0\nexit"},
    )
    found = {name: is_last(obj, Call(name, 0, "s")) for name in obj.programs}
    assert found == {"last": True, "jumps": True, "not": False, "maybe": False}


def test_the_object_given_stays_as_it_was() -> None:
    obj = assembled({"p": "r1 = 1\ncall @mix\nexit"}, {"mix": MIXES})
    before = obj.digest
    all_inlined(obj)
    assert obj.digest == before


def test_an_index_that_may_be_negative_takes_the_whole_frame() -> None:
    known = (
        "r1 = *(u32 *)(r1 +16)\nr2 = r10\nr2 += -64\nr1 &= 7\nr2 += r1\n"
        "*(u8 *)(r2 +0) = 1\nr0 = 0\nexit"
    )
    unknown = known.replace("r1 &= 7", "r1 s>>= 61")
    obj = assembled(
        {"known": known, "unknown": unknown.replace("*(u32 *)(r1 +16)", "*(u64 *)(r10 -8)")}
    )
    assert frame_sizes(known_code(obj)) == {"known": 64, "unknown": 512}
