"""Iterators (SEC("iter/…")) over what a test gives: a run for each object and one for the end, as
reading the kernel's file makes them (kernel/bpf/bpf_iter.c)."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from struct import pack
from typing import TYPE_CHECKING, Any

from osmia.btf import Kind
from osmia.engine.maps import Map
from osmia.errors import KernelError, NotSupportedError
from osmia.object.uapi import AttachType
from osmia.records import replace
from osmia.vm.maps.raw import VmMap
from osmia.vm.structures import Block, Builder, types_of

if TYPE_CHECKING:
    from osmia.engine.results import RunResult
    from osmia.vm.programs import VmProgram

SHOWN, AGAIN = 0, 1
"""What an iterator's program returns."""
ASKED_AGAIN = "its program returns 1 for an object that is to be shown again, else 0"


def iterate(program: VmProgram, objects: Any, **options: Any) -> RunResult:
    """Run an iterator's program over objects; `data` of the result is what it wrote.

    An object is a structure, its fields, or the fields of the context (`{"task": …, "fd": 3}`); of
    a map all entries are gone through. Raises NotSupportedError for programs of other kinds,
    KernelError (EAGAIN) where the program asks to be called once more.
    """
    iteration = Iteration(program, objects)
    runs, total = 0, 0
    try:
        for context in iteration.contexts():
            result = program.execute(ctx=context, **options)
            runs, total = runs + 1, total + result.duration_ns
            if result.retval != SHOWN:
                raise KernelError(errno.EAGAIN, f"iterate with {program.name!r}", hint=ASKED_AGAIN)
    finally:
        iteration.close()
    return replace(iteration.result(result), duration_ns=total // runs)


class Iteration:
    """What one reading of an iterator goes over, until it is closed. Raises NotSupportedError for
    programs of other kinds."""

    def __init__(self, program: VmProgram, objects: Any) -> None:
        self._builder, self._type_id = _context_type(program)
        self._vm = program.vm
        self._objects = objects
        self._sequence = Block(program.vm, bytes(8), "struct seq_file")
        self._written = program.vm.sequences[self._sequence.address] = bytearray()
        self._kept: list[Block] = []

    def contexts(self, *, keep: bool = False) -> Iterator[bytes]:
        """The context for each object, and one for the end. Each leads somewhere until the next is
        asked for; with `keep` until it is closed."""
        codec = self._builder.struct_codec(self._type_id)
        names = [field.name for field in codec.fields if field.name != "meta"]
        for number, fields in enumerate(_all_fields(self._objects, names)):
            raw = pack("<3Q", self._sequence.address, 0, number)
            made: list[Block] = [Block(self._vm, raw, "struct bpf_iter_meta")]
            plain = self._builder.plain(self._type_id, fields, made)
            if keep:
                self._kept += made
            yield codec.encode({"meta": made[0].address, **plain})

    def result(self, last: RunResult) -> RunResult:
        """The result of the last run, with what all of them wrote."""
        return replace(last, data=bytes(self._written), ctx_data=b"")

    def close(self) -> None:
        """It was read to its end."""
        self._vm.sequences.pop(self._sequence.address, None)


def _context_type(program: VmProgram) -> tuple[Builder, int]:
    definition = program.definition
    if program.expected_attach_type is not AttachType.TRACE_ITER or definition is None:
        raise NotSupportedError(f"{program.name!r} is no iterator: objects= is for those")
    name = f"bpf_iter__{definition.attach_to}"
    for btf in types_of(program.vm):
        type_id = btf.find(name, Kind.STRUCT)
        if type_id:
            return Builder(program.vm, btf), type_id
    raise NotSupportedError(f"there is no struct {name}: nobody has such an iterator")


def _all_fields(objects: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """The fields of the context for each object, and none for the end."""
    each: Iterable[Any] = _entries(objects) if isinstance(objects, Map) else objects
    for one in each:
        if isinstance(one, Mapping) and one.keys() <= set(names):
            yield dict(one)
        else:
            yield {names[0]: one}
    yield {}


def _entries(held: Map) -> Iterator[dict[str, Any]]:
    if not isinstance(held.raw, VmMap):
        raise NotSupportedError(f"map {held.name!r} is in no vm: its iterators are the kernel's")
    body = held.raw.body
    for key, address in body.entries():
        yield {"map": body.handle, "key": key, "value": address}
