"""A program as the executors take it: decoded, checked (`osmia.vm.check`), divided into
functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from osmia.isa import opcodes as op
from osmia.isa.forms import Form
from osmia.isa.instruction import Instruction
from osmia.records import dataclass, field
from osmia.vm.layout import (
    FUNCTION_HANDLE,
    FUNCTION_HANDLE_SHIFT,
    LABEL_HANDLE,
)

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.object.model import SourceLine


def label_handles(jumps: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """What a program sees as the addresses of the slots that its gotox instructions go to.

    They are numbered without gaps: a `switch` over them is compiled to a table.
    """
    shared = {id(targets): targets for targets in jumps.values()}
    slots = {target for targets in shared.values() for target in targets}
    return {slot: LABEL_HANDLE + number for number, slot in enumerate(sorted(slots))}


@dataclass(frozen=True, slots=True)
class CodeFunction:
    """A function of a program: slots `start` to `end` (exclusive)."""

    name: str
    start: int
    end: int
    calls: frozenset[int] = frozenset()
    stack: int = 0

    @property
    def handle(self) -> int:
        """What the program sees as this function's address."""
        return FUNCTION_HANDLE + (self.start << FUNCTION_HANDLE_SHIFT)

    @property
    def frame_bytes(self) -> int:
        """Its stack, rounded up to 32 bytes as the kernel counts."""
        return max(-(-self.stack // 32) * 32, 32)


@dataclass(frozen=True)
class Code:
    """A checked program. `instructions` and `forms` have an entry a slot; the second slot
    of an ld_imm64 holds None. `functions` is keyed by the first slot, the program's own
    at 0; `calls` of a function are the first slots of those it calls or refers to, `stack`
    the bytes below its frame pointer that it names itself. `jumps` has for the slot of each
    gotox the slots that it may go to, ascending; `packed` is the code as it was given."""

    name: str
    instructions: tuple[Instruction | None, ...]
    forms: tuple[Form | None, ...]
    functions: Mapping[int, CodeFunction]
    lines: Mapping[int, SourceLine] = field(default_factory=dict)
    jumps: Mapping[int, Sequence[int]] = field(default_factory=dict)
    packed: bytes = b""

    @cached_property
    def handles(self) -> Mapping[int, int]:
        """The handles of the slots that its indirect jumps go to, by slot."""
        return label_handles(self.jumps)

    @cached_property
    def labels(self) -> Mapping[int, int]:
        """Those slots by their handles."""
        return {handle: slot for slot, handle in self.handles.items()}

    @cached_property
    def jump_sets(self) -> Mapping[int, frozenset[int]]:
        """`jumps` to look a slot up in."""
        return {slot: frozenset(targets) for slot, targets in self.jumps.items()}

    def function_of(self, handle: int) -> int | None:
        """The first slot of the function whose address is `handle`; None for anything else."""
        slot, rest = divmod(handle - FUNCTION_HANDLE, 1 << FUNCTION_HANDLE_SHIFT)
        return slot if not rest and slot > 0 and slot in self.functions else None

    @cached_property
    def helper_ids(self) -> frozenset[int]:
        """The helpers it calls."""
        return frozenset(i.imm for i in self.instructions if i is not None and i.is_helper_call)

    @cached_property
    def map_numbers(self) -> frozenset[int]:
        """The maps it names, by what its ld_imm64 instructions hold."""
        kinds = (op.LoadKind.MAP_FD, op.LoadKind.MAP_VALUE)
        return frozenset(
            i.imm
            for i, form in zip(self.instructions, self.forms, strict=True)
            if i is not None and form is Form.LOAD_IMM64 and i.src in kinds
        )

    @cached_property
    def has_tail_calls(self) -> bool:
        """Whether it calls bpf_tail_call anywhere."""
        return TAIL_CALL in self.helper_ids

    def function_at(self, slot: int) -> CodeFunction:
        """The function that a slot belongs to."""
        start = max(start for start in self.functions if start <= slot)
        return self.functions[start]

    def line_at(self, slot: int) -> SourceLine | None:
        """The source line of a slot, where one is known."""
        start = max((s for s in self.lines if s <= slot), default=None)
        if start is None or start < self.function_at(slot).start:
            return None
        return self.lines[start]

    def source(self, slot: int) -> str:
        """The source line of a slot as "file:line: text", or "" where none is known."""
        line = self.line_at(slot)
        return f"{line.file}:{line.line}: {line.text.strip()}" if line is not None else ""

    def stack_chains(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Every chain of calls by the names of its functions, and the stack bytes it needs.
        There can be very many of them: `deepest_chain` looks at each function once."""
        pending: list[tuple[int, tuple[str, ...], int]] = [(0, (), 0)]
        while pending:
            start, names, used = pending.pop()
            function = self.functions[start]
            names += (function.name,)
            used += function.frame_bytes
            if not function.calls:
                yield names, used
            pending += ((callee, names, used) for callee in sorted(function.calls, reverse=True))

    def deepest_chain(self, start: int = 0) -> tuple[tuple[str, ...], int]:
        """The chain of calls from a function on that needs the most stack, and its bytes."""
        known: dict[int, tuple[tuple[str, ...], int]] = {}

        def deepest(at: int) -> tuple[tuple[str, ...], int]:
            if at not in known:
                function = self.functions[at]
                below = (deepest(callee) for callee in sorted(function.calls))
                names, used = max(below, key=lambda chain: chain[1], default=((), 0))
                known[at] = (function.name, *names), function.frame_bytes + used
            return known[at]

        return deepest(start)


TAIL_CALL = 12
"""The number of bpf_tail_call."""
