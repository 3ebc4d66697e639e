"""Helpers on text: printing, formatting, parsing and comparing numbers and strings."""

from __future__ import annotations

import re

from osmia.vm.helpers.formats import LARGEST_TEXT, MAX_ARGUMENTS, FormatError, formatted
from osmia.vm.helpers.probe_reads import Memory
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_INVAL, E_RANGE, FAILURES, M32, M64

LONGEST = 4096
"""Bytes of a format, or of a number's text, that are looked at."""
_SPACE = b"\t\n\v\f\r \xa0"
_LONGEST_NUMBER = 63
"""Digits, prefix included, that are looked at (`__bpf_strtoull`)."""


@helper(
    "trace_printk",
    Argument.READ,
    Argument.SIZE,
    Argument.OPTIONAL,
    Argument.OPTIONAL,
    Argument.OPTIONAL,
)
def trace_printk(call: Invocation, template: int, size: int, *values: int) -> int:
    """bpf_trace_printk, since 4.1: a line for `Vm.trace`; its length."""
    return _print(call, template, size, list(values))


@helper("trace_vprintk", Argument.READ, Argument.SIZE, Argument.READ, Argument.SIZE)
def trace_vprintk(call: Invocation, template: int, size: int, data: int, length: int) -> int:
    """bpf_trace_vprintk, since 5.16: as many arguments as `length` bytes hold, at most 12."""
    length &= M32
    if length % 8 or length > 8 * MAX_ARGUMENTS:
        return E_INVAL
    return _print(call, template, size, words(call, data, length))


def words(call: Invocation, data: int, length: int) -> list[int]:
    """The arguments of a format, as a program puts them into memory."""
    raw = call.read(data, length) if length else b""
    return [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]


def _print(call: Invocation, template: int, size: int, values: list[int]) -> int:
    given = call.read(template, min(size & M32, LONGEST))
    text, end, _ = given.partition(b"\0")
    if not end:
        return E_INVAL
    try:
        line = formatted(text, values, Memory(call.vm))
    except FormatError as error:
        return error.result
    shown = line[: LARGEST_TEXT - 1].partition(b"\0")[0].rstrip(b"\n")
    call.vm.trace.append(shown.decode("utf-8", "backslashreplace"))
    return len(line)


@helper("snprintf", Argument.WRITE, Argument.SIZE, Argument.STRING, Argument.READ, Argument.SIZE)
def snprintf(
    call: Invocation, buffer: int, size: int, template: int, data: int, length: int
) -> int:
    """bpf_snprintf, since 5.13: the length the whole text needs, its NUL included."""
    size &= M32
    length &= M32
    if length % 8 or length > 8 * MAX_ARGUMENTS:
        return E_INVAL
    try:
        text = formatted(call.string(template), words(call, data, length), Memory(call.vm))
    except FormatError as error:
        return error.result
    if size:
        call.write(buffer, text[: size - 1] + b"\0")
    return len(text) + 1


def _parsed(call: Invocation, data: int, size: int, flags: int) -> tuple[int, int, bool]:
    """How many characters were used, or an errno value; the number; whether it had a minus.
    As `__bpf_strtoull` (kernel/bpf/helpers.c) and `_parse_integer` (lib/kstrtox.c) do it."""
    base = flags & 31
    if base not in (0, 8, 10, 16) or flags >> 5:
        return E_INVAL, 0, False
    given = call.read(data, min(size & M32, LONGEST))
    text = given.lstrip(_SPACE)
    negative = text[:1] == b"-"
    text = text[negative:]
    before = len(given) - len(text)
    text = text[:_LONGEST_NUMBER]
    prefixed = text[:2].lower() == b"0x"
    if base == 0:
        hexadecimal = prefixed and text[2:3] in _HEXADECIMAL
        base = 16 if hexadecimal else 8 if text[:1] == b"0" else 10
    start = 2 if base == 16 and prefixed else 0
    digits = re.match(_DIGITS[base], text[start:])
    if digits is None:
        return E_INVAL, 0, negative
    value = int(digits[0], base)
    if value > M64:
        return E_RANGE, 0, negative
    return before + start + len(digits[0]), value, negative


_DIGITS = {8: rb"[0-7]+", 10: rb"[0-9]+", 16: rb"[0-9a-fA-F]+"}
_HEXADECIMAL = frozenset(b"%c" % digit for digit in b"0123456789abcdefABCDEF")


@helper("strtol", Argument.READ, Argument.SIZE, Argument.ANY, Argument.WRITE8)
def strtol(call: Invocation, data: int, size: int, flags: int, result: int) -> int:
    """bpf_strtol, since 5.2: the number of characters used. A failure leaves 0 (since 6.12)."""
    used, value, negative = _parsed(call, data, size, flags)
    call.zero(result, 8)
    if used >= FAILURES:
        return used
    value = -value if negative else value
    if not -(1 << 63) <= value < 1 << 63:
        return E_RANGE
    call.write(result, (value & M64).to_bytes(8, "little"))
    return used


@helper("strtoul", Argument.READ, Argument.SIZE, Argument.ANY, Argument.WRITE8)
def strtoul(call: Invocation, data: int, size: int, flags: int, result: int) -> int:
    """bpf_strtoul, since 5.2: the number of characters used. A failure leaves 0 (since 6.12)."""
    used, value, negative = _parsed(call, data, size, flags)
    call.zero(result, 8)
    if used >= FAILURES or negative:
        return used if used >= FAILURES else E_INVAL
    call.write(result, value.to_bytes(8, "little"))
    return used


@helper("strncmp", Argument.READ, Argument.SIZE, Argument.STRING)
def strncmp(call: Invocation, first: int, size: int, second: int) -> int:
    """bpf_strncmp, since 5.17."""
    size &= M32
    a = call.string(first, size)
    b = call.string(second, size).split(b"\0", 1)[0]
    return ((a > b) - (a < b)) & M64
