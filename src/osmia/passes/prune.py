"""Leave out what cannot run: dead branches, and the programs, functions and maps behind them.

With settings in read-only data fixed, the dataflow knows which branches are never taken. What
is then not reached from the programs that are entered (through tail calls, too) is not
loaded: code, functions, programs, and maps that only such code uses. What the verifier would
keep stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from osmia.isa.cfg import BasicBlock
from osmia.object.editing import FunctionEditor, apply_edits
from osmia.object.known_code import KnownCode, known_code
from osmia.object.model import DataKind, Linkage, Map, Object, RelocationKind
from osmia.object.uapi import MapType
from osmia.passes.tail_call_sites import TailCallSite, tail_call_sites, tail_calling_blocks
from osmia.records import dataclass, replace
from osmia.values.names import unknown_name


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is left, and what is not: names in the order of the object, instructions."""

    object: Object
    programs: tuple[str, ...]
    functions: tuple[str, ...]
    maps: tuple[str, ...]
    instructions: int


def prune(
    obj: Object,
    *,
    keep: Collection[str] = (),
    variable: Collection[str] = (),
    filled: Mapping[str, Mapping[int, str]] | None = None,
) -> Pruned:
    """`obj` without what cannot run.

    Programs are entered that no slot of a prog array holds, and those in `keep`; the others
    run where a tail call can reach their slot. Only slots that the object fills are looked at
    (`filled`: by map, further ones): who fills others has to name their programs in `keep`.
    `variable` names read-only sections whose contents are not final.

    Raises KeyError for a name in `keep` that is no program.
    """
    for name in keep:
        if name not in obj.programs:
            message = unknown_name(obj.name, name, obj.programs, kind="program ")
            raise KeyError(f"{message} to keep")
    reached = _Reached(obj, keep, variable, filled or {})
    return _without(obj, reached)


class _Reached:
    """The programs that can run, and what is known of their code: found in rounds, as each
    reached program may reach others."""

    def __init__(
        self,
        obj: Object,
        keep: Collection[str],
        variable: Collection[str],
        filled: Mapping[str, Mapping[int, str]],
    ) -> None:
        self.obj = obj
        self.slots = {
            name: dict(each.slots) | dict(filled.get(name, {}))
            for name, each in obj.maps.items()
            if each.type is MapType.PROG_ARRAY
        }
        held = {program for slots in self.slots.values() for program in slots.values()}
        self.programs = {
            name
            for name, program in obj.programs.items()
            if name in keep or (program.autoload and name not in held)
        }
        roots = _in_data(obj) | self._entries(self.programs)
        self.code = known_code(obj, roots=roots, variable=variable)
        self.calling = {block.start: block for block in tail_calling_blocks(self.code)}
        changed: Collection[int] = self.code.known.entering.keys()
        while True:
            found = self._tail_called(changed) - self.programs
            self.programs |= found
            entered = (self._entries(found) | self._called_global(changed)) - roots
            if not entered:
                break
            roots |= entered
            changed = self.code.enter(entered)

    def _entries(self, programs: Iterable[str]) -> set[str]:
        """The functions that programs are entered by."""
        found = set()
        for definition in map(self.obj.programs.__getitem__, programs):
            found.add(definition.function)
            if definition.exception_callback:
                found.add(definition.exception_callback)
        return found & self.obj.functions.keys()

    def _tail_called(self, blocks: Collection[int]) -> set[str]:
        """The programs that tail calls in some blocks can reach."""
        calling = [self.calling[start] for start in blocks if start in self.calling]
        return {t for site in tail_call_sites(self.code, calling) for t in self._targets(site)}

    def _called_global(self, blocks: Collection[int]) -> set[str]:
        """Global functions that begin in some blocks: the verifier takes them with any
        arguments."""
        functions = self.obj.functions
        names = {self.code.place(start)[0] for start in blocks if self.code.begins(start)}
        return {name for name in names if functions[name].linkage is Linkage.GLOBAL}

    def running_functions(self) -> set[str]:
        """The functions whose first instruction can be reached."""
        starts = zip(self.code.starts, self.code.names, strict=True)
        return {name for start, name in starts if start in self.code.known.entering}

    def _targets(self, site: TailCallSite) -> set[str]:
        names = self.slots.keys() if site.maps is None else site.maps & self.slots.keys()
        found = set()
        for name in names:
            slots = self.slots[name]
            keys = slots.keys() if site.keys is None else site.keys & slots.keys()
            found |= {slots[key] for key in keys}
        return found & self.obj.programs.keys()


def _in_data(obj: Object) -> set[str]:
    """Functions whose addresses are in data: callbacks of struct_ops."""
    return {
        relocation.target
        for section in obj.data_sections.values()
        for relocation in section.relocations
        if relocation.kind is RelocationKind.FUNCTION
    } & obj.functions.keys()


def _without(obj: Object, reached: _Reached) -> Pruned:
    running = reached.running_functions()
    before = sum(function.instruction_count for function in obj.functions.values())
    editors = [
        editor
        for name in obj.functions
        if name in running and (editor := _edited(obj, reached.code, name)) is not None
    ]
    made, _ = apply_edits(obj, editors)
    # Global functions that nobody calls stay nobody's: they were no part of any program.
    for name in made.functions.keys() - running:
        del made.functions[name]
    for name in made.programs.keys() - reached.programs:
        del made.programs[name]
    made.jump_tables = {n: t for n, t in made.jump_tables.items() if t.function in running}
    gone = _unused_maps(obj, made)
    for name, definition in obj.maps.items():
        if name in gone:
            del made.maps[name]
        else:
            made.maps[name] = _with_slots(definition, made, gone)
    return Pruned(
        made,
        tuple(name for name in obj.programs if name not in made.programs),
        tuple(name for name in obj.functions if name not in made.functions),
        tuple(name for name in obj.maps if name in gone),
        before - sum(function.instruction_count for function in made.functions.values()),
    )


def _edited(obj: Object, code: KnownCode, name: str) -> FunctionEditor | None:
    """The edits that take the dead code out of a function; None if it has none."""
    start = code.start(name)
    end = start + obj.functions[name].instruction_count
    editor: FunctionEditor | None = None
    dead: list[tuple[int, int]] = []  # first and last instruction of each run
    joined = False
    for block in code.flow.blocks_in(start, end):
        if block.start in code.known.entering:
            joined = False
            ways = code.known.ways.get(block.start, ())
            if len(ways) == 1:
                editor = editor or FunctionEditor(obj, name)
                _settle_branch(editor, code, block, start, taken=ways[0])
            continue
        *_, (last, _insn) = code.flow.block_instructions(block)
        dead.append((dead.pop()[0] if joined else block.start, last))
        joined = True
    for first, last in dead:
        editor = editor or FunctionEditor(obj, name)
        # A jump table that only dead code reads may lead there still.
        editor.delete(
            editor.label(first - start), editor.label(last - start), jumps_go_to=editor.label(0)
        )
    return editor


def _settle_branch(
    editor: FunctionEditor, code: KnownCode, block: BasicBlock, start: int, *, taken: bool
) -> None:
    """A conditional jump that always goes one way: a plain jump, or nothing where only what is
    taken out lies between."""
    jump = editor.label(block.end - 1 - start)
    target = block.end
    if taken:
        target = next((each for each in block.successors if each != block.end), block.end)
    there = editor.label(target - start)
    between = (each.start for each in code.flow.blocks_in(block.end, target))
    if target >= block.end and not any(each in code.known.entering for each in between):
        editor.delete(jump, jumps_go_to=there)
    else:
        editor.replace(jump, jump, "goto there", labels={"there": there})


def _unused_maps(before: Object, after: Object) -> set[str]:
    """The maps that code used which is not there any more, and that nothing else names: a prog
    array also stays for a program that it holds."""
    used_before, used = _maps_in_code(before), _maps_in_code(after)
    for section in before.data_sections.values():
        if section.kind is not DataKind.KCONFIG:
            used |= {r.target for r in section.relocations if r.kind is RelocationKind.MAP}
    used |= {
        name
        for name, each in before.maps.items()
        if each.type is MapType.PROG_ARRAY
        and any(program in after.programs for _, program in each.slots)
    }
    gone = used_before - used
    while True:  # what a kept map holds stays
        held = {
            target
            for name, each in before.maps.items()
            if name not in gone and each.type is not MapType.PROG_ARRAY
            for _, target in each.slots
        }
        if not held & gone:
            return gone
        gone -= held


def _maps_in_code(obj: Object) -> set[str]:
    return {
        relocation.target
        for function in obj.functions.values()
        for relocation in function.relocations
        if relocation.kind is RelocationKind.MAP
    }


def _with_slots(definition: Map, obj: Object, gone: Collection[str]) -> Map:
    """A map without slots of what is not there any more."""
    if not definition.slots:
        return definition
    if definition.type is MapType.PROG_ARRAY:
        left = tuple(each for each in definition.slots if each[1] in obj.programs)
    else:
        left = tuple(each for each in definition.slots if each[1] not in gone)
    return definition if left == definition.slots else replace(definition, slots=left)
