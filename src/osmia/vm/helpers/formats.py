"""Format strings as the kernel takes them: `bpf_bprintf_prepare` (kernel/bpf/helpers.c), which says
what of C's formats there is and copies what is pointed at, and `bstr_printf` (lib/vsprintf.c)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Protocol

from osmia.vm.maps.constants import E_INVAL, E_NOSPC, FAILURES, M32

MAX_ARGUMENTS = 12
LARGEST_TEXT = 1024
"""Bytes of a line of the trace, its NUL included (MAX_BPRINTF_BUF)."""
_COPIES = 512
"""Bytes of the arguments' copies, strings included (MAX_BPRINTF_BIN_ARGS)."""
WIDEST = 6
"""Digits of a field's width."""
_SECRET = int.from_bytes(os.urandom(8), "little")

# The kernel's classes of characters are those of Latin-1 (lib/ctype.c).
_AFTER_STRING = rb"(?![0-9A-Za-z\0-\x08\x0e-\x1f\x7f-\x9f\xc0-\xd6\xd8-\xf6\xf8-\xff])"
_LETTERS = re.compile(rb"[0-9A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff]*")
_DIRECTIVE = re.compile(
    rb"(?P<flags>[-+ 0]*)(?P<width>(?:[1-9][0-9]*)?)(?:"
    rb"p(?P<pointer>[KxsSB]|[iI][46]|[ku]s" + _AFTER_STRING + rb"|" + _AFTER_STRING + rb")"
    rb"|(?P<string>s)" + _AFTER_STRING + rb"|(?P<character>c)"
    rb"|(?P<length>ll?)?(?P<number>[diuxX]))"
)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")


class Reader(Protocol):
    """Memory that formats point to."""

    def bytes_at(self, address: int, size: int) -> bytes | None:
        """Bytes; None where they are not all there."""

    def string_at(self, address: int, limit: int) -> bytes | None:
        """A string without its NUL, cut after `limit` bytes; None where there is none."""


class FormatError(Exception):
    """A format that the kernel refuses; `result` is what the helper gives."""

    def __init__(self, result: int, why: str) -> None:
        super().__init__(why)
        self.result = result


class _Copies:
    """The arguments, one after the other, and what they point at: there is room for little."""

    def __init__(self, values: list[int], reader: Reader) -> None:
        self._values = iter(values)
        self._reader = reader
        self._used = 0

    def value(self, size: int) -> int:
        """The next argument, of which `size` bytes are copied."""
        value = self.address()
        start = -(-self._used // min(size, 4)) * min(size, 4)
        if _COPIES - start < size:
            raise FormatError(E_NOSPC, "the arguments are too long")
        self._used = start + size
        return value & ((1 << 8 * size) - 1)

    def address(self) -> int:
        """The next argument, which is not copied itself."""
        for value in self._values:
            return value
        raise FormatError(E_INVAL, "more directives than arguments")

    def string(self) -> bytes:
        """The string that the next argument points at; empty where there is none."""
        address, room = self.address(), _COPIES - self._used
        if room <= 0:
            raise FormatError(E_NOSPC, "the arguments are too long")
        text = self._reader.string_at(address, room - 1) or b""
        self._used += len(text) + 1
        return text

    def text(self, size: int, write: Callable[[bytes], bytes]) -> bytes:
        """What `write` makes of the bytes that the next argument points at, or of zeros."""
        address = self.address()
        if _COPIES - self._used < size:
            raise FormatError(E_NOSPC, "the arguments are too long")
        return self.written(write(self._reader.bytes_at(address, size) or bytes(size)))

    def written(self, text: bytes) -> bytes:
        """A text that takes room among the copies."""
        room = max(_COPIES - self._used, 1)
        self._used += len(text) + 1
        return text[: room - 1]


def formatted(template: bytes, values: list[int], reader: Reader) -> bytes:
    """A format and its arguments as text. FormatError when the kernel refuses it."""
    copies, parts, at = _Copies(values, reader), [], 0
    while (found := template.find(b"%", at)) >= 0:
        parts.append(_plain(template[at:found]))
        if template[found + 1 : found + 2] == b"%":
            parts.append(b"%")
            at = found + 2
            continue
        match = _DIRECTIVE.match(template, found + 1)
        if match is None:
            raise FormatError(E_INVAL, "an unknown directive")
        parts.append(_directive(match, copies))
        at = match.end()
        if match["pointer"] is not None:
            # Letters after a pointer are taken to be of it, and not printed.
            at += len(_LETTERS.match(template, at)[0])  # type: ignore[index]
    parts.append(_plain(template[at:]))
    return b"".join(parts)


def _plain(text: bytes) -> bytes:
    if _CONTROL.search(text):
        raise FormatError(E_INVAL, "a control character")
    return text


def _directive(match: re.Match[bytes], copies: _Copies) -> bytes:
    if len(match["width"]) > WIDEST:
        raise FormatError(E_INVAL, "a field is too wide")
    if match["string"]:
        return _padded(copies.string(), match)
    if match["character"]:
        return _padded(bytes([copies.value(1)]), match)
    if match["pointer"] is not None:
        return _pointer(match["pointer"], match, copies)
    return _number(match, copies)


def _number(match: re.Match[bytes], copies: _Copies) -> bytes:
    size = 8 if match["length"] else 4
    value, flags, code = copies.value(size), match["flags"].decode(), match["number"].decode()
    if code in "di":
        value -= value >> (8 * size - 1) << (8 * size)
    else:  # signs are for signed numbers
        flags = flags.replace("+", "").replace(" ", "")
    code = code.replace("i", "d").replace("u", "d")
    return f"%{flags}{match['width'].decode()}{code}".encode() % value


def _pointer(kind: bytes, match: re.Match[bytes], copies: _Copies) -> bytes:
    match kind:
        case b"i4":
            return copies.text(4, lambda raw: b".".join(b"%03d" % part for part in raw))
        case b"I4":
            return copies.text(4, lambda raw: b".".join(b"%d" % part for part in raw))
        case b"i6":
            return copies.text(16, lambda raw: raw.hex().encode())
        case b"I6":  # of all groups: only %pI6c, which programs have not, leaves zeros out
            return copies.text(16, lambda raw: raw.hex(":", 2).encode())
        case b"ks" | b"us":
            return copies.string()
        case b"B":
            return copies.written(b"0x%x" % copies.address())
        case b"s" | b"S":  # there are no symbols
            return _padded(b"0x%x" % copies.value(8), match)
    value = copies.value(8)
    if kind != b"x" and 0 < value < FAILURES:
        value = hash((_SECRET, value)) & M32
    zeros = b"0" in match["flags"] or not match["width"]
    return _padded(b"%x" % value, match, b"0" if zeros else b" ", 16)


def _padded(text: bytes, match: re.Match[bytes], fill: bytes = b" ", width: int = 0) -> bytes:
    width = int(match["width"] or width)
    return text.ljust(width) if b"-" in match["flags"] else text.rjust(width, fill)
