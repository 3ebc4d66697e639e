"""A function built anew from runs of its old code and the code put between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

from osmia.errors import EditError, NotSupportedError
from osmia.isa import opcodes as op
from osmia.isa.jumps import place_jumps, placed, second_slots
from osmia.isa.packing import ByteOrder
from osmia.named_tuples import NamedTuple
from osmia.object.editing.line_records import LineRecords
from osmia.object.editing.new_code import Label, NewCode, local_destinations, tables
from osmia.object.jump_tables import JumpTable
from osmia.object.model import Function, Object
from osmia.object.uapi import MAX_INSTRUCTIONS
from osmia.records import dataclass, field, replace

#: For each old slot the new one; None where it is gone.
Moved: TypeAlias = Sequence[int | None]

_ENDS = (op.EXIT, op.JA, op.JA32, op.JA_X)


class Replacement(NamedTuple):
    """The old slots up to `end` are out; `code` is in their place, if any."""

    end: int
    code: NewCode | None


@dataclass(slots=True)
class Gap:
    """New code before one instruction: what only falling through runs, then what jumps run too."""

    passing: list[NewCode] = field(default_factory=list)
    taking: list[NewCode] = field(default_factory=list)


@dataclass(slots=True)
class Edits:
    """What is to be done to a function; keys are old slots."""

    gaps: dict[int, Gap] = field(default_factory=dict)
    replaced: dict[int, Replacement] = field(default_factory=dict)
    redirects: dict[int, Label] = field(default_factory=dict)
    tables: dict[str, tuple[Label, ...]] = field(default_factory=dict)
    pieces: set[object] = field(default_factory=set)

    def take_out(self, start: int, end: int, code: NewCode | None) -> None:
        """Replace the slots from `start` to `end`."""
        self.replaced[start] = Replacement(end, code)


class Rebuilt(NamedTuple):
    """The function, its jump tables that changed, and where slots are now."""

    function: Function
    jump_tables: dict[str, JumpTable]
    moved: Moved


class _Part(NamedTuple):
    """A run in the new code: old slots from `first` to `end`, or new code that is at `first`."""

    first: int
    end: int
    start: int  # where it begins, before jumps were made longer
    code: NewCode | None = None


def rebuild(obj: Object, key: str, edits: Edits, *, owner: object, long_jumps: bool) -> Rebuilt:
    """`obj.functions[key]` with `edits`; labels of its old code have the owner `owner`."""
    return _Rebuild(obj, key, edits, owner).run(long_jumps=long_jumps)


class _Rebuild:
    """One function while it is put together.

    Places are slots of the parts in a row. Only conditional jumps that go too far are longer
    than that at the end (`added`).
    """

    def __init__(self, obj: Object, key: str, edits: Edits, owner: object) -> None:
        self.obj, self.key, self.edits, self.owner = obj, key, edits, owner
        self.old = obj.functions[key]
        self.byteorder = cast("ByteOrder", obj.byteorder)
        self.second = second_slots(self.old.code)
        self.parts: list[_Part] = []
        self.starts: dict[object, int] = {}  # of new code
        self.entry: dict[int, int] = {}  # where jumps to a slot go, when not to the slot itself
        self.moved: list[int | None] = []
        self.size = 0
        self.added: list[int] = []

    def run(self, *, long_jumps: bool) -> Rebuilt:
        self._put_together()
        code = b"".join(self._runs())
        if not code:
            raise self._error("nothing is left of it")
        goes_to = self._goes_to()
        try:
            packed, self.added = place_jumps(code, goes_to, self.byteorder, long_jumps=long_jumps)
        except NotSupportedError as error:
            told = NotSupportedError(f"function {self.key!r}: {error}")
            told.since = error.since
            raise told from None
        if len(packed) > op.SLOT_SIZE * MAX_INSTRUCTIONS:
            raise self._error(
                f"{len(packed) // op.SLOT_SIZE} instructions are more than the {MAX_INSTRUCTIONS}"
                " that any kernel takes"
            )
        if self.added:
            self.moved = [None if at is None else placed(at, self.added) for at in self.moved]
        changes: dict[str, Any] = {**self._tables(), "line_info": self._line_info()}
        function = replace(self.old, **(changes | {"code": packed}))
        self._check_end(code, function)
        return Rebuilt(function, self._jump_tables(), tuple(self.moved))

    def _put_together(self) -> None:
        gaps, replaced = self.edits.gaps, self.edits.replaced
        at = 0
        for slot in sorted({*gaps, *replaced}):
            self._keep(at, slot)
            at = slot
            gap = gaps.get(slot, _NOTHING)
            self._put(gap.passing, slot)
            self.entry[slot] = self.size
            self._put(gap.taking, slot)
            if slot in replaced:
                at, code = replaced[slot]
                if code is None:
                    del self.entry[slot]
                else:
                    self._put([code], slot)
                self.moved += [None] * (at - slot)
        self._keep(at, len(self.second))

    def _keep(self, first: int, end: int) -> None:
        if first < end:
            self.parts.append(_Part(first, end, self.size))
            self.moved += range(self.size, self.size + end - first)
            self.size += end - first

    def _put(self, pieces: Sequence[NewCode], slot: int) -> None:
        for code in pieces:
            self.starts[code] = self.size
            if code.slots:
                self.parts.append(_Part(slot, slot, self.size, code))
            self.size += code.slots

    def _runs(self) -> Iterator[bytes | memoryview]:
        view = memoryview(self.old.code)
        for part in self.parts:
            if part.code is None:
                yield view[op.SLOT_SIZE * part.first : op.SLOT_SIZE * part.end]
            else:
                yield part.code.function.code

    def _goes_to(self) -> dict[int, int]:
        """Where jumps go, by place."""
        found = {}
        for slot, target in local_destinations(self.old, self.byteorder).items():
            at = self.moved[slot]
            if at is None:
                continue
            if not 0 <= target < len(self.second):
                raise self._error(f"slot {slot} goes to slot {target}, outside of the code")
            found[at] = self._place_of(target, f"slot {slot}")
        for code, start in self.starts.items():
            assert isinstance(code, NewCode)
            for slot, goal in code.goes_to.items():
                if isinstance(goal, Label):
                    found[start + slot] = self._resolve(goal, "new code")
                else:
                    found[start + slot] = self._inside(start + goal, "new code")
        return found

    def _resolve(self, label: Label, who: str) -> int:
        if label.owner is self.owner:
            return self._place_of(label.slot, who)
        return self._inside(self.starts[label.owner] + label.slot, who)

    def _place_of(self, slot: int, who: str) -> int:
        """Where a jump to an old slot goes."""
        redirects, target = self.edits.redirects, slot
        for _ in range(len(redirects)):
            label = redirects.get(target)
            if label is None:
                break
            if label.owner is not self.owner:
                return self._resolve(label, who)
            target = label.slot
        if target in redirects:
            raise self._error(f"jumps to slot {slot} are redirected in a circle")
        if target < 0:
            raise self._error(f"{who} goes to a new label that no redirect has placed")
        if target > len(self.second) or self.second[target : target + 1] == b"\1":
            raise self._error(f"{who} goes to slot {target}, where no instruction starts")
        at = self.entry.get(target)
        if at is None and target < len(self.second):
            at = self.moved[target]
            if at is None:
                raise self._error(
                    f"{who} goes to slot {target}, which is taken out: say where it shall go"
                )
        return self._inside(self.size if at is None else at, who)

    def _inside(self, at: int, who: str) -> int:
        if at >= self.size:
            raise self._error(f"{who} goes behind the last instruction")
        return at

    def _tables(self) -> dict[str, tuple[Any, ...]]:
        """Every table of the function, with what new code brought."""
        found = {}
        for name, records in tables(self.old).items():
            moved = list(self._moved_records(records))
            for code, start in self.starts.items():
                assert isinstance(code, NewCode)
                moved += [
                    _at(record, placed(start + record.offset // op.SLOT_SIZE, self.added))
                    for record in getattr(code.function, name, ())
                ]
            found[name] = tuple(sorted(moved, key=_offset))
        return found

    def _moved_records(self, records: Sequence[Any]) -> Iterator[Any]:
        for record in records:
            slot = record.offset // op.SLOT_SIZE
            if not 0 <= slot < len(self.moved):
                raise self._error(f"a record is for byte {record.offset}, outside of the code")
            at = self.moved[slot]
            if at is not None:
                yield record if at == slot else _at(record, at)

    def _line_info(self) -> bytes:
        old = LineRecords(self.old.line_info, self.byteorder)
        if not old:
            return b""
        made = LineRecords()
        for part in self.parts:
            if part.code is None:
                made.append_kept(old, part.first, part.end, self.moved)
            else:
                new = LineRecords(part.code.function.line_info, self.byteorder)
                new.slots = [placed(part.start + slot, self.added) for slot in new.slots]
                start = placed(part.start, self.added)
                made.append_new(start, new, old.at(min(part.first, len(self.second) - 1)))
        return made.pack(self.byteorder)

    def _jump_tables(self) -> dict[str, JumpTable]:
        made, found = self.edits.tables, {}
        for name, table in self.obj.jump_tables.items():
            if table.function == self.key and name not in made:
                who = f"jump table {name!r}"
                places = [self._place_of(slot, who) for slot in table.targets]
                found[name] = replace(table, targets=self._placed(places))
        for name, labels in made.items():
            places = [self._resolve(label, f"jump table {name!r}") for label in labels]
            found[name] = JumpTable(name, self.key, self._placed(places))
        return found

    def _placed(self, places: Sequence[int]) -> tuple[int, ...]:
        return tuple(placed(at, self.added) for at in places)

    def _check_end(self, code: bytes, function: Function) -> None:
        """Code must not run off its end, unless it did so before."""
        last = self.parts[-1]
        if last.code is None and last.end == len(self.second):
            return
        at = len(code) - op.SLOT_SIZE
        registers = code[at + 1]
        source = registers >> 4 if self.byteorder == "little" else registers & 15
        final = len(function.code) - op.SLOT_SIZE
        named = bool(function.relocations) and function.relocations[-1].offset == final
        calls = code[at] == op.CALL and (named or source != op.CallKind.HELPER)
        if code[at] not in _ENDS and not calls:
            raise self._error("the code runs off its end")

    def _error(self, message: str) -> EditError:
        return EditError(f"function {self.key!r}: {message}")


_NOTHING = Gap()


def _offset(record: Any) -> int:
    return int(record.offset)


def _at(record: Any, slot: int) -> Any:
    """A record, a named tuple or a data class, at another instruction."""
    offset = op.SLOT_SIZE * slot
    if isinstance(record, tuple):
        return cast("Any", record)._replace(offset=offset)
    return replace(record, offset=offset)
