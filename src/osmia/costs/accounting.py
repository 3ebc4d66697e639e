"""Costs from coverage: counts of instructions, with what each of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from osmia.costs.call_paths import CallPaths
from osmia.costs.estimates import helper_ns, instruction_ns
from osmia.costs.model import CallCost, Costs, FunctionCost, LineCost
from osmia.coverage.model import CoverageData, FunctionCounts
from osmia.isa import Instruction, walk
from osmia.isa.forms import Form, form_of
from osmia.isa.lattice import Pointer, atoms
from osmia.isa.state import State
from osmia.named_tuples import NamedTuple
from osmia.object.known_code import MapAddress, known_code
from osmia.object.model import Object, Relocation, RelocationKind
from osmia.object.uapi import MapType

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.isa.packing import ByteOrder

_FOREIGN = (
    RelocationKind.EXTERN_CALL,
    RelocationKind.KERNEL_FUNCTION,
    RelocationKind.ENGINE_FUNCTION,
)


class Callee(NamedTuple):
    """What a call outside of the object calls, and with which map."""

    name: str
    map: str
    map_type: MapType | None


class Step(NamedTuple):
    """An instruction that ran: how often, what it took in all, what of that is its callee's."""

    slot: int
    times: int
    own_ns: float
    callee: Callee | None
    callee_ns: float


def costs(loaded: LoadedObject, data: CoverageData, measured_ns: int | None = None) -> Costs:
    """What the runs cost that `osmia.cover` counted of a loaded object.

        with osmia.cover(bpf) as coverage:
            taken = bpf.programs["ingress"].run(packet, repeat=1000).duration_ns * 1000
        print(costs(bpf, coverage.data, taken).lines[0])

    `measured_ns`, the time of all these runs, is shared out by estimates; without it these stand
    for themselves.
    """
    obj = counted_object(loaded)
    found = {each.name: each for each in data.functions.values() if each.name in obj.functions}
    callees = _callees(obj)
    steps = {
        name: list(_steps(obj, name, each, callees.get(name, {}))) for name, each in found.items()
    }
    total = sum(step.own_ns + step.callee_ns for each in steps.values() for step in each)
    scale = measured_ns / total if measured_ns is not None and total else 1.0
    lines = _Lines(found, steps, scale)
    functions = [_function(found[name], each, scale) for name, each in steps.items() if each]
    return Costs(
        sorted(functions, key=_dearest_first),
        sorted(lines.records(), key=_dearest_first),
        sorted(_calls(steps, scale), key=_dearest_first),
        sorted(CallPaths(obj, found, steps, lines.of, scale).paths(), key=_dearest_first),
        measured_ns,
    )


def _dearest_first(record: Any) -> tuple[float, tuple[Any, ...]]:
    """Equal ones by the rest, so that reports of equal runs are equal."""
    return -record.ns, tuple(map(str, record))


def counted_object(loaded: Any) -> Object:
    """The object that the counts of a loaded one are of: without counters in its code."""
    counters = getattr(loaded, "counters", None)
    obj: Object = loaded.object if counters is None else counters.object
    return obj


def _steps(
    obj: Object, name: str, counts: FunctionCounts, callees: Mapping[int, Callee]
) -> Iterator[Step]:
    for slot, insn in walk(obj.functions[name].code, cast("ByteOrder", obj.byteorder)):
        count = counts.slots.get(slot, 0)
        if count:
            callee = callees.get(slot)
            called = 0.0 if callee is None else helper_ns(callee.name, callee.map_type)
            yield Step(slot, count, count * instruction_ns(form_of(insn)), callee, count * called)


def _function(counts: FunctionCounts, steps: list[Step], scale: float) -> FunctionCost:
    first = counts.lines.get(0)
    file, line = (first.file, first.line) if first is not None else ("", 0)
    return FunctionCost(
        counts.name,
        file,
        line,
        counts.entered,
        sum(step.times for step in steps),
        scale * sum(step.own_ns + step.callee_ns for step in steps),
    )


class _Lines:
    """The lines of functions' instructions."""

    def __init__(
        self,
        counts: Mapping[str, FunctionCounts],
        steps: Mapping[str, list[Step]],
        scale: float,
    ) -> None:
        self._counts = counts
        self._found: dict[tuple[str, str, int], LineCost] = {}
        for name, each in steps.items():
            for step in each:
                line = counts[name].lines.get(step.slot)
                if line is None or not line.line:
                    continue
                key = name, line.file, line.line
                taken = scale * (step.own_ns + step.callee_ns)
                known = self._found.get(key)
                before = (0, 0.0) if known is None else (known.instructions, known.ns)
                self._found[key] = LineCost(
                    line.file,
                    line.line,
                    line.text,
                    name,
                    before[0] + step.times,
                    before[1] + taken,
                )

    def records(self) -> list[LineCost]:
        """All of them."""
        return list(self._found.values())

    def of(self, function: str, slot: int) -> LineCost | None:
        """That of an instruction."""
        line = self._counts[function].lines.get(slot)
        return None if line is None else self._found.get((function, line.file, line.line))


def _calls(steps: Mapping[str, list[Step]], scale: float) -> Iterator[CallCost]:
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for each in steps.values():
        for step in each:
            if step.callee is not None:
                key = step.callee.name, step.callee.map
                count, ns = found.get(key, (0, 0.0))
                found[key] = count + step.times, ns + scale * step.callee_ns
    for (name, map_name), (count, ns) in found.items():
        yield CallCost(name, map_name, count, ns)


def _callees(obj: Object) -> dict[str, dict[int, Callee]]:
    """What each call calls outside of the object, by function and slot."""
    code = known_code(obj)
    foreign = {
        (key, record.offset // 8): record
        for key, function in obj.functions.items()
        for record in function.relocations
        if record.kind in _FOREIGN
    }
    found: dict[str, dict[int, Callee]] = {}
    for _, slot, insn, state in code.walk():
        if form_of(insn) is not Form.CALL:
            continue
        function, own = code.place(slot)
        name = _name(insn, foreign.get((function, own)))
        if name:
            found.setdefault(function, {})[own] = _with_map(obj, name, state)
    return found


def _name(insn: Instruction, record: Relocation | None) -> str:
    if record is not None:
        return _kfunc(record)
    if not insn.is_helper_call:
        return ""
    from osmia.isa.helper_functions import HELPERS

    helper = HELPERS.get(insn.imm)
    return helper.name if helper is not None else f"helper #{insn.imm}"


def _kfunc(record: Relocation) -> str:
    if record.kind is not RelocationKind.KERNEL_FUNCTION:
        return record.target
    from osmia.passes.running import RunningKernel

    kernel = RunningKernel()
    vmlinux = record.target == "vmlinux"
    btf = kernel.btf if vmlinux else kernel.modules.get(record.target)
    name = btf.name_of(record.addend) if btf is not None else ""
    return name or f"kfunc #{record.addend}"


def _with_map(obj: Object, name: str, state: State) -> Callee:
    """The map is the first or the second argument, where it is known which one that is."""
    for register in (1, 2):
        for atom in atoms(state.registers[register]) or ():
            if isinstance(atom, Pointer) and isinstance(atom.token, MapAddress):
                held = obj.maps.get(atom.token.map)
                return Callee(name, atom.token.map, held.type if held is not None else None)
    return Callee(name, "", None)
