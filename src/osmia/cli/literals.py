"""Values on the command line: numbers as C writes them, JSON, else text."""

from __future__ import annotations

import json
from typing import Any

from osmia.cli.usage import usage_error
from osmia.values import Codec, StringCodec
from osmia.values.meant import MeantCodec


def parse_literal(text: str, codec: Codec | None = None) -> Any:
    """`text` as a Python value that codecs take, that of `codec` where it is given.

    Numbers (10, 0x0a, 012, 0b1010, 1.5), true and false, JSON arrays and objects, JSON strings;
    whatever is none of them is text: an enumerator's name, or the contents of a char array.
    Where the type is text, everything is, but for what JSON or C quotes, as tables show text.
    """
    if _is_text(codec):
        from osmia.values.readable import unquoted

        return unquoted(text)
    try:
        return parse_integer(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_text(codec: Codec | None) -> bool:
    return isinstance(codec, StringCodec) or (
        isinstance(codec, MeantCodec) and codec.kind == "text"
    )


def parse_integer(text: str) -> int:
    """An integer as C writes it: 10, 0x0a, 012 (octal), 0b1010. ValueError for other text."""
    try:
        return int(text, 0)
    except ValueError:
        return int(text, 8) if text.lstrip("+-").startswith("0") else int(text)


def parse_hex(text: str) -> bytes:
    """Bytes from "0a0b", "0a 0b", "a b", "0a:0b" or "0x0a 0x0b". UsageError for others."""
    digits = text.replace("0x", " ").replace(":", " ").replace(",", " ")
    words = (f"0{word}" if len(word) == 1 else word for word in digits.split())
    try:
        return bytes.fromhex(" ".join(words))
    except ValueError:
        raise usage_error(f"{text[:40]!r} is not hexadecimal") from None
