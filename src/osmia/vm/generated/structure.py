"""Control flow as Python's: nested `while`, `if`, `break` and `continue` for blocks that jump.

The way of Norman Ramsey's "Beyond Relooper" (ICFP 2022): along the dominator tree, each block that
several jumps meet in stands behind a `while True` that those jumps break out of, and each loop is
one that they continue. What is left of several of them at once says in `way` how far. Every path
through such a `while` ends in a jump, so none of them goes round by itself.

Code that cannot be told so (loops with several entries; more nesting than Python takes) becomes one
loop over the number of the next block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from osmia.records import dataclass, field
from osmia.vm.generated.arithmetic import Operand

MOST_LOOPS = 18
"""Python compiles 20 `while` in one another."""
MOST_INDENTED = 80
"""And 100 indentations."""


class NestingError(Exception):
    """The code needs another form."""


Known = dict[int, Operand]
"""What is known of registers; nothing where several ways meet."""


class Source(Protocol):
    """What is to be written: blocks, by the slot that they start at."""

    def successors(self, block: int) -> Sequence[int]:
        """The blocks that may follow; without doubles."""

    def write(self, block: int, known: Known, into: Lines) -> Sequence[Branch]:
        """Write a block's instructions, and follow what is known; gives how it goes on: branches
        tried in order, to different blocks, the last one without a condition; none where it has
        returned."""

    def back(self, source: int, target: int, into: Lines) -> None:
        """Write what a jump back costs."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A way to another block, taken if an expression is true; `source` is the jump's slot."""

    condition: str
    source: int
    target: int


class Lines:
    """Lines of Python being written. Each is a list, so that it can be taken back."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.depth = 1

    def add(self, text: str) -> list[str]:
        """Write a line."""
        if self.depth > MOST_INDENTED:
            raise NestingError
        line = [f"{' ' * self.depth}{text}"]
        self.lines.append(line)
        return line

    def text(self) -> str:
        """All of them."""
        return "".join(f"{line[0]}\n" for line in self.lines if line)


@dataclass(slots=True)
class _Scope:
    """A `while`: of a loop, whose head is `block`, or in front of the block."""

    block: int
    loops: bool
    own: bool = False
    crossing: dict[int, list[list[str]]] = field(default_factory=dict)
    """By block, the lines that say that it is gone to, from in here, out of further scopes."""


class Structured:
    """One function, written in nested form. Raises NestingError where it has none."""

    def __init__(self, source: Source, order: Sequence[int]) -> None:
        self._source = source
        self.lines = Lines()
        self._number = {block: n for n, block in enumerate(order)}
        self._scopes: list[_Scope] = []
        came: dict[int, list[int]] = {block: [] for block in order}
        for block in order:
            for target in source.successors(block):
                came[target].append(block)
        self._heads = self._find_heads(came)
        self._above = _dominators(order, came, self._number)
        self._check_reducible(came)
        self._merges = {
            block
            for block in order
            if sum(self._number[other] < self._number[block] for other in came[block]) > 1
        }
        self._below: dict[int, list[int]] = {}
        for block in order:
            if block in self._merges:
                self._below.setdefault(self._above[block], []).append(block)

    def _find_heads(self, came: Mapping[int, Sequence[int]]) -> set[int]:
        number = self._number
        return {b for b, others in came.items() if any(number[o] >= number[b] for o in others)}

    def _check_reducible(self, came: Mapping[int, Sequence[int]]) -> None:
        """A jump back goes to what every way to it has come by."""
        for head in self._heads:
            for other in came[head]:
                if self._number[other] >= self._number[head] and not self._reaches(head, other):
                    raise NestingError

    def _reaches(self, above: int, block: int) -> bool:
        while self._number[block] > self._number[above]:
            block = self._above[block]
        return block == above

    def write(self, block: int, known: Known) -> None:
        """Write a block and all that it dominates."""
        try:
            if block in self._heads:
                self._open(block, True)
                # What is known in front of a loop is not what is known when it goes round.
                self._within(block, {})
                self._close()
            else:
                self._within(block, known)
        except RecursionError:
            raise NestingError from None

    def _within(self, block: int, known: Known) -> None:
        following: int | None = block
        while following is not None:
            block, following = following, None
            below: Sequence[int] = self._below.get(block, ())
            for merge in reversed(below):
                self._open(merge, False)
            for branch in self._source.write(block, known, self.lines):
                if not branch.condition and not below and self._continues(block, branch.target):
                    following = branch.target
                else:
                    self._branch(block, branch, known)
            for merge in below:
                self._close()
                if merge == below[-1] and merge not in self._heads:
                    following, known = merge, {}
                else:
                    self.write(merge, {})

    def _continues(self, block: int, target: int) -> bool:
        """Whether a block is written right behind the one that goes there."""
        ahead = self._number[target] > self._number[block]
        return ahead and target not in self._merges and target not in self._heads

    def _branch(self, block: int, branch: Branch, known: Known) -> None:
        if branch.condition:
            self.lines.add(f"if {branch.condition}:")
            self.lines.depth += 1
        target = branch.target
        if self._number[target] <= self._number[block]:
            self._source.back(branch.source, target, self.lines)
            self._go(target, True)
        elif target in self._merges:
            self._go(target, False)
        else:
            self.write(target, known.copy())
        if branch.condition:
            self.lines.depth -= 1

    def _open(self, block: int, loops: bool) -> None:
        if len(self._scopes) >= MOST_LOOPS:
            raise NestingError
        self._scopes.append(_Scope(block, loops))
        self.lines.add("while True:")
        self.lines.depth += 1

    def _go(self, block: int, loops: bool) -> None:
        """Jump to a block, out of as many scopes as that takes."""
        scope = self._scopes[-1]
        if scope.block == block and scope.loops is loops:
            scope.own = True
            self.lines.add("continue" if loops else "break")
            return
        said = self.lines.add(f"way = {self._number[block] + 1}")
        scope.crossing.setdefault(block, []).append(said)
        self.lines.add("break")

    def _close(self) -> None:
        """End a scope: those that are on their way out of more than that go on."""
        scope = self._scopes.pop()
        self.lines.depth -= 1
        if not scope.crossing:
            return
        falls = scope.own and not scope.loops  # breaking out of it is also how to get behind it
        alone = len(scope.crossing) == 1 and not falls
        for target, said in scope.crossing.items():
            loops = next(s.loops for s in reversed(self._scopes) if s.block == target)
            if alone:
                for line in said:
                    line.clear()
                self._go(target, loops)
                return
            self.lines.add(f"if way == {self._number[target] + 1}:")
            self.lines.depth += 1
            self.lines.add("way = 0")
            self._go(target, loops)
            self.lines.depth -= 1


def _dominators(
    order: Sequence[int], came: Mapping[int, Sequence[int]], number: Mapping[int, int]
) -> dict[int, int]:
    """For each block the nearest one that all ways to it come by (Cooper, Harvey, Kennedy)."""
    above = {order[0]: order[0]}
    changed = True
    while changed:
        changed = False
        for block in order[1:]:
            best: int | None = None
            for other in came[block]:
                if other in above:
                    best = other if best is None else _common(above, number, best, other)
            assert best is not None
            if above.get(block) != best:
                above[block] = best
                changed = True
    return above


def _common(above: Mapping[int, int], number: Mapping[int, int], a: int, b: int) -> int:
    while a != b:
        while number[a] > number[b]:
            a = above[a]
        while number[b] > number[a]:
            b = above[b]
    return a


def reverse_postorder(entry: int, successors: Callable[[int], Sequence[int]]) -> list[int]:
    """The blocks that can be reached, each behind those that lead to it, loops apart."""
    order: list[int] = []
    seen = {entry}
    pending = [(entry, iter(successors(entry)))]
    while pending:
        block, rest = pending[-1]
        following = next((target for target in rest if target not in seen), None)
        if following is None:
            order.append(block)
            pending.pop()
        else:
            seen.add(following)
            pending.append((following, iter(successors(following))))
    order.reverse()
    return order


def dispatched(source: Source, order: Sequence[int]) -> Lines:
    """The other form: a loop that finds the next block by its number, by halves."""
    lines = Lines()
    number = {block: n for n, block in enumerate(order)}
    lines.add("way = 0")
    lines.add("while True:")
    pending: list[tuple[int, int, int, str]] = [(0, len(order), 2, "")]
    while pending:
        low, high, depth, head = pending.pop()
        if head:
            lines.depth = depth - 1
            lines.add(head)
        lines.depth = depth
        if high - low > 1:
            middle = (low + high) // 2
            pending.append((middle, high, depth + 1, "else:"))
            pending.append((low, middle, depth + 1, f"if way < {middle}:"))
            continue
        block = order[low]
        for branch in source.write(block, {}, lines):
            lines.depth = depth + bool(branch.condition)
            if branch.condition:
                lines.depth -= 1
                lines.add(f"if {branch.condition}:")
                lines.depth += 1
            if number[branch.target] <= low:
                source.back(branch.source, branch.target, lines)
            lines.add(f"way = {number[branch.target]}")
            lines.add("continue")
    return lines
