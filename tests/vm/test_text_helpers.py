"""Text helpers against the kernel: each letter of formats with each flag, and each way in which
a number fails."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import osmia

pytestmark = pytest.mark.kernel

FLAGS = ("", "-", "+", " ", "0", "-0", "+0", " 0", "+ ", "5", "-5", "05", "+5", " 5", "30", "-30")
NUMBERS = ("d", "i", "u", "x", "X", "ld", "lu", "lx", "lli", "llu", "llX")
VALUES = (0, 5, 0xFFFF_FFFB, 0xFFFF_FFFF_FFFF_FFFB)
POINTERS = ("pi4", "pI4", "pi6", "pI6", "ps", "pS", "pB", "px", "pks", "pus", "s", "c")

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
"""
CALL = '{{ static const char f[] = "{text}"; __u64 a[] = {{{value}}}; '
CALL += "ret[{n}] = bpf_snprintf(out[{n}], 64, f, a, 8); }}"


def formats(letters: tuple[str, ...], values: tuple[str, ...]) -> list[tuple[str, str]]:
    made = itertools.product(FLAGS, letters, values)
    return [(f"<%{flags}{letter}>%%", value) for flags, letter, value in made]


def compared(cases: list[tuple[str, str]]) -> list[tuple[str, str, Any, Any]]:
    """Where the kernel's text is not the vm's."""
    calls = [CALL.format(text=t, value=v, n=n) for n, (t, v) in enumerate(cases)]
    source = f"""{HEAD}
char out[{len(cases)}][64]; long ret[{len(cases)}];
const unsigned char bytes[16] = {{0x20, 1, 0xd, 0xb8, 9, 99, [15] = 1}};
const char word[] = "word";
SEC("syscall") int p(void *c) {{ {" ".join(calls)} return 0; }}
"""
    obj = osmia.compile(source)
    told = []
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for bpf in (kernel, vm):
            bpf.programs["p"].run()
            told.append(list(zip(map(str, bpf.data["out"]), bpf.data["ret"], strict=True)))
    pairs = zip(cases, *told, strict=True)
    return [(text, value, k, v) for (text, value), k, v in pairs if k != v]


@pytest.mark.parametrize("value", VALUES)
def test_numbers_are_formatted_as_by_the_kernel(value: int) -> None:
    assert not compared(formats(NUMBERS, (f"{value}ULL",)))


@pytest.mark.parametrize("letter", POINTERS)
def test_what_is_pointed_at_is_formatted_as_by_the_kernel(letter: str) -> None:
    values = {
        "c": ("0x41",),
        "s": ("(__u64)word",),
        "pks": ("(__u64)word", "0x10"),
        "pus": ("0x10",),
        "ps": ("0x1234",),
        "pS": ("0x1234",),
        "pB": ("0x1234",),
        "px": ("0x1234", "0"),
    }
    assert not compared(formats((letter,), values.get(letter, ("(__u64)bytes", "0x10"))))


NUMBER_TEXTS = [
    *(b"", b"0", b"00", b"7", b"08", b"09x", b"-0", b"-1", b"- 1", b"--1", b"+1", b" 12"),
    *(b"0x", b"0X", b"0xg", b"0x1f", b"-0x1f", b"0X1Fz", b"x1", b"abc", b"-", b" ", b"\xa07"),
    *(b"\x857", b"\t\n 12 3"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808"),
    *(b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616"),
    *(b"-99999999999999999999", b"0" * 60 + b"123456", b"1" * 63, b"1777777777777777777777"),
]
NUMBERS_SOURCE = f"""{HEAD}
char text[80]; int size; __u64 flags; long ret[2]; long val; unsigned long uval;
SEC("syscall") int p(void *c)
{{
	val = -77; uval = 77;
	__u32 n = size;
	if (!n || n > sizeof(text)) return 1;
	ret[0] = bpf_strtol(text, n, flags, &val);
	ret[1] = bpf_strtoul(text, n, flags, &uval);
	return 0;
}}
"""


def test_numbers_are_read_and_refused_as_by_the_kernel() -> None:
    obj = osmia.compile(NUMBERS_SOURCE)
    wrong = []
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for text, flags in itertools.product(NUMBER_TEXTS, (0, 8, 10, 16, 2, 7, 32, 1 << 40)):
            for size in {len(text), len(text) + 1, len(text) - 1} - {-1, 0}:
                told = []
                for bpf in (kernel, vm):
                    bpf.data["text"] = text.ljust(80, b"\0")
                    bpf.data["size"], bpf.data["flags"] = size, flags
                    bpf.programs["p"].run()
                    told.append((list(bpf.data["ret"]), bpf.data["val"], bpf.data["uval"]))
                if told[0] != told[1]:
                    wrong.append((text, size, flags, *told))
    assert not wrong
