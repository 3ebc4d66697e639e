"""Messages of the Debug Adapter Protocol: JSON behind a header that has its length."""

from __future__ import annotations

import json
import threading
from typing import Any, BinaryIO

from osmia.errors import OsmiaError

MOST_HEADER = 1 << 12
"""Bytes of a header."""
MOST_BODY = 1 << 24
"""Bytes of a message."""
_LENGTH = b"content-length"


class ProtocolError(OsmiaError):
    """Bytes behind which nobody knows where the next message begins."""


class BadMessage(OsmiaError):
    """A message that is none, with others behind it."""


class Messages:
    """Both directions of a connection. `read` is for one thread, `write` for any."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source = source
        self._target = target
        self._lock = threading.Lock()
        self._sequence = 0
        self.closed = False

    def read(self) -> dict[str, Any] | None:
        """The next message; None at the end. BadMessage, ProtocolError."""
        length = self._header()
        if length is None:
            return None
        data = self._source.read(length)
        if len(data) != length:
            return None  # it went away in the middle of a message
        try:
            message = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadMessage(f"a message that is no JSON: {error}") from None
        if not isinstance(message, dict):
            raise BadMessage(f"a message that is no object: {message!r:.80}")
        return message

    def _header(self) -> int | None:
        """The length that the header tells; None at the end."""
        length, left = None, MOST_HEADER
        while True:
            line = self._source.readline(left)
            left -= len(line)
            if not line:
                return None
            if not line.endswith(b"\n"):
                raise ProtocolError("a header without an end")
            line = line.strip()
            if not line:
                break
            name, _, value = line.partition(b":")
            if name.strip().lower() == _LENGTH:
                length = self._length(value.strip())
        if length is None:
            raise ProtocolError("a header without Content-Length")
        return length

    def _length(self, value: bytes) -> int:
        if not value.isdigit() or len(value) > 12:
            raise ProtocolError(f"a Content-Length of {value[:20]!r}")
        if int(value) > MOST_BODY:
            raise ProtocolError(f"a message of {int(value)} bytes; {MOST_BODY} are the most")
        return int(value)

    def write(self, message: dict[str, Any]) -> None:
        """Send a message, with the next number. Nothing happens when the other end went away."""
        with self._lock:
            if self.closed:
                return
            self._sequence += 1
            data = json.dumps({"seq": self._sequence, **message}, default=str).encode()
            try:
                self._target.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
                self._target.flush()
            except (OSError, ValueError):
                self.closed = True
