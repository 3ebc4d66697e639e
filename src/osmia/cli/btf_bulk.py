"""BTF as text in bulk: what `btf_text` says of a type, for all types of a large BTF.

The frequent kinds are written from their words, without an object a type; the others go
through `btf_text`. Both give the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from osmia.btf import BTF, Kind
from osmia.btf.layout import KIND_FLAG, KIND_MASK, KIND_SHIFT, VLEN_MASK
from osmia.cli.btf_text import LINKAGE, record_lines, record_of
from osmia.cli.output import printable

#: Types a piece of text: large enough that writing costs little, small enough to flow.
_PIECE = 4096
_CODE = KIND_MASK << KIND_SHIFT

#: Kinds of three words, of which the last is a type.
_REFERENCES = (Kind.PTR, Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)

#: An enumerator without a name, which is shown as none.
_UNNAMED = "''"

#: From a type's words, behind its number and kind, to its text.
_Writer = Callable[[str, list[int]], str]


def text(btf: BTF) -> Iterator[str]:
    """All types of `btf` (of a split BTF its own ones), in pieces of many lines."""
    writers = _Names(btf).writers()
    words, starts = btf.records()
    ends = [*starts[1:].tolist(), len(words)]
    lines: list[str] = []
    for type_id, (start, end) in enumerate(zip(starts, ends, strict=True), btf.first_id):
        record = words[start:end].tolist()
        writer = writers.get(record[1] & _CODE)
        if writer is not None:
            lines.append(writer(f"[{type_id}] ", record))
        else:
            lines += map(line_text, record_lines(btf, record_of(btf, type_id)))
        if len(lines) >= _PIECE:
            yield "\n".join(lines) + "\n"
            lines.clear()
    if lines:
        yield "\n".join(lines) + "\n"


def joined(texts: Iterable[str]) -> Iterator[str]:
    """The same text in fewer pieces."""
    rest = iter(texts)
    while piece := "".join(islice(rest, _PIECE)):
        yield piece


def line_text(line: str) -> str:
    """A line of `record_lines` without what would move the terminal's cursor."""
    return "\t" * line.startswith("\t") + printable(line.lstrip("\t"))


class _Names(dict[int, str]):
    """Names as they are shown, in quotes, by the offsets of their strings."""

    def __init__(self, btf: BTF) -> None:
        self._btf = btf

    def __missing__(self, offset: int) -> str:
        name = self[offset] = f"'{printable(self._btf.string(offset)) or '(anon)'}'"
        return name

    def writers(self) -> dict[int, _Writer]:
        """By the bits of the kind in an `info` word."""
        found: dict[int, _Writer] = {
            Kind.FUNC: self._function,
            Kind.FUNC_PROTO: self._prototype,
            Kind.ARRAY: self._array,
            Kind.STRUCT: self._composite("STRUCT"),
            Kind.UNION: self._composite("UNION"),
            Kind.ENUM: self._enum,
        }
        found |= {kind: self._reference(kind.name) for kind in _REFERENCES}
        return {kind << KIND_SHIFT: writer for kind, writer in found.items()}

    def _reference(self, kind: str) -> _Writer:
        return lambda head, record: f"{head}{kind} {self[record[0]]} type_id={record[2]}"

    def _function(self, head: str, record: list[int]) -> str:
        number = record[1] & VLEN_MASK
        linkage = LINKAGE.get(number, number)
        return f"{head}FUNC {self[record[0]]} type_id={record[2]} linkage={linkage}"

    def _prototype(self, head: str, record: list[int]) -> str:
        columns = zip(record[3::2], record[4::2], strict=True)
        return (
            f"{head}FUNC_PROTO {self[record[0]]} ret_type_id={record[2]}"
            f" vlen={record[1] & VLEN_MASK}"
            + "".join([f"\n\t{self[name]} type_id={type_id}" for name, type_id in columns])
        )

    def _array(self, head: str, record: list[int]) -> str:
        return (
            f"{head}ARRAY {self[record[0]]} type_id={record[3]} index_type_id={record[4]}"
            f" nr_elems={record[5]}"
        )

    def _composite(self, kind: str) -> _Writer:
        def write(head: str, record: list[int]) -> str:
            line = f"{head}{kind} {self[record[0]]} size={record[2]} vlen={record[1] & VLEN_MASK}"
            columns = zip(record[3::3], record[4::3], record[5::3], strict=True)
            if not record[1] & KIND_FLAG:
                return line + "".join(
                    [f"\n\t{self[n]} type_id={i} bits_offset={at}" for n, i, at in columns]
                )
            return line + "".join(
                f"\n\t{self[n]} type_id={i} bits_offset={at & 0xFF_FFFF}"
                + (f" bitfield_size={at >> 24}" if at >> 24 else "")
                for n, i, at in columns
            )

        return write

    def _enum(self, head: str, record: list[int]) -> str:
        signed = record[1] & KIND_FLAG
        string = self._btf.string
        sign = 1 << 31 if signed else 1 << 32
        columns = zip(record[3::2], record[4::2], strict=True)
        return (
            f"{head}ENUM {self[record[0]]} encoding={'SIGNED' if signed else 'UNSIGNED'}"
            f" size={record[2]} vlen={record[1] & VLEN_MASK}"
            + "".join(
                [
                    f"\n\t{self[name] if string(name) else _UNNAMED}"
                    f" val={value if value < sign else value - (1 << 32)}"
                    for name, value in columns
                ]
            )
        )
