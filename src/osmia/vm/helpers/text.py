"""Helpers on text: printing, formatting, parsing and comparing numbers and strings."""

from __future__ import annotations

import re

from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_FAULT, E_INVAL, E_RANGE, M32, M64

_DIRECTIVE = re.compile(
    rb"%(?:%|(?P<flags>[-+ 0]*)(?P<width>(?:[1-9]\d*)?)"
    rb"(?:(?P<kind>p(?:[iI][46]|[ku]s|[xKsSB]|(?![a-zA-Z0-9]))|[cs])|(?P<length>ll|l)?(?P<number>[diuxX])))"
)
LONGEST = 4096
"""Bytes of a format, or of a number's text, that are looked at."""
WIDEST = 6
"""Digits of a field's width."""
_MAX_ARGUMENTS = 12
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

    if template.count(b"%") != sum(m.group().count(b"%") for m in _DIRECTIVE.finditer(template)):
        raise FormatError("an unknown directive")
    return _DIRECTIVE.sub(one, template)


def _directive(call: Invocation, match: re.Match[bytes], kind: bytes, value: int) -> bytes:
    flags, width = match["flags"].decode(), match["width"].decode()
    if len(width) > WIDEST:
        raise FormatError("a field is too wide")
    if kind == b"s":
        text = call.string(value).decode("latin-1")
        return f"{text:{'<' if '-' in flags else '>'}{width or 0}}".encode("latin-1")
    if kind == b"c":
        padded = bytes([value & 0xFF]).ljust if "-" in flags else bytes([value & 0xFF]).rjust
        return padded(int(width or 0))
    if kind[:1] == b"p":
        return _pointer(call, kind, value)
    value &= (1 << _BITS[match["length"]]) - 1
    if kind in b"di" and value >> (_BITS[match["length"]] - 1):
        value -= 1 << _BITS[match["length"]]
    code = {b"d": "d", b"i": "d", b"u": "d", b"x": "x", b"X": "X"}[kind]
    return f"%{flags}{width}{code}".encode() % value


def _pointer(call: Invocation, kind: bytes, value: int) -> bytes:
    import ipaddress

    match kind[1:]:
        case b"i4" | b"I4":
            address = ipaddress.IPv4Address(call.read(value, 4))
            plain = str(address)
            if kind[1:] == b"i4":
                plain = ".".join(f"{part:03}" for part in address.packed)
            return plain.encode()
        case b"i6" | b"I6":
            found = ipaddress.IPv6Address(call.read(value, 16))
            return (str(found) if kind[1:] == b"I6" else found.exploded.replace(":", "")).encode()
        case b"ks" | b"us":
            return call.string(value)
    return f"{value:016x}".encode()


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


def _parsed(call: Invocation, data: int, size: int, flags: int, signed: bool) -> tuple[int, int]:
    """How many characters were used, or an errno value; and the number."""
    base = flags & 31
    if base not in (0, 8, 10, 16) or flags >> 5:
        return E_INVAL, 0
    text = call.read(data, min(size & M32, LONGEST))
    pattern = {0: rb"0[xX][0-9a-fA-F]+|[0-9]+", 8: rb"[0-7]+", 10: rb"[0-9]+"}.get(
        base, rb"(?:0[xX])?[0-9a-fA-F]+"
    )
    sign = rb"-?" if signed else rb""
    match = re.match(rb"\s*(" + sign + rb")(" + pattern + rb")", text)
    if match is None:
        return E_INVAL, 0
    digits = match[2]
    if base == 0:
        prefixed = digits[:2].lower() == b"0x"
        base = 16 if prefixed else 8 if digits[:1] == b"0" and len(digits) > 1 else 10
        if base == 8 and not all(c in b"01234567" for c in digits):
            digits = re.match(rb"[0-7]+", digits)[0]  # type: ignore[index]
    value = int(digits, base)
    if match[1]:
        value = -value
    return match.start(2) + len(digits), value


@helper("strtol", Argument.READ, Argument.SIZE, Argument.ANY, Argument.WRITE8)
def strtol(call: Invocation, data: int, size: int, flags: int, result: int) -> int:
    """bpf_strtol, since 5.2: the number of characters used."""
    used, value = _parsed(call, data, size, flags, True)
    if used == E_INVAL:
        return used
    if not -(1 << 63) <= value < 1 << 63:
        return E_RANGE
    call.write(result, (value & M64).to_bytes(8, "little"))
    return used


@helper("strtoul", Argument.READ, Argument.SIZE, Argument.ANY, Argument.WRITE8)
def strtoul(call: Invocation, data: int, size: int, flags: int, result: int) -> int:
    """bpf_strtoul, since 5.2: the number of characters used."""
    used, value = _parsed(call, data, size, flags, False)
    if used == E_INVAL:
        return used
    if value >= 1 << 64:
        return E_RANGE
    call.write(result, value.to_bytes(8, "little"))
    return used


@helper("strncmp", Argument.READ, Argument.SIZE, Argument.STRING)
def strncmp(call: Invocation, first: int, size: int, second: int) -> int:
    """bpf_strncmp, since 5.17."""
    size &= M32
    a = call.string(first, size)
    b = call.string(second, size).split(b"\0", 1)[0]
    return ((a > b) - (a < b)) & M64


@helper("probe_read_kernel", Argument.WRITE, Argument.SIZE, Argument.ANY)
def probe_read_kernel(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_kernel, since 5.5: of the vm's own memory; elsewhere it fails."""
    size &= M32
    if not 1 << 16 <= source <= call.vm.memory.size - size:
        call.zero(to, size)
        return E_FAULT
    call.write(to, call.read(source, size))
    return 0


@helper("probe_read_kernel_str", Argument.WRITE, Argument.SIZE, Argument.ANY)
def probe_read_kernel_str(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_kernel_str, since 5.5: the length with the NUL."""
    size &= M32
    if not 1 << 16 <= source < call.vm.memory.size:
        return E_FAULT
    text = call.string(source, size - 1) + b"\0" if size else b""
    call.write(to, text)
    return len(text)
