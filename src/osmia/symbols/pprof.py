"""Profiles as pprof reads them: proto/profile.proto of github.com/google/pprof, compressed."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osmia.symbols.frames import Frame
    from osmia.symbols.stack_profile import Sample, StackProfile

_UNITS = {
    "samples": ("samples", "count"),
    "ns": ("time", "nanoseconds"),
    "events": ("events", "count"),
}


def pprof(profile: StackProfile) -> bytes:
    """The file's bytes; equal profiles give equal ones."""
    writer = _Writer()
    kind, unit = _UNITS.get(profile.unit, (profile.unit, "count"))
    parts = [_bytes(1, writer.value_type(kind, unit))]
    parts += [_bytes(2, writer.sample(each)) for each in profile.samples]
    parts += [_bytes(3, each) for each in writer.mappings.values()]
    parts += [_bytes(4, each) for each in writer.locations.values()]
    parts += [_bytes(5, each) for each in writer.functions.values()]
    if profile.period_ns:
        parts += [_bytes(11, writer.value_type("cpu", "nanoseconds"))]
    parts += [_bytes(6, each.encode("utf-8", "replace")) for each in writer.strings]
    parts += [
        _number(9, profile.started_ns),
        _number(10, profile.duration_ns),
        _number(12, profile.period_ns),
    ]
    return gzip.compress(b"".join(parts), mtime=0)


class _Writer:
    """What samples refer to by number, each written once."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {"": 0}
        self.mappings: dict[str, bytes] = {}
        self.functions: dict[tuple[str, str], bytes] = {}
        self.locations: dict[tuple[Frame, ...], bytes] = {}
        self._numbers: dict[object, int] = {}

    def value_type(self, kind: str, unit: str) -> bytes:
        return _number(1, self._string(kind)) + _number(2, self._string(unit))

    def sample(self, sample: Sample) -> bytes:
        places = [self._location(each) for each in _by_address(sample.frames)]
        label = _number(1, self._string("process")) + _number(2, self._string(sample.process))
        return _packed(1, places) + _packed(2, [sample.value]) + _bytes(3, label)

    def _location(self, frames: tuple[Frame, ...]) -> int:
        """An address, with the functions that were inlined there, innermost first."""
        if frames not in self.locations:
            parts = [
                _number(1, len(self.locations) + 1),
                _number(2, self._mapping(frames[-1].module)),
                _number(3, frames[-1].address),
            ]
            for each in frames:
                line = _number(1, self._function(each)) + _number(2, each.line)
                parts.append(_bytes(4, line))
            self._numbers[frames] = len(self.locations) + 1
            self.locations[frames] = b"".join(parts)
        return self._numbers[frames]

    def _function(self, frame: Frame) -> int:
        key = (frame.label, frame.file)
        if key not in self.functions:
            number = self._numbers[key] = len(self.functions) + 1
            name = self._string(frame.label)
            self.functions[key] = (
                _number(1, number)
                + _number(2, name)
                + _number(3, name)
                + _number(4, self._string(frame.file))
            )
        return self._numbers[key]

    def _mapping(self, module: str) -> int:
        if not module:
            return 0
        if module not in self.mappings:
            number = self._numbers[module] = len(self.mappings) + 1
            # It has names: pprof need not look for any.
            known = b"".join(_number(field, 1) for field in (7, 8, 9, 10))
            self.mappings[module] = _number(1, number) + _number(5, self._string(module)) + known
        return self._numbers[module]

    def _string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))


def _by_address(frames: Sequence[Frame]) -> Iterable[tuple[Frame, ...]]:
    """Inlined functions together with the one that they are in."""
    together: list[Frame] = []
    for frame in frames:
        together.append(frame)
        if not frame.inlined:
            yield tuple(together)
            together = []
    if together:
        yield tuple(together)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _bytes(field, b"".join(map(_varint, values)))
