"""Variable keys of tail calls compared with likely ones: nothing changes but the way there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from osmia.isa import disassemble
from osmia.object import MapType, Object
from osmia.object.known_code import known_code
from osmia.object.model import Pinning
from osmia.passes.tail_call_sites import tail_call_sites
from osmia.passes.tail_calls import direct_tail_calls

from .assembled import assembled, retval

#: The key is the packet's length, less 64.
BY_LENGTH = (
    "r6 = r1\nr3 = *(u32 *)(r1 +4)\nr2 = *(u32 *)(r1 +0)\nr3 -= r2\nr3 += -64\n"
    "r2 = map:calls\nr1 = r6\ncall bpf_tail_call\nr0 = 99\nexit"
)
TARGETS = {f"t{n}": f"r0 = {n}\nexit" for n in range(12)}


def dispatching(*slots: int, text: str = BY_LENGTH) -> Object:
    return assembled({"p": text} | TARGETS, slots={slot: f"t{slot % 12}" for slot in slots})


def listing(obj: Object, function: str = "p") -> list[str]:
    return [line for _, line in disassemble(obj.functions[function].code)]


def calls(obj: Object) -> int:
    return sum("bpf_tail_call" in line for line in listing(obj))


@pytest.mark.kernel
@pytest.mark.parametrize("slots", [(3,), (0, 1, 2, 3), (1, 5, 7, 9, 11, 30), ()])
def test_every_key_goes_where_it_went(slots: tuple[int, ...]) -> None:
    obj = dispatching(*slots)
    made = direct_tail_calls(obj)
    assert calls(made) == len(slots) + 1
    for engine in ("vm", "kernel"):
        with obj.load(engine) as before, made.load(engine) as after:
            for key in range(40):
                packet = bytes(64 + key)
                wanted = key % 12 if key in slots else 99
                for loaded in (before, after):
                    assert loaded.programs["p"].run(packet).retval == wanted, (engine, key)


def test_a_key_is_what_the_kernel_takes_of_it() -> None:
    """32 bits: 2**32 + 3 is 3."""
    text = BY_LENGTH.replace("r3 += -64\n", "r3 += -64\nr4 = 1\nr4 <<= 32\nr3 |= r4\n")
    obj = dispatching(3, text=text)
    made = direct_tail_calls(obj)
    assert [retval(each, "p", 67) for each in (obj, made)] == [3, 3]


@pytest.mark.kernel
def test_the_count_of_tail_calls_is_the_same() -> None:
    """A program that calls itself ends after 33 of them."""
    text = (
        "r6 = r1\nr7 = data:.bss\nr1 = *(u64 *)(r7 +0)\nr1 += 1\n*(u64 *)(r7 +0) = r1\n"
        "r3 = *(u64 *)(r7 +8)\nr2 = map:calls\nr1 = r6\ncall bpf_tail_call\n"
        "r7 = data:.bss\nr0 = *(u64 *)(r7 +0)\nexit"
    )
    obj = assembled({"p": text}, slots={0: "p"})
    made = direct_tail_calls(obj)
    assert calls(made) == 2
    for engine in ("vm", "kernel"):
        assert retval(obj, "p", engine=engine) == retval(made, "p", engine=engine) == 34


def test_keys_come_hottest_first_and_only_so_many() -> None:
    obj = dispatching(1, 2, 3, 4, 5)
    made = direct_tail_calls(obj, {"calls": [5, 39, 2, 1]}, most=3)
    assert [line.split(" goto")[0] for line in listing(made) if "if r3" in line] == [
        "if r3 == 0x5",
        "if r3 == 0x27",
        "if r3 == 0x2",
    ]


def test_many_keys_are_searched_by_halves() -> None:
    made = direct_tail_calls(dispatching(*range(8)))
    assert sum("if r3 >=" in line for line in listing(made)) == 1
    assert calls(made) == 9


def test_of_slots_that_are_as_likely_as_each_other_all_are_compared_or_none() -> None:
    obj = dispatching(*range(33))
    assert calls(direct_tail_calls(obj)) == 34
    assert direct_tail_calls(obj, most=32) is obj
    assert calls(direct_tail_calls(obj, {"calls": range(33)})) == 9  # told: the hottest


def test_only_keys_that_the_code_can_have_are_compared() -> None:
    text = BY_LENGTH.replace("r3 += -64\n", "r3 += -64\nr3 &= 3\n")
    assert calls(direct_tail_calls(dispatching(1, 7, 9, text=text))) == 2
    assert calls(direct_tail_calls(dispatching(text=text))) == 5  # none is filled: all four


def test_nothing_is_done_where_it_cannot_help() -> None:
    constant = dispatching(1, text=BY_LENGTH.replace("r3 -= r2\nr3 += -64\n", "r3 = 1\n"))
    assert direct_tail_calls(constant) is constant
    unknown = dispatching()  # no slot is filled, and the key can be anything
    assert direct_tail_calls(unknown) is unknown
    other = assembled({"p": "r0 = 0\nexit"})
    assert direct_tail_calls(other) is other


def test_slots_that_were_filled_before_are_likely_too() -> None:
    obj = dispatching()
    assert calls(direct_tail_calls(obj, filled={"calls": (4, 5)})) == 3


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ["vm", "kernel"])
def test_slots_of_a_map_that_is_given_are_likely_too(engine: str) -> None:
    first: Any
    with dispatching(4, 5).load(engine) as first:
        options: dict[str, Any] = {"vm": first.vm} if engine == "vm" else {}
        options["maps"] = {"calls": first.maps["calls"]}
        with dispatching().load(engine, direct_tail_calls=True, **options) as loaded:
            keys = [line for line in listing(loaded.object) if "if r3 ==" in line]
            assert [line.split(" goto")[0] for line in keys] == ["if r3 == 0x4", "if r3 == 0x5"]
            program = loaded.programs["p"]
            assert [program.run(bytes(64 + n)).retval for n in (3, 4, 5)] == [99, 4, 5]


@pytest.mark.kernel
@pytest.mark.parametrize("told", ["by name", "by path"])
def test_slots_of_a_map_that_is_pinned_are_likely_too(bpffs: Path, told: str) -> None:
    def pinned(*slots: int) -> Object:
        obj = dispatching(*slots)
        calls = obj.maps["calls"]
        if told == "by name":
            calls = replace(calls, pinning=Pinning.BY_NAME)
        else:  # a path of its own goes before, wherever other pins are
            calls = replace(calls, pin_path=str(bpffs / "elsewhere"))
        return obj.copy(maps=obj.maps | {"calls": calls})

    options: dict[str, Any] = {"pin_root": bpffs, "direct_tail_calls": True}
    with pinned(4, 5).load(pin_root=bpffs), pinned(9).load(**options) as loaded:
        name = "calls" if told == "by name" else "elsewhere"
        assert [each.name for each in bpffs.iterdir()] == [name]
        keys = [line for line in listing(loaded.object) if "if r3 ==" in line]
        assert [line.split(" goto")[0] for line in keys] == [
            f"if r3 == {key:#x}" for key in (4, 5, 9)
        ]
        program = loaded.programs["p"]
        assert [program.run(bytes(64 + n)).retval for n in (3, 4, 5, 9)] == [99, 4, 5, 9]


def test_keys_beyond_the_map_are_left_out() -> None:
    obj = dispatching(1)
    assert calls(direct_tail_calls(obj, {"calls": [40, 1 << 31, -1, 1]})) == 2


def test_a_function_s_own_keys_come_before_the_map_s() -> None:
    obj = dispatching(1, 2)
    made = direct_tail_calls(obj, {"calls": [1], "p": [7]})
    assert [line for line in listing(made) if "if r3" in line] == ["if r3 == 0x7 goto pc+1"]


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ["vm", "kernel"])
def test_keys_are_counted_and_what_was_counted_is_made_direct(engine: str) -> None:
    obj = dispatching(1, 2, 3)
    with obj.load(engine, direct_tail_calls="count") as loaded:
        for key, times in ((3, 5), (1, 2), (30, 3)):
            for _ in range(times):
                wanted = key if key < 4 else 99
                assert loaded.programs["p"].run(bytes(64 + key)).retval == wanted
        counted = loaded.tail_call_keys
    assert counted == {"p": [3, 30, 1]}
    with obj.load(engine, direct_tail_calls=counted) as loaded:
        assert [loaded.programs["p"].run(bytes(64 + n)).retval for n in range(5)] == [
            99,
            1,
            2,
            3,
            99,
        ]
        assert loaded.tail_call_keys == {}


def test_registers_are_kept_while_keys_are_counted() -> None:
    """All that is live at the call is there behind it; r4 and r5 are nobody's."""
    text = BY_LENGTH.replace(
        "r2 = map:calls", "r7 = 7\nr8 = 8\nr9 = 9\n*(u64 *)(r10 -8) = 5\nr2 = map:calls"
    )
    text = text.replace("r0 = 99", "r0 = r7\nr0 *= r8\nr0 *= r9\nr1 = *(u64 *)(r10 -8)\nr0 += r1")
    assert retval(dispatching(1, text=text), "p", 70, direct_tail_calls="count") == 509


def test_other_words_are_errors() -> None:
    with pytest.raises(ValueError, match="'nope'"):
        dispatching(1).load("vm", direct_tail_calls="nope")  # type: ignore[call-overload]


def test_sites_know_maps_and_keys() -> None:
    text = (
        "r6 = r1\nr7 = *(u32 *)(r1 +16)\nr1 = data:.rodata+4\nr3 = *(u32 *)(r1 +0)\nr1 = r6\n"
        "r2 = map:calls\ncall bpf_tail_call\nr3 = 1\nif r7 == 0 goto on\nr3 = 2\non: r1 = r6\n"
        "r2 = map:calls\nif r7 != 5 goto same\nr2 = map:more\nsame: call bpf_tail_call\n"
        "r1 = r6\nr2 = map:calls\nr3 = r7\ncall bpf_tail_call\nr0 = 0\nexit"
    )
    obj = assembled({"p": text}, settings=bytes([9, 0, 0, 0, 7, 0, 0, 0]))
    obj.maps["more"] = replace(obj.maps["calls"], name="more")
    assert obj.maps["more"].type is MapType.PROG_ARRAY
    found = [(site.maps, site.keys) for site in tail_call_sites(known_code(obj))]
    both = frozenset({"calls", "more"})
    assert found == [
        (frozenset({"calls"}), frozenset({7})),
        (both, frozenset({1, 2})),
        (frozenset({"calls"}), None),
    ]
    settled = tail_call_sites(known_code(obj, variable=[".rodata"]))[0]
    assert settled.keys is None


def test_an_option_of_load_makes_them_direct() -> None:
    obj = dispatching(1, 2)
    for given in (True, {"calls": [2]}):
        assert retval(obj, "p", 66, direct_tail_calls=given) == 2
