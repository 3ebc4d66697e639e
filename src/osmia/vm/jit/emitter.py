"""LLVM IR as text: lines, fresh names, and the few shapes that both translators write.

A value is a Python int when it is known while compiling, else the name of an i64.
"""

from __future__ import annotations

from osmia.records import dataclass, field

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TypeAlias

Value: TypeAlias = int | str

MASK = 0xFFFF_FFFF_FFFF_FFFF

PARAMETERS = "ptr %base, i64 %frame, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5"
"""The one prototype of programs and subprograms: with equal ones a tail call is a jump."""


@dataclass(frozen=True, slots=True)
class VmLayout:
    """The addresses of one vm that compiled code has in it as constants."""

    region_size: int
    map_table: int
    first_block: int
    first_state: int
    tail_calls: str
    retpoline: bool
    interruptible: bool


def text(value: Value) -> str:
    """A value as an operand."""
    return value if isinstance(value, str) else str(value & MASK)


@dataclass(slots=True)
class Emitter:
    """The body of one function."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    closed: bool = False  # whether the current block has its terminator

    def name(self) -> str:
        """A fresh value name."""
        self.count += 1
        return f"%v{self.count}"

    def label(self, prefix: str = "b") -> str:
        """A fresh label."""
        self.count += 1
        return f"{prefix}{self.count}"

    def local(self, kind: str) -> str:
        """Room for a local variable, made once at the function's entry."""
        name = self.name()
        self.lines.insert(1, f"  {name} = alloca {kind}")
        return name

    def line(self, instruction: str) -> None:
        """An instruction without a result."""
        if not self.closed:
            self.lines.append("  " + instruction)

    def value(self, instruction: str) -> str:
        """An instruction with a result."""
        name = self.name()
        self.line(f"{name} = {instruction}")
        return name

    def block(self, label: str) -> None:
        """Begin a block; the one before falls into it if it has not ended."""
        if not self.closed:
            self.lines.append(f"  br label %{label}")
        self.lines.append(f"{label}:")
        self.closed = False

    def block_closed(self, label: str) -> None:
        """Begin a block that only jumps lead to; one that fell off here ends as unreachable."""
        if not self.closed:
            self.lines.append("  unreachable")
        self.lines.append(f"{label}:")
        self.closed = False

    def jump(self, label: str) -> None:
        """End the block with a jump."""
        self.line(f"br label %{label}")
        self.closed = True

    def branch(self, condition: str, yes: str, no: str) -> None:
        """End the block with a conditional jump on an i1."""
        self.line(f"br i1 {condition}, label %{yes}, label %{no}")
        self.closed = True

    def unlikely(self, condition: str, yes: str, no: str) -> None:
        """The same, where the condition hardly ever holds; in modules of programs."""
        self.line(f"br i1 {condition}, label %{yes}, label %{no}, !prof !0")
        self.closed = True

    def ret(self, value: Value) -> None:
        """Return from the function."""
        self.line(f"ret i64 {text(value)}")
        self.closed = True

    def binary(self, operation: str, a: Value, b: Value) -> str:
        """An i64 operation."""
        return self.value(f"{operation} i64 {text(a)}, {text(b)}")

    def pointer(self, address: Value, offset: int = 0) -> str:
        """The machine address of a place in the vm's memory, unchecked."""
        place = self.value(f"getelementptr i8, ptr %base, i64 {text(address)}")
        if offset:
            place = self.value(f"getelementptr i8, ptr {place}, i64 {offset}")
        return place

    def load(self, place: str, size: int, *, signed: bool = False) -> str:
        """Load 1, 2, 4 or 8 bytes, extended to 64 bits."""
        bits = size * 8
        value = self.value(f"load i{bits}, ptr {place}, align 1")
        if bits == 64:
            return value
        return self.value(f"{'sext' if signed else 'zext'} i{bits} {value} to i64")

    def store(self, place: str, size: int, value: Value) -> None:
        """Store the low 1, 2, 4 or 8 bytes."""
        self.line(f"store i{size * 8} {self.narrow(value, size * 8)}, ptr {place}, align 1")

    def narrow(self, value: Value, bits: int) -> str:
        """A value cut to fewer bits, as an operand of that type."""
        if isinstance(value, int):
            return str(value & ((1 << bits) - 1))
        return value if bits == 64 else self.value(f"trunc i64 {value} to i{bits}")

    def wide(self, value: str, bits: int) -> str:
        """A narrower integer zero-extended to i64."""
        return value if bits == 64 else self.value(f"zext i{bits} {value} to i64")

    def cpu_state(self, layout: VmLayout, frame: Value) -> str:
        """The address of the state of the CPU whose frame this is."""
        from osmia.vm.layout import CPU_SHIFT, CPU_STATE_SIZE

        offset = self.binary("mul", self.binary("lshr", frame, CPU_SHIFT), CPU_STATE_SIZE)
        first = (layout.first_block >> CPU_SHIFT) * CPU_STATE_SIZE  # blocks are aligned
        return self.binary("add", offset, layout.first_state - first)


def function(
    symbol: str,
    parameters: str,
    body: Emitter,
    *,
    linkage: str = "internal ",
    attributes: str = "nounwind",
) -> str:
    """A whole function's text."""
    lines = "\n".join(body.lines)
    return f"define {linkage}i64 @{symbol}({parameters}) {attributes} {{\n{lines}\n}}\n"
