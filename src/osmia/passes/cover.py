"""Count what runs: counters in an object's code, for kernels, which count nothing themselves.

The counters are a data section that nobody else names: a row for each CPU, so that none waits for
another, and one more that all share. `osmia.passes.strands` says what is counted,
`osmia.passes.counters` how.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, cast

from osmia.errors import RewriteError
from osmia.isa.cfg import ControlFlow, control_flow
from osmia.isa.packing import ByteOrder
from osmia.object.editing import FunctionEditor, apply_edits
from osmia.object.frames import frame_sizes
from osmia.object.jump_targets import jump_targets
from osmia.object.known_code import known_code
from osmia.object.model import DataKind, DataSection, Function, Object, Relocation, RelocationKind
from osmia.object.uapi import ProgramType
from osmia.passes.calls import too_deep
from osmia.passes.counters import COUNTER, FunctionCounters, Rows
from osmia.passes.strands import Strand, Way, counts_of, strands
from osmia.passes.target import Target
from osmia.passes.usable_registers import Registers, argument_count
from osmia.records import dataclass
from osmia.values.names import unknown_name

SECTION: Final = ".bss.cover"
"""The data section of the counters."""
_LINE = 64
"""Bytes that CPUs take from each other at once: rows do not share any."""
_MOST_BYTES = 1 << 29
"""What an address in a map's value reaches (BPF_MAX_VAR_OFF)."""
_REFERENCES = (RelocationKind.CALL, RelocationKind.FUNCTION)
_SPIN_LOCK = 93
"""The number of bpf_spin_lock."""
_LOCKING_KFUNCS = ("bpf_rbtree_add_impl", "bpf_res_spin_lock", "bpf_res_spin_lock_irqsave")


@dataclass(frozen=True, slots=True)
class CountedFunction:
    """A function as it was without counters; `first` is the number of its first one."""

    function: Function
    flow: ControlFlow
    strands: Sequence[Strand]
    first: int

    @property
    def counters(self) -> int:
        """How many it has."""
        return sum(not each.parts for each in self.strands)

    def counts(self, counters: Sequence[int]) -> tuple[dict[int, int], dict[Way, int]]:
        """How often each slot ran, and each way of a jump was taken: `counters` are all of the
        object's."""
        own = counters[self.first : self.first + self.counters]
        slots: dict[int, int] = {}
        ways: dict[Way, int] = {}
        for strand, count in zip(self.strands, counts_of(self.strands, own), strict=True):
            for start, end in strand.pieces:
                slots.update(dict.fromkeys(range(start, end), count))
            ways.update(dict.fromkeys(strand.ways, count))
        return slots, ways


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted in an object: `object` is as it was without counters."""

    object: Object
    functions: Mapping[str, CountedFunction]
    rows: Rows

    @property
    def counters(self) -> int:
        """How many there are."""
        return sum(each.counters for each in self.functions.values())

    def sums(self, section: bytes) -> list[int]:
        """The counters, over all rows; `section` is what the data section holds."""
        order = "<" if self.object.byteorder == "little" else ">"
        row = struct.Struct(f"{order}{self.counters}Q")
        rows = (row.unpack_from(section, at) for at in range(0, self.rows.size, self.rows.stride))
        return [sum(each) for each in zip(*rows, strict=True)]


def cover(
    obj: Object,
    target: Target | None = None,
    *,
    cpus: int = 1,
    only: Collection[str] | None = None,
) -> tuple[Object, Counted]:
    """`obj` with counters, and what they count; for a machine with so many CPUs. With `only` they
    are in the functions of these names alone.

    RewriteError for a name of no function that is loaded, where an object has the section already,
    is too large, or has no place for a counter; NotSupportedError for indirect jumps that share
    targets.
    """
    if SECTION in obj.data_sections:
        raise RewriteError(f"{obj.name} is counted already: it has a section {SECTION!r}")
    kfuncs = _Kfuncs(obj, target)
    counted, flows = _counted(obj, cpus, only, throws="bpf_throw" in kfuncs.names)
    if not counted.counters:
        return obj, counted
    counters = _Counters(counted, flows, kfuncs)
    shared = {key for key in obj.functions if _locks(obj, kfuncs)} - {
        program.function for program in obj.programs.values()
    }
    made = counters.put(shared)
    deep = too_deep(made, target) - too_deep(obj, target) if target is not None else set()
    if deep:
        made = counters.put(shared | _with_callees(obj, deep))
    return made, counted


def _counted(
    obj: Object, cpus: int, only: Collection[str] | None, *, throws: bool
) -> tuple[Counted, dict[str, ControlFlow]]:
    """What is counted, and the control flow of all functions that are loaded."""
    functions: dict[str, CountedFunction] = {}
    flows: dict[str, ControlFlow] = {}
    first = 0
    loaded = _loaded(obj)
    chosen = _chosen(obj, loaded, only)
    for key, function in obj.functions.items():
        if key not in loaded:
            continue
        flow = flows[key] = control_flow(
            function.code,
            cast("ByteOrder", obj.byteorder),
            subprograms=False,
            jump_tables=jump_targets(obj, function),
        )
        if key not in chosen:
            continue
        made = strands(flow, throws=throws)
        functions[key] = CountedFunction(function, flow, made, first)
        first += functions[key].counters
    rows = 1 << max(cpus - 1, 0).bit_length()
    stride = -(-first * COUNTER // _LINE) * _LINE
    if (rows + 1) * stride >= _MOST_BYTES:
        raise RewriteError(f"{obj.name}: {first} counters for each of {cpus} CPUs are too many")
    return Counted(obj, functions, Rows(SECTION, rows, stride)), flows


def _chosen(obj: Object, loaded: set[str], only: Collection[str] | None) -> set[str]:
    """The functions that are to be counted."""
    if only is None:
        return loaded
    names = {key: obj.functions[key].name for key in loaded if key in obj.functions}
    for name in only:
        if name not in names and name not in names.values():
            raise RewriteError(
                unknown_name(obj.name, name, sorted(names.values()), kind="function ")
            )
    return {key for key, name in names.items() if key in only or name in only}


def _loaded(obj: Object) -> set[str]:
    """The functions of the programs that loads take."""
    return _with_callees(
        obj,
        (
            entry
            for program in obj.programs.values()
            if program.autoload or program.type is ProgramType.STRUCT_OPS
            for entry in (program.function, program.exception_callback)
        ),
    )


def _with_callees(obj: Object, entries: Iterable[str]) -> set[str]:
    """Functions with all that they refer to; what is not there is for the layout to say."""
    found: set[str] = set()
    pending = [key for key in entries if key in obj.functions]
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            targets = (r.target for r in obj.functions[key].relocations if r.kind in _REFERENCES)
            pending += (target for target in targets if target in obj.functions)
    return found


class _Counters:
    """The counters of an object, put into its code."""

    def __init__(self, counted: Counted, flows: Mapping[str, ControlFlow], kfuncs: _Kfuncs) -> None:
        obj = self.obj = counted.object
        self.counted = counted
        self.registers = Registers(obj, flows, kfuncs.arguments)
        self.frames = frame_sizes(known_code(obj, roots=obj.functions.keys()))

    def put(self, shared: set[str]) -> Object:
        """The object with counters; the functions `shared` use the row that all share."""
        editors = []
        for key, each in self.counted.functions.items():
            editor = FunctionEditor(self.obj, key)
            code = FunctionCounters(
                editor,
                each.flow,
                self.registers.live[key],
                self.registers.set[key],
                self.counted.rows,
                COUNTER * each.first,
                None if key in shared else self.frames[key],
            )
            code.put(each.strands)
            editors.append(editor)
        made, _ = apply_edits(self.obj, editors)
        section = DataSection(SECTION, DataKind.BSS, bytearray(self.counted.rows.size))
        return made.copy(data_sections=made.data_sections | {SECTION: section})


class _Kfuncs:
    """The kernel functions that an object calls."""

    def __init__(self, obj: Object, target: Target | None) -> None:
        self._target = target
        self._known: dict[Relocation, tuple[str, int | None]] = {}
        self.names = {
            self._of(record)[0]
            for function in obj.functions.values()
            for record in function.relocations
            if record.kind is RelocationKind.KERNEL_FUNCTION
        }

    def arguments(self, record: Relocation) -> int | None:
        """How many arguments one takes; None: nobody knows."""
        return self._of(record)[1]

    def _of(self, record: Relocation) -> tuple[str, int | None]:
        key = record._replace(offset=0)
        if key not in self._known:
            self._known[key] = "", None
            if self._target is not None:
                vmlinux = record.target == "vmlinux"
                btf = self._target.btf if vmlinux else self._target.modules.get(record.target)
                if btf is not None:
                    name = btf.name_of(record.addend)
                    self._known[key] = name, argument_count(btf, record.addend)
        return self._known[key]


def _locks(obj: Object, kfuncs: _Kfuncs) -> bool:
    """Whether functions of an object may be called under a lock, where no helper can be."""
    if not kfuncs.names.isdisjoint(_LOCKING_KFUNCS):
        return True
    call = b"\x85\x00\x00\x00" + _SPIN_LOCK.to_bytes(4, "little")
    return any(
        function.code[at : at + 8] == call
        for function in obj.functions.values()
        for at in range(0, len(function.code), 8)
    )
