"""Formats against the kernel: what is refused, how long the text is, and the text."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import pytest

import osmia

pytestmark = pytest.mark.kernel

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
char format[256]; int format_size; __u64 values[12]; int values_size; long ret;
const char word[300] = "LONG";
SEC("syscall") int many(void *ctx)
{
	__u32 n = format_size, m = values_size;
	if (n < 1 || n > 256 || m > 96)
		return 1;
	for (int i = 0; i < 12; i++)
		if (values[i] == 0x1111)
			values[i] = (__u64)word;
	ret = bpf_trace_vprintk(format, n, values, m);
	return 0;
}
SEC("syscall") int three(void *ctx)
{
	__u32 n = format_size;
	if (n < 1 || n > 256)
		return 1;
	ret = bpf_trace_printk(format, n, values[0], values[1], values[2]);
	return 0;
}
""".replace("LONG", "word" * 70)

PLAIN = ["%", "%%"] + [
    f"%{flags}{width}{length}{letter}"
    for flags, width, length, letter in itertools.product(
        ("", "-", "+", " ", "0", "-0", "#"),
        ("", "5", "05", "10"),
        ("", ".", ".3", "l", "ll", "h", "z", "L"),
        "diuxXscp%foanb",
    )
]
POINTERS = [
    f"%{width}p{letters}"
    for width in ("", "5", "-30", "030", "+30", "- 5", "0")
    for letters in (
        *("", "K", "x", "s", "S", "B", "f", "F", "M", "m", "U", "d", "h", "e", "a", "V", "N", "O"),
        *("i4", "I4", "i6", "I6", "i5", "I", "i", "I4x", "I6c", "Ix", "si4", "Ss", "Bb", "xx"),
        *("ks", "us", "k", "u", "ksa", "us1", "ks%", "us ", "s%d", "I4%d"),
    )
]
TAILS = ("", " ", "x", "1", "%%", "\n", "\a", "\x7f", ".", "\t", "_", "%d", "%s", "%pI6")
NUMBERS = (0, 1, 5, 0xFFFF_FFFB, 0xFFFF_FFFF_FFFF_FFFB, 0x41, 0x10, 1 << 31, 1 << 63, 1 << 47)
WORD = 0x1111
HASHED = re.compile(r"%[-+ 0]*\d*p(K|[^a-zA-Z0-9]|$)")


def seen(bpf: Any, program: str, given: tuple[bytes, list[int], int]) -> tuple[int, Any]:
    text, values, size = given
    bpf.data["format"] = text.ljust(256, b"\0")
    bpf.data["format_size"], bpf.data["values_size"] = len(text), size
    bpf.data["values"] = values
    return bpf.programs[program].run().retval, bpf.data["ret"]


def a_format(choose: random.Random) -> tuple[str, list[int]]:
    """A format, and values that are pointers only where both engines print the same of them."""
    words = choose.choice([PLAIN, POINTERS])
    parts = [choose.choice(words) + choose.choice(TAILS) for _ in range(choose.choice([1, 1, 2]))]
    text = "".join(parts)
    numbers = re.search(r"%[-+ 0#]*\d*(p(?![iIk])|[diuxXl])", text)
    values = choose.choices(NUMBERS if numbers else (*NUMBERS, WORD), k=12)
    return text, values


@pytest.mark.parametrize("seed", range(4))
def test_formats_are_taken_or_refused_and_as_long_as_in_the_kernel(seed: int) -> None:
    choose, wrong = random.Random(seed), []
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for _ in range(300):
            text, values = a_format(choose)
            if HASHED.search(text):
                values = [0] * 12  # the hash of an address has fewer digits now and then
            raw = text.encode() + b"\0" * (choose.random() < 0.95)
            given = raw[:256] or b"\0", values, choose.choice([0, 8, 16, 24, 24, 96, 20])
            for program in ("many", "three"):
                told = [seen(bpf, program, given) for bpf in (kernel, vm)]
                if told[0] != told[1]:
                    wrong.append((program, *given, *told))
    assert not wrong


TOO_LONG = [
    *("%s%s", "%s%ld%s", "%s%s%ld", "%s%s%c", "%s%s%s"),
    *("%s%d%c%ld%pI6%s", "%s%pi6%s", "%300d"),
]


@pytest.mark.parametrize("text", TOO_LONG)
def test_arguments_have_little_room_as_in_the_kernel(text: str) -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        values = [WORD] * 12 if "%ld" not in text else [WORD, WORD, 7, *[WORD] * 9]
        if text == "%s%ld%s":
            values[1], values[2] = 7, WORD
        if text.startswith("%s%d%c"):
            values[1:4] = 1, 65, 7
        for size in (8, 16, 24, 96):
            given = text.encode() + b"\0", values, size
            assert seen(kernel, "many", given) == seen(vm, "many", given)


def test_pointers_are_hashed_as_in_the_kernel() -> None:
    """Other numbers, for there is a secret in them; of the same shape."""
    obj = osmia.compile(SOURCE)
    with obj.load(engine="vm") as vm:
        for text in (b"%p %p %pK %30p\0", b"%-30p|%p %p\0"):
            seen(vm, "many", (text, [0x1234, 0, 0x1234, 1 << 63, *[0] * 8], 96))
        errors = [0xFFFF_FFFF_FFFF_FFFB, 0xFFFF_FFFF_FFFF_F000]
        seen(vm, "many", (b"%p %p\0", [*errors, *[0] * 10], 96))
        lines = [line.split() for line in vm.vm.trace]
    assert lines[0][1] == "0" * 16
    assert lines[0][0] == lines[0][2] != f"{0x1234:016x}"
    assert re.fullmatch("00000000[0-9a-f]{8}", lines[0][0])
    assert lines[2][0] == "fffffffffffffffb"  # errors are no addresses
    assert lines[2][1].startswith("00000000")


def test_text_beside_directives_may_be_of_any_language(kernel_since_6_18: None) -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for text in ("é", "%dé", "%é", "%pé", "%sé", "%s\xa0", "%ps\xe9", "%pI4é%d"):
            given = text.encode("latin-1") + b"\0", [0] * 12, 96
            assert seen(kernel, "many", given) == seen(vm, "many", given)


@pytest.fixture
def kernel_since_6_18() -> None:
    from osmia.kernel.probes.features import kernel_version

    if kernel_version()[:2] < (6, 18):
        pytest.skip("since Linux 6.18.y")
