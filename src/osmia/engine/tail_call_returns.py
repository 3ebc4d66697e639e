"""What programs in slots of prog arrays must return: what the subprograms do that they replace.

A tail call in a subprogram replaces that subprogram: its caller goes on with what the called
program returned, and takes that for what the subprogram returns. The kernel only demands that
the subprogram returns an integer (since 5.10), and looks at no program that comes into a slot;
so this does, wherever a slot is filled. What has no types is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from osmia.errors import KernelError, NotSupportedError, TailCallError
from osmia.object.model import Object, RelocationKind

if TYPE_CHECKING:
    from osmia.btf import BTF
    from osmia.engine.maps.references import ProgramArray
    from osmia.passes.tail_call_sites import TailCallSite

#: Where a function's declaration is: the types, and the id of its FUNC in them.
FunctionType: TypeAlias = "tuple[BTF, int]"

_CALLS = (RelocationKind.CALL, RelocationKind.FUNCTION)
_WORD = 4
"""Bytes of an int. Of smaller integers callers count on the bits above, too."""


class TailCallReturns:
    """The subprograms of a loaded object that make tail calls, and what they return.

    `variable` names read-only sections whose contents are not final; see `object.known_code`.
    """

    def __init__(
        self, obj: Object, btf: BTF, functions: Collection[str], variable: Collection[str]
    ) -> None:
        self._object, self._btf = obj, btf
        self._variable = variable
        self._returned = {
            key: shape
            for key in functions
            if (shape := _returned(btf, obj.functions[key].btf_id)) not in (None, ())
        }

    def check(self, array: str, key: int, program: str, declared: FunctionType) -> None:
        """TailCallError if a tail call in a subprogram reaches that slot of the prog array
        `array`, and the program returns something else."""
        shape = _returned(*declared)
        unlike = {name for name, own in self._returned.items() if shape not in (None, own)}
        for site in self._sites if unlike else ():
            if site.function in unlike and _reaches(site, array, key):
                raise TailCallError(self._unlike(site, array, key, program, declared))

    @cached_property
    def _sites(self) -> list[TailCallSite]:
        from osmia.object.known_code import known_code
        from osmia.passes.tail_call_sites import tail_call_sites

        return tail_call_sites(known_code(self._object, variable=self._variable))

    def _unlike(
        self, site: TailCallSite, array: str, key: int, program: str, declared: FunctionType
    ) -> str:
        from osmia.btf.c.format import declaration
        from osmia.passes.tail_call_sites import source_line

        obj, name = self._object, self._object.functions[site.function].name
        own = declaration(self._btf, obj.functions[site.function].btf_id, name)
        line = source_line(obj, site)
        place = f" ({line.file}:{line.line}: {line.text})" if line is not None else ""
        return (
            f"program {program!r} cannot be at {key} of map {array!r}: the tail call in"
            f" subprogram {name!r}, instruction {site.slot}{place}, would return to the callers of"
            f" {own!r} what {declaration(*declared, program)!r} returns"
        )


class TailCallers:
    """Who reaches a prog array by tail calls in subprograms: loaded objects, by the names that
    they have for it. Handles that were made one from the other share it."""

    def __init__(self) -> None:
        self._users: WeakKeyDictionary[TailCallReturns, set[str]] = WeakKeyDictionary()

    def __bool__(self) -> bool:
        return bool(self._users)

    def add(self, user: TailCallReturns, name: str) -> None:
        """Have what comes in checked from now on, as long as `user` is there."""
        self._users.setdefault(user, set()).add(name)

    def discard(self, user: TailCallReturns) -> None:
        """Forget a user."""
        self._users.pop(user, None)

    def check(self, key: int, program: str, declared: FunctionType | None) -> None:
        """TailCallError for a program that returns what one of them does not expect."""
        if declared is not None:
            for user, names in list(self._users.items()):
                for name in sorted(names):
                    user.check(name, key, program, declared)


class Array(Protocol):
    """A prog array of a load."""

    @property
    def callers(self) -> TailCallers: ...


def check_slots(
    obj: Object,
    arrays: Mapping[str, Array],
    reused: Mapping[str, Callable[[], ProgramArray]],
    *,
    variable: Collection[str] = (),
) -> TailCallReturns | None:
    """Check what the prog arrays of a load will hold: what `obj` puts into them, and what is in
    those that are `reused`. `arrays` are all of them, by name; `variable` as of
    `TailCallReturns`.

    What is given must be kept as long as the object is loaded: so long it is checked what else
    comes into the arrays. Raises TailCallError.
    """
    if not arrays:
        return None
    user = _tail_calling(obj, variable)
    with ExitStack() as undo:
        if user is not None:
            for name, array in arrays.items():
                array.callers.add(user, name)
                undo.callback(array.callers.discard, user)
        for name, array in arrays.items():
            if array.callers:
                _check_own(obj, name, array.callers)
        if user is not None:
            for name, opened in reused.items():
                _check_held(obj, name, arrays[name].callers, opened())
        undo.pop_all()
    return user


def _tail_calling(obj: Object, variable: Collection[str]) -> TailCallReturns | None:
    """What the tail-calling subprograms of an object return; None where there are none."""
    if obj.btf is None:
        return None
    from osmia.passes.tail_call_sites import has_tail_calls

    called = {
        record.target
        for function in obj.functions.values()
        for record in function.relocations
        if record.kind in _CALLS and record.target in obj.functions
    }
    found = [
        key
        for key in called
        if obj.functions[key].btf_id and has_tail_calls(obj.functions[key].code, obj.byteorder)
    ]
    return TailCallReturns(obj, obj.btf, found, variable) if found else None


def _check_own(obj: Object, name: str, callers: TailCallers) -> None:
    """Check the programs that an object puts into a prog array."""
    for key, target in obj.maps[name].slots:
        program = obj.programs.get(target)
        if program is not None and program.autoload and obj.btf is not None:
            declared = obj.btf, obj.functions[program.function].btf_id
            callers.check(key, target, declared if declared[1] else None)


def _check_held(obj: Object, name: str, callers: TailCallers, array: ProgramArray) -> None:
    """Check the programs that a prog array holds already, but for those that go."""
    replaced = {key for key, _ in obj.maps[name].slots}
    for key in array:
        if key not in replaced:
            try:
                program = array.open(key)
            except (KernelError, NotSupportedError):  # gone meanwhile, or not ours to look at
                continue
            with program:
                callers.check(key, program.name, program.function_type())


def _reaches(site: TailCallSite, array: str, key: int) -> bool:
    maps, keys = site.maps, site.keys
    return (maps is None or array in maps) and (keys is None or key in keys)


def _returned(btf: BTF, function: int) -> tuple[object, ...] | None:
    """What callers count on in r0, to be compared: () for nothing, None for what is unknown."""
    from osmia.btf import Enum, Enum64, Func, FuncProto, Int
    from osmia.btf.c.format import format_type

    found = btf.type(function)
    prototype = btf.type(found.type_id) if isinstance(found, Func) else found
    if not isinstance(prototype, FuncProto):
        return None
    resolved = btf.resolve(prototype.return_type)
    if not resolved:
        return ()
    kind = btf.type(resolved)
    if not isinstance(kind, Int | Enum | Enum64):
        return (format_type(btf, resolved),)
    if kind.size >= _WORD:
        return (kind.size,)
    is_bool = isinstance(kind, Int) and kind.is_bool
    return (kind.size, kind.signed, is_bool)
