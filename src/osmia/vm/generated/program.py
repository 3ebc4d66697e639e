"""A program's generated functions, made when first needed: source, Python's compiler, globals."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any

from osmia.isa import opcodes as op
from osmia.isa.alu import M64, divide_signed, modulo_signed
from osmia.isa.forms import Form
from osmia.vm.access import AccessError
from osmia.vm.code import TAIL_CALL
from osmia.vm.contexts import FOLLOWING
from osmia.vm.errors import ProgramFault
from osmia.vm.generated.function import FunctionSource
from osmia.vm.helpers.table import Helper

if TYPE_CHECKING:
    from osmia.vm.engine import Vm
    from osmia.vm.generated.run import GeneratedRun
    from osmia.vm.programs import VmProgram

Function = Callable[..., int]

_SWAPS = {16: (Struct("<H"), Struct(">H")), 32: (Struct("<I"), Struct(">I"))}
_SWAPS[64] = (Struct("<Q"), Struct(">Q"))


def _swap(bits: int) -> Callable[[int], int]:
    pack, unpack = _SWAPS[bits][0].pack, _SWAPS[bits][1].unpack

    def swap(value: int) -> int:
        result: int = unpack(pack(value))[0]
        return result

    return swap


_FIXED: dict[str, Any] = {
    "__builtins__": {},
    "divide_signed": divide_signed,
    "modulo_signed": modulo_signed,
    **{f"swap{bits}": _swap(bits) for bits in _SWAPS},
    **{f"load{bits}": kinds[0].unpack_from for bits, kinds in _SWAPS.items()},
    **{f"store{bits}": kinds[0].pack_into for bits, kinds in _SWAPS.items()},
}


class GeneratedProgram:
    """The functions of a program, by their first slots."""

    def __init__(self, vm: Vm, program: VmProgram) -> None:
        self.code = program.code
        self.number = program.number
        self._vm = vm
        self._type = program.type
        self._counters = program.counters
        self._functions: dict[int, Function] = {}
        views = vm.memory.views()
        self._globals = _FIXED | views | {"here": self}

    def function(self, start: int) -> Function:
        """The function that begins at a slot."""
        found = self._functions.get(start)
        return found if found is not None else self._make(start)

    def _make(self, start: int) -> Function:
        """Make a function and those that it calls."""
        pending, texts = [start], []
        wanted: set[int] = set()
        while pending:
            one = pending.pop()
            if one in wanted or one in self._functions:
                continue
            wanted.add(one)
            pending += self._called(one)
            texts.append(self.source(one))
            self._add_calls(one)
        code = compile("\n".join(texts), "<generated>", "exec", dont_inherit=True)
        exec(code, self._globals)
        self._functions.update((one, self._globals[f"function_{one}"]) for one in wanted)
        return self._functions[start]

    def _called(self, start: int) -> list[int]:
        this = self.code.functions[start]
        return [
            slot + 1 + i.imm
            for slot, i in enumerate(self.code.instructions[start : this.end], start)
            if i is not None and i.is_call and i.src == op.CallKind.SUBPROGRAM
        ]

    def source(self, start: int) -> str:
        """A function's source."""
        this = self.code.functions[start]
        vm = self._vm
        resolved = vm.resolve

        def arity(i: Any) -> int:
            return len(resolved(i, self._type).arguments)

        return FunctionSource(
            self.code,
            this,
            vm.memory.mask,
            vm.immediate,
            arity,
            self._counters,
            self._type in FOLLOWING,
        ).text()

    def _add_calls(self, start: int) -> None:
        """What the slots of a function call, for its globals."""
        for slot in range(start, self.code.functions[start].end):
            i = self.code.instructions[slot]
            if i is None or self.code.forms[slot] is not Form.CALL:
                continue
            if i.src == op.CallKind.HELPER and i.imm == TAIL_CALL:
                continue
            if i.src in (op.CallKind.HELPER, op.CallKind.KFUNC):
                found = self._vm.resolve(i, self._type)
                lost = self._vm.unresolved.words(i.imm) if found.name == "poison" else ""
                self._globals[f"call_{slot}"] = self._site(slot, found, lost)

    def _site(self, slot: int, found: Helper, lost: str) -> Function:
        """The call of a helper in a slot; `lost` says why there is none."""

        def call(run: GeneratedRun, frame: int, *arguments: int) -> int:
            if lost:
                raise self.fault(lost, slot)
            run.enter(self, frame)
            try:
                return run.execution.invoke(found, arguments, frame, run) & M64
            except (ProgramFault, AccessError) as error:
                raise self.located(error, slot) from error.__cause__

        return call

    def located(self, error: ProgramFault | AccessError, slot: int) -> ProgramFault:
        """A fault with the place where it happened."""
        if isinstance(error, AccessError):
            return self.fault(str(error), slot)
        return self.fault(error.message, slot, type(error)) if error.slot is None else error

    def fault(
        self, message: str, slot: int, kind: type[ProgramFault] = ProgramFault
    ) -> ProgramFault:
        """An exception that tells an instruction."""
        return kind(message, program=self.code.name, slot=slot, source=self.code.source(slot))
