"""The code of counters in one function.

When it is entered a function finds the row of its CPU and keeps the address in its frame; a counter
takes it from there, and two registers that nobody needs. Where there are none two are put aside.
In the row that all CPUs share counters have fixed addresses: for functions without room in their
frames, and for those that may run under a lock, where no helper can be called.

No jump lands on what is put in front of an instruction for those that fall through to it, and the
way that a jump alone takes to where others come from elsewhere leads over code at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from osmia.errors import NotSupportedError, RewriteError
from osmia.isa import Instruction
from osmia.isa import opcodes as op
from osmia.isa.cfg import ControlFlow
from osmia.isa.liveness import ARGUMENTS, registers, registers_written
from osmia.isa.state import FRAME_SIZE
from osmia.named_tuples import NamedTuple
from osmia.object.editing import FunctionEditor, Label, NewCode
from osmia.object.model import Relocation, RelocationKind
from osmia.passes.strands import Strand, Way
from osmia.records import dataclass

COUNTER: Final = 8
"""Bytes of one."""
_FARTHEST = 0x7FF8
_ALL = (1 << op.FRAME_POINTER) - 1
_SCRATCH = 0b111111
_SAVED = 0b1111 << 6
_CPU_HELPER = 8
"""The number of bpf_get_smp_processor_id."""

_LOAD = int(op.Class.LDX | op.Size.DW | op.Mode.MEM)
_STORE = int(op.Class.STX | op.Size.DW | op.Mode.MEM)
_MOVE = int(op.Class.ALU64 | op.AluOp.MOV | op.Source.X)
_ADD_REGISTER = int(op.Class.ALU64 | op.AluOp.ADD | op.Source.X)
_ADD = int(op.Class.ALU64 | op.AluOp.ADD)
_AND = int(op.Class.ALU64 | op.AluOp.AND)
_MULTIPLY = int(op.Class.ALU64 | op.AluOp.MUL)
_GOTO = Instruction(int(op.JA))


@dataclass(frozen=True, slots=True)
class Rows:
    """Where counters are: `count` rows, a power of two, of `stride` bytes; behind them the one
    that is shared."""

    section: str
    count: int
    stride: int

    @property
    def size(self) -> int:
        """The bytes of all."""
        return (self.count + 1) * self.stride


class _Place(NamedTuple):
    """Where a counter goes, and with which registers; `aside` are put aside first."""

    slot: int
    registers: tuple[int, int]
    aside: tuple[int, ...] = ()


class _Piece(NamedTuple):
    """Code, and at which slots of it addresses of the section are."""

    code: list[Instruction]
    addresses: list[tuple[int, int]]


class FunctionCounters:
    """Puts the counters of one function into its code. Masks `live` and `set` have the registers
    that are needed, and those that have a value, before each slot; `first` is the place of its
    first counter in a row; `frame` the bytes of its frame that are used, None for the shared row.
    """

    def __init__(
        self,
        editor: FunctionEditor,
        flow: ControlFlow,
        live: Mapping[int, int],
        set_: Mapping[int, int],
        rows: Rows,
        first: int,
        frame: int | None,
    ) -> None:
        self._editor = editor
        self._flow = flow
        self._live = live
        self._set = set_
        self._rows = rows
        self._first = first
        self._pointer = 0  # below the frame pointer; 0: the shared row
        self._aside = 0
        if frame is not None and frame + 8 <= FRAME_SIZE:
            self._pointer = frame + 8
            self._aside = min(2, (FRAME_SIZE - frame - 8) // 8)
        elif frame is not None:
            self._aside = 0
        self._written = 0
        for insn in flow.instructions.values():
            self._written |= registers_written(insn)
        self._detours: dict[int, list[tuple[int, NewCode]]] = {}

    def put(self, strands: Iterable[Strand]) -> None:
        """Put all of them in. RewriteError where one has no place."""
        counted = [strand for strand in strands if not strand.parts]
        if not counted:
            return
        if self._pointer:
            self._enter()
        for number, strand in enumerate(counted):
            if strand.pieces:
                place = self._place(
                    slot
                    for start, end in strand.pieces
                    for slot in range(start, end)
                    if slot in self._flow.instructions
                )
                self._insert(self._editor.label(place.slot), self._counter(number, place))
            else:
                (way,) = strand.ways
                self._count_way(number, way)
        for slot, detours in self._detours.items():
            self._take_detours(slot, detours)

    # When the function is entered.

    def _enter(self) -> None:
        """Find the CPU's row. The arguments wait in r6 to r9, which have no values yet."""
        given = registers(self._live.get(0, 0) & self._set.get(0, 0) & ARGUMENTS)
        frame, below = op.FRAME_POINTER, -self._pointer
        kept, rest = given[:4], given[4:]
        before = [Instruction(_MOVE, 6 + n, each) for n, each in enumerate(kept)]
        before += [Instruction(_STORE, frame, each, below) for each in rest]
        after = [Instruction(_MOVE, each, 6 + n) for n, each in enumerate(kept)]
        code = [
            *before,
            Instruction(op.CALL, 0, 0, 0, _CPU_HELPER),
            Instruction(_AND, 0, 0, 0, self._rows.count - 1),
            Instruction(_MULTIPLY, 0, 0, 0, self._rows.stride),
        ]
        # With five arguments the last waits where the address will be.
        code += [Instruction(_LOAD, each, frame, below) for each in rest]
        address = len(code)
        code += [Instruction(op.LD_IMM64, 1)]
        code += [
            Instruction(_ADD_REGISTER, 1, 0),
            Instruction(_STORE, frame, 1, below),
            *after,
        ]
        piece = _Piece(code, [(address, self._first)])
        self._insert(self._editor.label(0), piece, takes_jumps=False)

    # A counter.

    def _count_way(self, number: int, way: Way) -> None:
        slot, target = way
        piece = self._counter(number, self._place([target]))
        if target == slot + 1:
            self._insert(self._editor.label(target), piece, takes_jumps=False)
            return
        code = _Piece([*piece.code, _GOTO], piece.addresses)
        back = {len(piece.code) + len(piece.addresses): self._editor.label(target)}
        made = self._insert(self._editor.end, code, jumps=back)
        self._detours.setdefault(slot, []).append((target, made))

    def _counter(self, number: int, place: _Place) -> _Piece:
        address, value = place.registers
        frame, at = op.FRAME_POINTER, COUNTER * number
        stored = [(each, -self._pointer - 8 * n) for n, each in enumerate(place.aside, 1)]
        code = [Instruction(_STORE, frame, each, below) for each, below in stored]
        addresses = []
        if self._pointer:
            code.append(Instruction(_LOAD, address, frame, -self._pointer))
            if at > _FARTHEST:
                code.append(Instruction(_ADD, address, 0, 0, at))
                at = 0
        else:
            addresses.append((len(code), self._rows.count * self._rows.stride + self._first + at))
            code.append(Instruction(op.LD_IMM64, address))
            at = 0
        code += [
            Instruction(_LOAD, value, address, at),
            Instruction(_ADD, value, 0, 0, 1),
            Instruction(_STORE, address, value, at),
        ]
        code += [Instruction(_LOAD, each, frame, below) for each, below in stored]
        return _Piece(code, addresses)

    def _place(self, slots: Iterable[int]) -> _Place:
        """The best of some places: where nobody needs two registers that calls do not keep."""
        best: tuple[int, _Place] | None = None
        for slot in slots:
            cost, place = self._registers(slot)
            if place is not None and (best is None or cost < best[0]):
                best = cost, place
                if not cost:
                    break
        if best is None:
            raise RewriteError(
                f"function {self._editor.key!r} has no two registers to count with, and no room in"
                " its frame to put some aside"
            )
        return best[1]

    def _registers(self, slot: int) -> tuple[int, _Place | None]:
        """What there is to count with before an instruction, and its cost."""
        live = self._live[slot]
        free = _ALL & ~live
        for cost, mask in enumerate((_SCRATCH, _SCRATCH | self._written & _SAVED, _ALL)):
            found = registers(free & mask)
            if len(found) >= 2:
                return cost, _Place(slot, (found[0], found[1]))
        found = registers(free)
        taken = registers(live & self._set[slot] & _ALL)[: 2 - len(found)]
        if len(found) + len(taken) < 2 or len(taken) > self._aside:
            return 9, None
        first, second = (*found, *taken)
        return 3 + len(taken), _Place(slot, (first, second), taken)

    def _insert(
        self,
        at: Label,
        piece: _Piece,
        *,
        takes_jumps: bool = True,
        jumps: Mapping[int, Label] | None = None,
    ) -> NewCode:
        """Put code in; of an ld_imm64 in front of an address the second slot counts, too."""
        section = self._rows.section
        relocations = [
            Relocation(op.SLOT_SIZE * slot, RelocationKind.DATA, section, addend)
            for slot, addend in piece.addresses
        ]
        return self._editor.insert_before(
            at, piece.code, jumps=jumps, relocations=relocations, takes_jumps=takes_jumps
        )

    # Ways of their own.

    def _take_detours(self, slot: int, detours: Sequence[tuple[int, NewCode]]) -> None:
        """Let a jump go over the code that counts its way."""
        insn = self._flow.instructions[slot]
        if insn.opcode == op.JA_X:
            self._change_tables(dict(detours))
            return
        ((_, made),) = detours
        at = self._editor.label(slot)
        plain = Instruction(insn.opcode, insn.dst, insn.src, 0, insn.imm)
        self._editor.replace(at, at, [plain], jumps={0: made.label()})

    def _change_tables(self, detours: Mapping[int, NewCode]) -> None:
        jumps = [each for each in self._flow.instructions.values() if each.opcode == op.JA_X]
        if len(jumps) > 1:
            raise NotSupportedError(
                f"function {self._editor.key!r} has {len(jumps)} indirect jumps that share targets:"
                " their ways cannot be counted in a kernel"
            )
        for name, table in self._editor.object.jump_tables.items():
            if table.function == self._editor.key:
                labels = [
                    detours[target].label() if target in detours else self._editor.label(target)
                    for target in table.targets
                ]
                self._editor.jump_table(name, labels)
