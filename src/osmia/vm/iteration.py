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


def iterate(program: VmProgram, objects: Any, **options: Any) -> RunResult:
    """Run an iterator's program over objects; `data` of the result is what it wrote.

    An object is a structure, its fields, or the fields of the context (`{"task": …, "fd": 3}`); of
    a map all entries are gone through. Raises NotSupportedError for programs of other kinds,
    KernelError (EAGAIN) where the program asks to be called once more.
    """
    vm = program.vm
    builder, type_id = _context_type(program)
    sequence = Block(vm, bytes(8), "struct seq_file")
    vm.sequences[sequence.address] = written = bytearray()
    names = [field.name for field in builder.struct_codec(type_id).fields if field.name != "meta"]
    number, total = 0, 0
    try:
        for number, fields in enumerate(_all_fields(objects, names)):
            meta = Block(vm, pack("<3Q", sequence.address, 0, number), "struct bpf_iter_meta")
            made: list[Block] = [meta]
            plain = builder.plain(type_id, fields, made)
            context = builder.struct_codec(type_id).encode({"meta": meta.address, **plain})
            result = program.execute(ctx=context, **options)
            total += result.duration_ns
            if result.retval != SHOWN:
                hint = "its program returns 1 for an object that is to be shown again, else 0"
                raise KernelError(errno.EAGAIN, f"iterate with {program.name!r}", hint=hint)
    finally:
        del vm.sequences[sequence.address]
    return replace(result, data=bytes(written), ctx_data=b"", duration_ns=total // (number + 1))


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
