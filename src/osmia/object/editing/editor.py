"""What is to be done to a function, said in labels, and done at once by `apply`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from osmia.arguments import names_wrong_arguments
from osmia.errors import EditError
from osmia.isa.jumps import second_slots
from osmia.isa.packing import ByteOrder
from osmia.object.editing.new_code import Code, Label, NewCode, new_code
from osmia.object.editing.rebuild import Edits, Gap, Moved, Rebuilt, rebuild
from osmia.object.model import Object, Relocation
from osmia.values.names import unknown_name


class FunctionEditor:
    """Edits of one function, `obj.functions[function]`, which stays as it is.

    Slots are 8 bytes each, an ld_imm64 has two. Labels are of the function as it was. Without
    `long_jumps` (for kernels before 6.6) `apply` raises NotSupportedError where a jump would
    have to become a `gotol`. KeyError when there is no such function; EditError, from any
    method, for what cannot be right.
    """

    @names_wrong_arguments
    def __init__(self, obj: Object, function: str, *, long_jumps: bool = True) -> None:
        self.object = obj
        self.key = function
        if function not in obj.functions:
            raise KeyError(unknown_name(obj.name, function, obj.functions, kind="function "))
        self.function = obj.functions[function]
        self.long_jumps = long_jumps
        self._byteorder = cast("ByteOrder", obj.byteorder)
        self._second = second_slots(self.function.code)
        self._edits = Edits()
        self._new_labels = 0
        self._gone = bytearray(len(self._second))  # 1: deleted or replaced

    def label(self, slot: int) -> Label:
        """The instruction that begins at `slot`."""
        if not 0 <= slot < len(self._second):
            raise self._error(f"slot {slot} is outside its {len(self._second)} slots")
        if self._second[slot]:
            raise self._error(f"slot {slot} is the second half of an ld_imm64")
        return Label(self, slot)

    @property
    def end(self) -> Label:
        """Behind the last instruction: where code is appended."""
        return Label(self, len(self._second))

    def insert_before(
        self,
        at: Label,
        code: Code,
        *,
        labels: Mapping[str, Label] | None = None,
        jumps: Mapping[int, Label] | None = None,
        relocations: Iterable[Relocation] = (),
        takes_jumps: bool = True,
    ) -> NewCode:
        """Put `code` in front of an instruction; gives it, for labels into it.

        Whoever comes to the instruction runs the code first. With `takes_jumps=False` only who
        falls through from the instruction before does, or who enters the function: jumps go to
        where they went. Several pieces at one place run in the order in which they were put
        there, those that take no jumps before the others.

        `code` is assembly text, in which `labels` gives names to places outside of it; packed
        code or instructions, with `jumps` for what leaves it, by slot of the code; or a
        Function whose tables come along. A jump to the code's own end leaves it for what
        follows. `relocations` have offsets in bytes into the code. It has the source line of
        the instruction, unless it brings its own (a function without lines gets none).
        """
        slot = self._own_slot(at)
        replaced = self._edits.replaced.get(slot)
        if self._gone[slot : slot + 1] == b"\1" and (replaced is None or replaced.code is None):
            raise self._error(f"slot {slot} is taken out: no code can go before it")
        made = self._new_code(code, labels, jumps, relocations)
        gap = self._edits.gaps.setdefault(slot, Gap())
        (gap.taking if takes_jumps else gap.passing).append(made)
        return made

    def replace(
        self,
        first: Label,
        last: Label,
        code: Code,
        *,
        labels: Mapping[str, Label] | None = None,
        jumps: Mapping[int, Label] | None = None,
        relocations: Iterable[Relocation] = (),
    ) -> NewCode:
        """Put `code` in the place of the instructions from `first` to `last`, both included.

        What belonged to those goes with them: relocations, records. Jumps to the first go to
        the new code; those to others need a `redirect`. The rest is as in `insert_before`;
        the source line is that of the first instruction.
        """
        start, end = self._range(first, last)
        made = self._new_code(code, labels, jumps, relocations)
        self._take_out(start, end, made)
        return made

    def delete(
        self, first: Label, last: Label | None = None, *, jumps_go_to: Label | None = None
    ) -> None:
        """Take out the instructions from `first` to `last`, both included; or one alone.

        Where anything jumps to them `jumps_go_to` has to say where it shall go.
        """
        start, end = self._range(first, last or first)
        if jumps_go_to is not None:
            self._check(jumps_go_to)
        if start in self._edits.gaps:
            raise self._error(f"slot {start} has new code before it: it cannot be deleted")
        self._take_out(start, end, None)
        if jumps_go_to is not None:
            self._edits.redirects.update(dict.fromkeys(range(start, end), jumps_go_to))

    def redirect(self, old: Label, new: Label) -> None:
        """All that jumps to the instruction `old`, new code too, is to go to `new`."""
        slot = self._own_slot(old, new=True)
        if slot >= 0:
            self.label(slot)  # not the end
        self._check(new)
        self._edits.redirects[slot] = new

    def new_label(self) -> Label:
        """A label that is nowhere yet, for code that comes later: `redirect` says where it is."""
        self._new_labels += 1
        return Label(self, -self._new_labels)

    def jump_table(self, name: str, targets: Sequence[Label]) -> None:
        """Make the function's jump table `name`, or another of it, with these targets."""
        table = self.object.jump_tables.get(name)
        if table is not None and table.function != self.key:
            raise self._error(f"jump table {name!r} is that of function {table.function!r}")
        for target in targets:
            self._check(target)
        self._edits.tables[name] = tuple(targets)

    def apply(self) -> tuple[Object, Moved]:
        """The Object with the function edited, and for each old slot its new one.

        That is None for what is not there any more. Code put in has no old slot.
        """
        obj, moved = apply_edits(self.object, [self])
        return obj, moved[self.key]

    def rebuilt(self) -> Rebuilt:
        """What `apply` changes: the function, its jump tables, and where slots are now."""
        return rebuild(self.object, self.key, self._edits, owner=self, long_jumps=self.long_jumps)

    def _new_code(
        self,
        code: Code,
        labels: Mapping[str, Label] | None,
        jumps: Mapping[int, Label] | None,
        relocations: Iterable[Relocation],
    ) -> NewCode:
        labels, jumps = labels or {}, jumps or {}
        for label in (*labels.values(), *jumps.values()):
            self._check(label)
        try:
            made = new_code(
                code, self._byteorder, labels=labels, jumps=jumps, relocations=relocations
            )
        except EditError as error:
            raise self._error(str(error)) from None
        self._edits.pieces.add(made)
        return made

    def _take_out(self, start: int, end: int, code: NewCode | None) -> None:
        if any(self._gone[start:end]):
            raise self._error(f"some of the slots {start} to {end - 1} are taken out already")
        for slot in range(start + 1, end):
            if slot in self._edits.gaps:
                raise self._error(f"slot {slot} has new code before it: it cannot be taken out")
        self._gone[start:end] = b"\1" * (end - start)
        self._edits.take_out(start, end, code)

    def _range(self, first: Label, last: Label) -> tuple[int, int]:
        start, end = self._own_slot(first), self._own_slot(last)
        if not start <= end < len(self._second):
            raise self._error(f"there are no instructions from slot {start} to {end}")
        end += 1
        return start, end + (end < len(self._second) and self._second[end])

    def _own_slot(self, label: Label, *, new: bool = False) -> int:
        if label.owner is not self or (label.slot < 0 and not new):
            raise self._error("edits are at labels of the function's own code")
        return label.slot

    def _check(self, label: Label) -> None:
        if label.owner is not self and label.owner not in self._edits.pieces:
            raise self._error("a label of another function's edits")

    def _error(self, message: str) -> EditError:
        return EditError(f"function {self.key!r}: {message}")


@names_wrong_arguments
def apply_edits(obj: Object, editors: Iterable[FunctionEditor]) -> tuple[Object, dict[str, Moved]]:
    """`obj` with the edits of several functions, each with one editor, and where slots are now.

    EditError when the function in `obj` is not the one that an editor was made for.
    """
    functions, tables = dict(obj.functions), dict(obj.jump_tables)
    moved: dict[str, Moved] = {}
    for editor in editors:
        if not isinstance(editor, FunctionEditor):
            raise TypeError(f"{editor!r:.80} is no FunctionEditor")
        if functions.get(editor.key) is not editor.function:
            raise EditError(f"function {editor.key!r} is not the one that was edited")
        rebuilt = editor.rebuilt()
        functions[editor.key] = rebuilt.function
        tables |= rebuilt.jump_tables
        moved[editor.key] = rebuilt.moved
    return obj.copy(functions=functions, jump_tables=tables), moved
