"""In which order C must see types: what each needs, and when a declaration is enough.

A struct that holds another needs its definition first; one that points to it needs only
`struct other;`. So every cycle between types that C can have is cut at a pointer to
a struct or union.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.btf.reader import BTF
from osmia.btf.types import (
    Array,
    Const,
    Enum,
    Enum64,
    Func,
    FuncProto,
    Fwd,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
)
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

#: Anonymous types are looked through wherever they are used, in hostile BTF many times.
#: The kernel's types need one visit for 80 bytes.
_MIN_VISITS = 1 << 14


class Step(NamedTuple):
    """Write this type; `whole` is its definition, otherwise a declaration is enough."""

    type_id: int
    whole: bool


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
        for wanted in self._uses(Step(type_id, True)):
            yield from self._walk(wanted)

    def _walk(self, wanted: Step) -> Iterator[Step]:
        """Depth first with a stack of our own: hostile BTF nests deeper than Python does."""
        if wanted in self._done:
            return
        open_steps = {wanted}
        stack = [(wanted, iter(self._before(wanted)))]
        while stack:
            step, needs = stack[-1]
            for need in needs:
                if need in self._done:
                    continue
                if need in open_steps:
                    problem = f"type {need.type_id} contains itself"
                    raise ObjectFormatError(problem, file=self._btf.name)
                open_steps.add(need)
                stack.append((need, iter(self._before(need))))
                break
            else:
                stack.pop()
                open_steps.discard(step)
                self._done.add(step)
                yield step

    def _before(self, step: Step) -> tuple[Step, ...]:
        """What must be written before this step's own text."""
        match self._btf.type(step.type_id):
            case Struct() | Union() as composite if step.whole:
                return self._members(composite)
            case Typedef() as typedef:
                own = (Step(step.type_id, False),) if step.whole else ()
                return self._uses(Step(typedef.target, step.whole)) + own
            case Func() | Var() as declared:
                return self._uses(Step(declared.type_id, False))
        return ()

    def _members(self, composite: Struct | Union) -> tuple[Step, ...]:
        needs: dict[Step, None] = {}
        for member in composite.members:
            needs.update(dict.fromkeys(self._uses(Step(member.type_id, True))))
        return tuple(needs)

    def _uses(self, step: Step) -> tuple[Step, ...]:
        """The named types that a use of this type mentions, `whole`: needs the size of."""
        known = self._needs.get(step)
        if known is None:
            known = self._needs[step] = tuple(dict.fromkeys(self._find_uses(step)))
        return known

    def _count_visit(self) -> None:
        self._visits_left -= 1
        if self._visits_left < 0:
            raise ObjectFormatError("types refer to each other without end", file=self._btf.name)

    def _find_uses(self, step: Step) -> Iterator[Step]:
        """Follows pointers, qualifiers, prototypes and anonymous types down to names."""
        pending = [step]
        seen = {step}
        while pending:
            current = pending.pop()
            self._count_visit()
            found = self._btf.type(current.type_id)
            inner: list[Step] = []
            match found:
                case Struct() | Union() if not found.name:
                    inner = [Step(member.type_id, True) for member in found.members]
                case Struct() | Union() | Typedef() | Fwd():
                    yield current
                case Enum() | Enum64() if found.name:
                    yield Step(current.type_id, True)
                case Ptr():
                    inner = [Step(found.target, False)]
                case Const() | Volatile() | Restrict() | TypeTag():
                    inner = [Step(found.target, current.whole)]
                case Array():
                    inner = [Step(found.element, True)]
                case FuncProto():
                    types = [found.return_type, *(p.type_id for p in found.parameters)]
                    inner = [Step(type_id, False) for type_id in types]
                case Func() | Var():
                    yield Step(current.type_id, True)
            fresh = [use for use in inner if use not in seen]
            seen.update(fresh)
            pending.extend(reversed(fresh))
