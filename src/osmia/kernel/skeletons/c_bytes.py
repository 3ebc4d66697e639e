"""Bytes as C string literals."""

from __future__ import annotations

_A_LINE = 24


def byte_string(data: bytes, indent: str = "\t") -> str:
    """A literal with these bytes (and the zero that C puts behind them), in lines.

    Every byte is escaped, so that none is taken for a part of the escape before it.
    """
    lines = (data[start : start + _A_LINE] for start in range(0, len(data), _A_LINE))
    texts = ["".join(_ESCAPES[byte] for byte in line) for line in lines]
    return "\n".join(f'{indent}"{text}"' for text in texts or [""])


_ESCAPES = [r"\0", *(rf"\x{byte:02x}" for byte in range(1, 256))]
