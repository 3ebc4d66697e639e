"""The tail calls of one or more objects as a graph: which program goes on in which, and how.

Programs are nodes; a site of a program, or of a subprogram that it calls, is an edge to each
program that the call can reach. Objects are joined where they share a prog array: one that is
pinned by name is the same map in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from osmia.object.frames import frame_sizes
from osmia.object.known_code import KnownCode, known_code
from osmia.object.model import Map, Object, Pinning, SourceLine
from osmia.object.uapi import MapType
from osmia.passes.call_paths import call_paths, rounded
from osmia.passes.tail_call_sites import TailCallSite, source_line, tail_call_sites
from osmia.records import dataclass, field

LIMIT: Final = 33
"""Tail calls that one run may make (MAX_TAIL_CALL_CNT)."""

#: Contents of prog arrays beside those of the objects: by map, programs by key.
Filled = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class ProgramNode:
    """A program: `stack` and `frames` are those of its deepest calls (bytes, functions),
    `entry` says that it may be entered by something else than a tail call. One that only a map
    told of has no `object`."""

    name: str
    object: str = ""
    section: str = ""
    type: str = ""
    instructions: int = 0
    stack: int = 0
    frames: int = 0
    entry: bool = False


@dataclass(frozen=True, slots=True)
class GraphSite:
    """A tail call as a program makes it.

    `path` are the functions from the program to the call, `below` the bytes of stack of those
    before the last: at most 255. `targets` are programs by key; `open_slots` says that it may
    find others there which nobody told of. `indirect` says why the kernel does not jump
    directly: "" if it does.
    """

    program: str
    site: TailCallSite
    line: SourceLine | None
    path: tuple[str, ...]
    below: int
    targets: Mapping[int, str]
    open_slots: bool
    indirect: str

    @property
    def maps(self) -> str:
        """The maps that it goes through, in words."""
        return " or ".join(sorted(self.site.maps)) if self.site.maps else "an unknown map"

    @property
    def keys(self) -> str:
        """The keys that it has, in words."""
        if self.site.keys is None:
            return "any key"
        return "key " + " or ".join(map(str, sorted(self.site.keys)))


@dataclass
class TailCallGraph:
    """Programs, sites, and what follows from them."""

    programs: dict[str, ProgramNode] = field(default_factory=dict)
    sites: list[GraphSite] = field(default_factory=list)

    @property
    def edges(self) -> dict[tuple[str, str], list[GraphSite]]:
        """The sites by which one program goes on in another."""
        found: dict[tuple[str, str], list[GraphSite]] = {}
        for site in self.sites:
            for target in dict.fromkeys(site.targets.values()):
                found.setdefault((site.program, target), []).append(site)
        return found

    @property
    def reachable(self) -> set[str]:
        """The programs that can run: entries, and what tail calls reach from them."""
        after = self._after()
        found = {name for name, each in self.programs.items() if each.entry}
        pending = list(found)
        while pending:
            more = after.get(pending.pop(), set()) - found
            found |= more
            pending += more
        return found

    @property
    def cycles(self) -> list[tuple[str, ...]]:
        """Groups of programs that tail calls can lead around in, each in the graph's order."""
        return [group for group in self._groups() if self._goes_around(group)]

    @property
    def longest_chain(self) -> tuple[str, ...]:
        """The programs of the longest chain from an entry, no program twice. Where there are
        cycles each counts as one of its programs."""
        groups = self._groups()
        group_of = {name: group for group in groups for name in group}
        after = self._after()
        best: dict[tuple[str, ...], tuple[str, ...]] = {}
        for group in groups:  # targets come first
            following = {
                group_of[target]
                for name in group
                for target in after.get(name, ())
                if group_of[target] != group
            }
            rest = max((best[each] for each in following), key=len, default=())
            best[group] = (group[0], *rest)
        entries = [group for group in groups if any(self.programs[name].entry for name in group)]
        return max((best[group] for group in entries), key=len, default=())

    @property
    def limit_can_bite(self) -> bool:
        """Whether a run may want more tail calls than the kernel lets it make."""
        reachable = self.reachable
        around = any(reachable.intersection(group) for group in self.cycles)
        return around or len(self.longest_chain) - 1 > LIMIT

    def _after(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for site in self.sites:
            found.setdefault(site.program, set()).update(site.targets.values())
        return found

    def _goes_around(self, group: tuple[str, ...]) -> bool:
        return len(group) > 1 or group[0] in self._after().get(group[0], ())

    def _groups(self) -> list[tuple[str, ...]]:
        """Strongly connected programs, those that others lead to first (Tarjan, unrolled)."""
        after = {name: sorted(targets) for name, targets in self._after().items()}
        order = {name: at for at, name in enumerate(self.programs)}
        index: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        groups: list[tuple[str, ...]] = []
        grouped: set[str] = set()
        for first in self.programs:
            pending = [(first, iter(after.get(first, ())))] if first not in index else []
            while pending:
                name, targets = pending[-1]
                if name not in index:
                    index[name] = low[name] = len(index)
                    stack.append(name)
                for target in targets:
                    if target not in index:
                        pending.append((target, iter(after.get(target, ()))))
                        break
                    if target not in grouped:
                        low[name] = min(low[name], index[target])
                else:
                    pending.pop()
                    if pending:
                        low[pending[-1][0]] = min(low[pending[-1][0]], low[name])
                    if low[name] == index[name]:
                        at = stack.index(name)
                        groups.append(tuple(sorted(stack[at:], key=order.__getitem__)))
                        grouped.update(stack[at:])
                        del stack[at:]
        return groups


def tail_call_graph(objects: Sequence[Object], filled: Filled | None = None) -> TailCallGraph:
    """The graph of some objects.

    `filled` has further contents of their prog arrays, by map. Programs that no slot holds are
    entries. Programs of one name in different objects are told apart by the object's name.
    """
    graph = TailCallGraph()
    names = _names(objects)
    shared = _shared_slots(objects, names, filled or {})
    held = {program for slots in shared.values() for program in slots.values()}
    for number, obj in enumerate(objects):
        code = known_code(obj)
        frames = frame_sizes(code)
        sites: dict[str, list[TailCallSite]] = {}
        for site in tail_call_sites(code):
            sites.setdefault(site.function, []).append(site)
        for program in obj.programs.values():
            name = names[number, program.name]
            paths = list(call_paths(obj, program.function, frames))
            graph.programs[name] = ProgramNode(
                name,
                obj.name,
                program.section,
                program.type.name,
                sum(obj.functions[each].instruction_count for each in {p[-1] for p, _ in paths}),
                max(below + rounded(frames[path[-1]]) for path, below in paths),
                max(len(path) for path, _ in paths),
                entry=name not in held,
            )
            for path, below in paths:
                for site in sites.get(path[-1], ()):
                    graph.sites.append(
                        _graph_site(obj, number, name, site, path, below, shared, code)
                    )
    for name in sorted(held - graph.programs.keys()):
        graph.programs[name] = ProgramNode(name)
    return graph


def _names(objects: Sequence[Object]) -> dict[tuple[int, str], str]:
    count: dict[str, int] = {}
    for obj in objects:
        for name in obj.programs:
            count[name] = count.get(name, 0) + 1
    return {
        (number, name): name if count[name] == 1 else f"{obj.name}:{name}"
        for number, obj in enumerate(objects)
        for name in obj.programs
    }


def _shared_slots(
    objects: Sequence[Object], names: Mapping[tuple[int, str], str], filled: Filled
) -> dict[tuple[int, str], dict[int, str]]:
    """What each object's prog arrays hold: those that are pinned by name are one map."""
    by_name: dict[str, dict[int, str]] = {}
    found: dict[tuple[int, str], dict[int, str]] = {}
    for number, obj in enumerate(objects):
        for definition in obj.maps.values():
            if definition.type is not MapType.PROG_ARRAY:
                continue
            pinned = definition.pinning not in (Pinning.NONE, Pinning.OBJECT)
            slots = by_name.setdefault(definition.name, {}) if pinned else {}
            found[number, definition.name] = slots
            slots.update({key: names.get((number, each), each) for key, each in definition.slots})
            slots.update(filled.get(definition.name, {}))
    return found


def _graph_site(
    obj: Object,
    number: int,
    program: str,
    site: TailCallSite,
    path: tuple[str, ...],
    below: int,
    shared: Mapping[tuple[int, str], Mapping[int, str]],
    code: KnownCode,
) -> GraphSite:
    maps = [name for name in obj.maps if site.maps is None or name in site.maps]
    targets: dict[int, str] = {}
    open_slots = False
    for name in maps:
        definition, slots = obj.maps[name], shared.get((number, name))
        if slots is None:
            continue
        keys: Iterable[int] = slots if site.keys is None else site.keys
        targets |= {key: slots[key] for key in keys if key in slots}
        open_slots = open_slots or (
            len(slots) < definition.max_entries
            if site.keys is None
            else any(key < definition.max_entries and key not in slots for key in site.keys)
        )
    line = source_line(obj, site)
    return GraphSite(
        program, site, line, path, below, targets, open_slots, _indirect(site, obj.maps)
    )


def _indirect(site: TailCallSite, maps: Mapping[str, Map]) -> str:
    """Why the kernel's JIT makes no direct jump of a site; "" where it does (since 5.5)."""
    if site.maps is None:
        return "the map is not known"
    if len(site.maps) > 1:
        return f"the map is one of {', '.join(sorted(site.maps))}"
    if site.keys is None:
        return "the key is variable"
    if len(site.keys) > 1:
        return f"the key is one of {', '.join(map(str, sorted(site.keys)))}"
    definition = maps.get(site.map or "")
    if definition is not None and (site.key or 0) >= definition.max_entries:
        return f"key {site.key} is beyond the map's {definition.max_entries} slots"
    return ""
