"""What iterators write: the text that reading them gives."""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.formats import MAX_ARGUMENTS, FormatError, formatted
from osmia.vm.helpers.probe_reads import Memory
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.helpers.text import LONGEST, words
from osmia.vm.maps.constants import E_INVAL, M32, M64

E_OVERFLOW = -75 & M64
_TRACING = frozenset({ProgramType.TRACING})
MOST = 1 << 24
"""Bytes that one reading of an iterator gives."""


def _add(call: Invocation, sequence: int, text: bytes) -> int:
    written = call.vm.sequences.get(sequence)
    if written is None:
        raise ProgramFault(f"{sequence:#x} is no struct seq_file of this run")
    if len(written) + len(text) > MOST:
        return E_OVERFLOW
    written += text
    return 0


@helper(
    "seq_printf",
    *(Argument.ANY, Argument.READ, Argument.SIZE, Argument.READ, Argument.SIZE),
    types=_TRACING,
)
def seq_printf(
    call: Invocation, sequence: int, template: int, size: int, data: int, length: int
) -> int:
    """bpf_seq_printf, since 5.7."""
    length &= M32
    if length % 8 or length > 8 * MAX_ARGUMENTS:
        return E_INVAL
    given, end, _ = call.read(template, min(size & M32, LONGEST)).partition(b"\0")
    if not end:
        return E_INVAL
    try:
        text = formatted(given, words(call, data, length), Memory(call.vm))
    except FormatError as error:
        return error.result
    return _add(call, sequence, text)


@helper("seq_write", Argument.ANY, Argument.READ, Argument.SIZE, types=_TRACING)
def seq_write(call: Invocation, sequence: int, data: int, size: int) -> int:
    """bpf_seq_write, since 5.7."""
    return _add(call, sequence, call.read(data, size & M32))
