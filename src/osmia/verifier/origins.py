"""Where a value came from: back along a path, from what uses it to what made it."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence

from osmia.records import dataclass, field
from osmia.verifier.instructions import Effect, callee, effect
from osmia.verifier.log import VerifierLog
from osmia.verifier.states import entry_state
from osmia.verifier.states import visit as visit_of

#: How many values one explanation has, and how far back along the path it looks for each.
_MOST = 40
_DEEPEST = 16
_FAR = 200_000

_MAP = re.compile(r"\bmap=([^,)]+)")
_STACK_POINTER = re.compile(r"fp(?:\[\d+\])?(-?\d+)")
#: Which argument of a helper its callback gets in which register (R2 of bpf_loop's is R3 of the
#: call): include/uapi/linux/bpf.h, with bpf_loop, bpf_for_each_map_elem and others.
_GIVEN_TO_CALLBACKS = {
    ("bpf_loop", 2): 3,
    ("bpf_for_each_map_elem", 4): 3,
    ("bpf_user_ringbuf_drain", 2): 3,
    ("bpf_find_vma", 3): 4,
}
_CONTEXT = re.compile(r"ctx\b")
#: Complaints about a value, which name no register.
_OF_VALUE = re.compile(r"access|pointer|dereference|misaligned|leak|\barg|helper|value")
_NAMED_REGISTER = re.compile(r"\bR(\d{1,2})\b")


@dataclass
class Origin:
    """A value: what it is in (`place`: "R6", "fp-8"), who made it (`visit`, -1: before the path
    began), how (`text`, `how` in words), what the verifier knew of it then, and what it was made
    of. `checks` are the visits of jumps that looked at it since."""

    place: str
    visit: int
    slot: int
    text: str
    how: str
    known: str = ""
    checks: list[int] = field(default_factory=list)
    made_of: list[Origin] = field(default_factory=list)


def frames_of(path: Sequence[int], slots: Sequence[int], texts: Mapping[int, str]) -> array[int]:
    """How deep in calls each visit of the path is."""
    frames = array("i", bytes(4 * len(path)))
    depth = 0
    kinds = {
        slot: "call" if text.startswith("call") else "exit" if text == "exit" else ""
        for slot, text in texts.items()
    }
    for step, visit in enumerate(path):
        frames[step] = depth
        slot = slots[visit]
        kind = kinds.get(slot, "")
        if kind == "call":
            following = slots[path[step + 1]] if step + 1 < len(path) else slot + 1
            goes = callee(slot, texts[slot])
            entered = following == goes if goes is not None else following != slot + 1
            depth = min(depth + entered, _DEEPEST)
        elif kind == "exit" and depth:
            depth -= 1
    return frames


def wanted_registers(complaint: str, text: str) -> list[int]:
    """The registers that a complaint is about: those that it names, or the last instruction's."""
    named = list(dict.fromkeys(int(each) for each in _NAMED_REGISTER.findall(complaint)))
    if named:
        return named[:3]
    does = effect(text)
    if does.kind in ("call", "exit", "constant") or not _OF_VALUE.search(complaint):
        return []
    return list(does.reads)[:3]


class Tracer:
    """Traces values back along one path of one log."""

    def __init__(self, log: VerifierLog, path: Sequence[int], texts: Mapping[int, str]) -> None:
        self.log = log
        self.path = path
        self.texts = texts
        self.frames = frames_of(path, log.slots, texts)
        self._effects = {slot: effect(text) for slot, text in texts.items()}
        self._entry = entry_state(log, path[0]) if path else {}
        self._left = _MOST
        self._seen: set[tuple[int, str]] = set()
        self._chain: list[tuple[int, str]] = []

    def origin(self, register: int, step: int | None = None) -> Origin:
        """Where the register had its value from before the path's step (default: the last)."""
        at = len(self.path) - 1 if step is None else step
        return self._register(register, at, self.frames[at] if at >= 0 else 0, 0)

    def _slot(self, step: int) -> int:
        return self.log.slots[self.path[step]]

    def _effect(self, step: int) -> Effect:
        return self._effects.get(self._slot(step), Effect("other"))

    def _register(self, register: int, before: int, frame: int, depth: int) -> Origin:
        place = f"R{register}"
        if register == 10:
            return Origin(place, -1, -1, "", "the frame pointer")
        checks: list[int] = []
        for step in range(before - 1, max(-1, before - _FAR), -1):
            at = self.frames[step]
            if at > frame:
                continue
            does = self._effect(step)
            if at < frame:
                return self._argument(register, step, depth)
            if does.writes == register or (does.kind == "call" and register <= 5):
                return self._made(place, register, step, depth, checks)
            if does.kind == "jump" and register in does.reads:
                checks.append(self.path[step])
        return Origin(place, -1, -1, "", _at_entry(register, frame), checks=checks[:8])

    def _argument(self, register: int, step: int, depth: int) -> Origin:
        """A register of a function that was entered by the call at `step`."""
        if not 1 <= register <= 5:
            return Origin(f"R{register}", -1, -1, "", "nothing wrote it in this function")
        text = self.texts.get(self._slot(step), "")
        if callee(self._slot(step), text) is not None:
            node = self._node(f"R{register}", step, "argument of the call")
            self._follow(node, [register], step, depth)
            return node
        helper = text.removeprefix("call ").partition("#")[0]
        node = self._node(f"R{register}", step, f"what {helper} gives its callback")
        given = _GIVEN_TO_CALLBACKS.get((helper, register))
        self._follow(node, [given] if given else [], step, depth)
        return node

    def _node(self, place: str, step: int, how: str, checks: Sequence[int] = ()) -> Origin:
        visit = self.path[step]
        seen = visit_of(self.log, visit)
        known = seen.after.get(place, "")
        return Origin(place, visit, self._slot(step), seen.text, how, known, list(checks[:8]))

    def _follow(self, node: Origin, registers: Sequence[int], step: int, depth: int) -> None:
        """Trace what it was made of, unless that is told already, or is a round of a loop more."""
        link = node.slot, node.place
        if link in self._chain:
            node.how += ", in a round before of a loop"
            return
        if depth >= _DEEPEST:
            return
        self._chain.append(link)
        self._trace_each(node, registers, step, depth)
        self._chain.pop()

    def _trace_each(self, node: Origin, registers: Sequence[int], step: int, depth: int) -> None:
        for register in registers:
            key = step, f"R{register}"
            if key in self._seen or self._left <= 0:
                continue
            self._seen.add(key)
            self._left -= 1
            node.made_of.append(self._register(register, step, self.frames[step], depth + 1))

    def _made(
        self, place: str, register: int, step: int, depth: int, checks: Sequence[int]
    ) -> Origin:
        does = self._effect(step)
        match does.kind:
            case "call":
                return self._returned(place, register, step, depth, checks)
            case "load":
                return self._loaded(place, does, step, depth, checks)
            case "constant":
                return self._node(place, step, "a constant", checks)
            case "copy":
                node = self._node(place, step, "copied", checks)
            case _:
                node = self._node(place, step, "calculated", checks)
        self._follow(node, [each for each in does.reads if each != 10], step, depth)
        return node

    def _returned(
        self, place: str, register: int, step: int, depth: int, checks: Sequence[int]
    ) -> Origin:
        text = self.texts.get(self._slot(step), "")
        if register:
            return self._node(place, step, "lost in a call: R1 to R5 have no value after one")
        name = text.removeprefix("call ").partition("#")[0]
        node = self._node(place, step, f"returned by {name}", checks)
        last = step + 1
        while last < len(self.path) and self.frames[last] > self.frames[step]:
            last += 1
        if last > step + 1 and callee(self._slot(step), text) is not None:
            node.how = "returned by the function called"
            self._follow(node, [0], last - 1, depth)
        elif found := _MAP.search(node.known or self._known(1, step)):
            node.how += f", of map {found[1]}"
        return node

    def _loaded(
        self, place: str, does: Effect, step: int, depth: int, checks: Sequence[int]
    ) -> Origin:
        base = "fp0" if does.base == 10 else self._known(does.base, step)
        stack = _STACK_POINTER.match(base)
        if stack is not None:
            return self._from_stack(place, int(stack[1]) + does.offset, does, step, depth, checks)
        if _CONTEXT.match(base):
            node = self._node(place, step, f"from the context, offset {does.offset}", checks)
        elif found := _MAP.search(base):
            node = self._node(place, step, f"from a value of map {found[1]}", checks)
        elif base.startswith("pkt"):
            node = self._node(place, step, "from the packet", checks)
        else:
            node = self._node(place, step, "from memory", checks)
        self._follow(node, [does.base], step, depth)
        return node

    def _from_stack(
        self, place: str, offset: int, does: Effect, step: int, depth: int, checks: Sequence[int]
    ) -> Origin:
        node = self._node(place, step, f"from the stack, fp{offset:+}", checks)
        frame = self.frames[step]
        for before in range(step - 1, max(-1, step - _FAR), -1):
            if self.frames[before] < frame:
                break
            stored = self._effect(before)
            if self.frames[before] > frame or stored.kind != "store" or stored.base != 10:
                continue
            if stored.offset < offset + does.size and offset < stored.offset + stored.size:
                put = self._node(f"fp{offset:+}", before, "stored there")
                node.made_of.append(put)
                self._follow(put, [r for r in stored.reads if r != 10], before, depth + 1)
                return node
        return node

    def _known(self, register: int, step: int) -> str:
        """What was known of a register before a step: at its last mention on the path."""
        place, frame = f"R{register}", self.frames[step]
        shown = visit_of(self.log, self.path[step])
        for before in range(step - 1, max(-1, step - 256), -1):
            if self.frames[before] < frame:
                return self._known(register, before) if 1 <= register <= 5 else ""
            if self.frames[before] == frame:
                seen = visit_of(self.log, self.path[before])
                if place in seen.after:
                    return seen.after[place]
        if place in shown.after and self._effect(step).writes != register:
            return shown.after[place]
        return self._entry.get(place, "") if step < 256 and not frame else ""


def _at_entry(register: int, frame: int) -> str:
    if frame == 0 and 1 <= register <= 5:
        return "the context" if register == 1 else "an argument of the function"
    return "nothing wrote it"
