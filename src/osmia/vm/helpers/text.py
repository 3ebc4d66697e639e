"""Helpers on text: printing, formatting, parsing and comparing numbers and strings."""

from __future__ import annotations

import re

from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_FAULT, E_INVAL, E_RANGE, FAILURES, M32, M64

_DIRECTIVE = re.compile(
    rb"%(?:%|(?P<flags>[-+ 0]*)(?P<width>(?:[1-9]\d*)?)"
    rb"(?:(?P<kind>p(?:[iI][46]|[ku]s(?![a-zA-Z0-9])|[xKsSB]|(?![a-zA-Z0-9]))|s(?![a-zA-Z0-9])|c)|(?P<length>ll|l)?(?P<number>[diuxX])))"
)
LONGEST = 4096
"""Bytes of a format, or of a number's text, that are looked at."""
WIDEST = 6
"""Digits of a field's width."""
_MAX_ARGUMENTS = 12
_PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\v\f\r")
_SPACE = b"\t\n\v\f\r \xa0"
_LONGEST_NUMBER = 63
"""Digits, prefix included, that are looked at (`__bpf_strtoull`)."""
_BITS = {b"l": 64, b"ll": 64, None: 32}


class FormatError(ValueError):
    """A format that bpf_trace_printk refuses."""


def formatted(call: Invocation, template: bytes, values: list[int]) -> bytes:
    """A format and its arguments as text, in the subset of C's that the kernel allows."""
    rest = iter(values)

    def one(match: re.Match[bytes]) -> bytes:
        kind = match["kind"] or match["number"]
        if kind is None:
            return b"%"
        value = next(rest, None)
        if value is None:
            raise FormatError("more directives than arguments")
        return _directive(call, match, kind, value)

    if not _PRINTABLE.issuperset(template):
        raise FormatError("a character that is not printable")
    if template.count(b"%") != sum(m.group().count(b"%") for m in _DIRECTIVE.finditer(template)):
        raise FormatError("an unknown directive")
    return _DIRECTIVE.sub(one, template)


def _directive(call: Invocation, match: re.Match[bytes], kind: bytes, value: int) -> bytes:
    flags, width = match["flags"].decode(), match["width"].decode()
    if len(width) > WIDEST:
        raise FormatError("a field is too wide")
    if kind == b"s":
        text = _string(call, value).decode("latin-1")
        return f"{text:{'<' if '-' in flags else '>'}{width or 0}}".encode("latin-1")
    if kind == b"c":
        padded = bytes([value & 0xFF]).ljust if "-" in flags else bytes([value & 0xFF]).rjust
        return padded(int(width or 0))
    if kind[:1] == b"p":
        return _pointer(call, match, kind, value)
    value &= (1 << _BITS[match["length"]]) - 1
    if kind in b"di" and value >> (_BITS[match["length"]] - 1):
        value -= 1 << _BITS[match["length"]]
    if kind not in b"di":  # signs are for signed numbers
        flags = flags.replace("+", "").replace(" ", "")
    code = {b"d": "d", b"i": "d", b"u": "d", b"x": "x", b"X": "X"}[kind]
    return f"%{flags}{width}{code}".encode() % value


def _pointer(call: Invocation, match: re.Match[bytes], kind: bytes, value: int) -> bytes:
    match kind[1:]:
        case b"i4":
            return b".".join(b"%03d" % part for part in _bytes(call, value, 4))
        case b"I4":
            return b".".join(b"%d" % part for part in _bytes(call, value, 4))
        case b"i6":
            return _bytes(call, value, 16).hex().encode()
        case b"I6":  # of all groups: only %pI6c, which programs have not, leaves zeros out
            return _bytes(call, value, 16).hex(":", 2).encode()
        case b"ks" | b"us":
            return _string(call, value)
        case b"B":
            return b"0x%x" % value
        case b"s" | b"S":  # there are no symbols
            return _padded(b"0x%x" % value, match, b" ", 0)
    zeros = b"0" in match["flags"] or not match["width"]
    return _padded(b"%x" % value, match, b"0" if zeros else b" ", 16)


def _padded(text: bytes, match: re.Match[bytes], fill: bytes, width: int) -> bytes:
    width = int(match["width"] or width)
    return text.ljust(width) if b"-" in match["flags"] else text.rjust(width, fill)


def _is_there(call: Invocation, address: int, size: int) -> bool:
    return 1 << 16 <= address <= call.vm.memory.size - size


def _bytes(call: Invocation, address: int, size: int) -> bytes:
    """What is at an address that a format follows; zeros where nothing is."""
    return call.read(address, size) if _is_there(call, address, size) else bytes(size)


def _string(call: Invocation, address: int) -> bytes:
    return call.string(address) if _is_there(call, address, 1) else b""


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
    return _print(call, _format(call, template, size), list(values))


@helper("trace_vprintk", Argument.READ, Argument.SIZE, Argument.READ, Argument.SIZE)
def trace_vprintk(call: Invocation, template: int, size: int, data: int, length: int) -> int:
    """bpf_trace_vprintk, since 5.16: as many arguments as `length` bytes hold, at most 12."""
    length &= M32
    if length % 8 or length > 8 * _MAX_ARGUMENTS:
        return E_INVAL
    return _print(call, _format(call, template, size), _words(call, data, length))


def _format(call: Invocation, template: int, size: int) -> bytes:
    return call.string(template, min(size & M32, LONGEST))


def _words(call: Invocation, data: int, length: int) -> list[int]:
    raw = call.read(data, length) if length else b""
    return [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]


def _print(call: Invocation, template: bytes, values: list[int]) -> int:
    try:
        line = formatted(call, template, values)
    except FormatError:
        return E_INVAL
    call.vm.trace.append(line.rstrip(b"\n").decode("utf-8", "backslashreplace"))
    return len(line)


@helper("snprintf", Argument.WRITE, Argument.SIZE, Argument.STRING, Argument.READ, Argument.SIZE)
def snprintf(
    call: Invocation, buffer: int, size: int, template: int, data: int, length: int
) -> int:
    """bpf_snprintf, since 5.13: the length the whole text needs, its NUL included."""
    size &= M32
    length &= M32
    if length % 8 or length > 8 * _MAX_ARGUMENTS:
        return E_INVAL
    try:
        text = formatted(call, call.string(template), _words(call, data, length))
    except FormatError:
        return E_INVAL
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


USER_ADDRESSES = 1 << 47


def _elsewhere(address: int) -> int:
    """The error for an address that is not there: those of user space the kernel does not
    even try (mm/maccess.c)."""
    return E_RANGE if address < USER_ADDRESSES else E_FAULT


@helper("probe_read", Argument.WRITE, Argument.SIZE, Argument.ANY)
@helper("probe_read_kernel", Argument.WRITE, Argument.SIZE, Argument.ANY)
def probe_read_kernel(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_kernel, since 5.5, and bpf_probe_read, since 4.1: of the vm's own memory;
    elsewhere they fail, and leave zeros."""
    size &= M32
    if size and not _is_there(call, source, size):
        call.zero(to, size)
        return _elsewhere(source)
    call.write(to, call.read(source, size) if size else b"")
    return 0


@helper("probe_read_kernel_str", Argument.WRITE, Argument.SIZE, Argument.ANY)
def probe_read_kernel_str(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_kernel_str, since 5.5: the length with the NUL. A failure leaves zeros."""
    size &= M32
    if size and not _is_there(call, source, 1):
        call.zero(to, size)
        return _elsewhere(source)
    text = call.string(source, size - 1) + b"\0" if size else b""
    call.write(to, text)
    return len(text)
