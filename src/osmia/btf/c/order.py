"""In which order C must see types: what each needs, and when a declaration is enough.

A struct that holds another needs its definition first; one that points to it needs only
`struct other;`. So every cycle between types that C can have is cut at a pointer to
a struct or union.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.btf.reader import BTF
from osmia.btf.types import (
    COMPOSITES,
    MODIFIERS,
    Func,
    FuncProto,
    Kind,
    Struct,
    Typedef,
    Union,
    Var,
)
from osmia.errors import ObjectFormatError

#: Anonymous types are looked through wherever they are used, in hostile BTF many times.
#: The kernel's types need one visit for 80 bytes.
_MIN_VISITS = 1 << 14
#: Longer rows of pointers, arrays and qualifiers may be circles.
_LONGEST_CHAIN = 16

_NAMED = COMPOSITES | {Kind.TYPEDEF, Kind.FWD}
_ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})
_DECLARED = frozenset({Kind.FUNC, Kind.VAR})
_QUALIFIERS = MODIFIERS - {Kind.TYPEDEF}

#: A step writes one type: twice its id, and one more for its definition, where otherwise a
#: declaration is enough. Numbers, since the kernel's types need a quarter of a million.
Step = int
WHOLE = 1


class Order:
    """Puts types in order, each step once over all calls."""

    def __init__(self, btf: BTF) -> None:
        self._btf = btf
        self._done: set[Step] = set()
        self._needs: dict[Step, tuple[Step, ...]] = {}
        self._visits_left = _MIN_VISITS + btf.byte_size // 8

    def steps(self, type_id: int) -> Iterator[Step]:
        """What has to be written, in order, before and for this type.

        Raises ObjectFormatError for a type that contains itself.
        """
        for wanted in self._uses(2 * type_id | WHOLE):
            if wanted not in self._done:
                yield from self._walk(wanted)

    def _walk(self, wanted: Step) -> Iterator[Step]:
        """Depth first with a stack of our own: hostile BTF nests deeper than Python does."""
        done = self._done
        open_steps = {wanted}
        stack = [(wanted, iter(self._before(wanted)))]
        while stack:
            step, needs = stack[-1]
            for need in needs:
                if need in done:
                    continue
                if need in open_steps:
                    problem = f"type {need >> 1} contains itself"
                    raise ObjectFormatError(problem, file=self._btf.name)
                open_steps.add(need)
                stack.append((need, iter(self._before(need))))
                break
            else:
                stack.pop()
                open_steps.discard(step)
                done.add(step)
                yield step

    def _before(self, step: Step) -> tuple[Step, ...]:
        """What must be written before this step's own text."""
        found = self._btf.type(step >> 1)
        if isinstance(found, Struct | Union):
            return self._members(found) if step & WHOLE else ()
        if isinstance(found, Typedef):
            own = (step ^ WHOLE,) if step & WHOLE else ()
            return self._uses(2 * found.target | step & WHOLE) + own
        if isinstance(found, Func | Var):
            return self._uses(2 * found.type_id)
        return ()

    def _members(self, composite: Struct | Union) -> tuple[Step, ...]:
        needs: dict[Step, None] = {}
        known = self._needs
        for _, type_id, *_ in composite.members:
            step = 2 * type_id | WHOLE
            for use in known[step] if step in known else self._uses(step):
                needs[use] = None
        return tuple(needs)

    def _uses(self, step: Step) -> tuple[Step, ...]:
        """The named types that a use of this type mentions, `whole`: needs the size of."""
        known = self._needs.get(step)
        if known is None:
            known = self._needs[step] = self._find_uses(step)
        return known

    def _count_visit(self) -> None:
        self._visits_left -= 1
        if self._visits_left < 0:
            raise ObjectFormatError("types refer to each other without end", file=self._btf.name)

    def _find_uses(self, step: Step) -> tuple[Step, ...]:
        """Most types lead to one name at most, through pointers, arrays and qualifiers."""
        current = step
        for _ in range(_LONGEST_CHAIN):
            self._count_visit()
            inner, use = self._next(current)
            if use is not None:
                return (use,)
            if len(inner) != 1:
                break
            (current,) = inner
        else:
            inner = (step,)
        return tuple(dict.fromkeys(self._search(current, inner))) if inner else ()

    def _search(self, step: Step, inner: tuple[Step, ...]) -> Iterator[Step]:
        """Follows prototypes and anonymous types down to names; `inner` are those of `step`."""
        pending = list(reversed(dict.fromkeys(inner)))
        seen = {step, *pending}
        while pending:
            self._count_visit()
            inner, use = self._next(pending.pop())
            if use is not None:
                yield use
            fresh = [each for each in inner if each not in seen]
            seen.update(fresh)
            pending.extend(reversed(fresh))

    def _next(self, step: Step) -> tuple[tuple[Step, ...], Step | None]:
        """What a type leads to, or the name that it is."""
        found = self._btf.type(step >> 1)
        kind = found.kind
        if kind is Kind.PTR:
            return (2 * found.target,), None  # type: ignore[union-attr]
        if kind in _NAMED:
            if found.name or not isinstance(found, Struct | Union):
                return (), step
            return tuple(2 * member.type_id | WHOLE for member in found.members), None
        if kind in _QUALIFIERS:
            return (2 * found.target | step & WHOLE,), None  # type: ignore[union-attr]
        if kind is Kind.ARRAY:
            return (2 * found.element | WHOLE,), None  # type: ignore[union-attr]
        if isinstance(found, FuncProto):
            types = (found.return_type, *(each.type_id for each in found.parameters))
            return tuple(2 * each for each in types), None
        if kind in _DECLARED or (kind in _ENUMS and found.name):
            return (), step | WHOLE
        return (), None
