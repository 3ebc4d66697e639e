"""The elements of a JSON array that may be larger than memory, one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

_CHUNK = 1 << 20
_BLANKS = re.compile(r"[ \t\r\n]*")


class NotJson(ValueError):
    """The text is no JSON array; `number` says at which element, counted from 1."""

    def __init__(self, problem: str, number: int) -> None:
        super().__init__(problem)
        self.number = number


def elements(stream: IO[str]) -> Iterator[Any]:
    """The elements of the array that a stream holds, and nothing else. Raises NotJson."""
    text = _Text(stream)
    decode = json.JSONDecoder().raw_decode
    if text.next_letter() != "[":
        raise NotJson("it is no JSON array", 1)
    text.at += 1
    number = 0
    while (letter := text.next_letter()) != "]":
        if number:
            if letter != ",":
                raise NotJson("a comma or ] is expected", number + 1)
            text.at += 1
            text.next_letter()
        number += 1
        while True:
            try:
                element, end = decode(text.text, text.at)
            except ValueError as error:
                if not text.grow():
                    problem = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    raise NotJson(problem, number) from None
                continue
            if end < len(text.text) or not text.grow():  # else a number may go on
                break
        text.at = end
        yield element
    text.at += 1
    if text.next_letter():
        raise NotJson("something stands behind the array", number + 1)


class _Text:
    """What of a stream was read and is still needed; `at` is where the reader is in `text`."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.text, self.at = "", 0

    def next_letter(self) -> str:
        """The letter behind blanks, which `at` is at then; "" at the end."""
        while True:
            found = _BLANKS.match(self.text, self.at)
            assert found is not None
            self.at = found.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def grow(self) -> bool:
        """Read as much again as there is, so that an element of any length is decoded a few times
        only; False at the end."""
        self.text = self.text[self.at :]
        self.at = 0
        more = self._stream.read(max(_CHUNK, len(self.text)))
        self.text += more
        return bool(more)
