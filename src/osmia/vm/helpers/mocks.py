"""Python callables in a helper's place: mocks in tests, helpers that the vm lacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping

from osmia.isa.helper_functions import HelperFunction
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Helper, Invocation


class Mocks(MutableMapping[str, Callable[..., int]]):
    """Callables by helper name; tells when one is set or taken away, for compiled programs
    have decided by then what they call."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._callables: dict[str, Callable[..., int]] = {}
        self._changed = changed

    def __getitem__(self, name: str) -> Callable[..., int]:
        return self._callables[name.removeprefix("bpf_")]

    def __setitem__(self, name: str, function: Callable[..., int]) -> None:
        self._callables[name.removeprefix("bpf_")] = function
        self._changed()

    def __delitem__(self, name: str) -> None:
        del self._callables[name.removeprefix("bpf_")]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._callables)

    def __len__(self) -> int:
        return len(self._callables)


_MASK = 0xFFFF_FFFF_FFFF_FFFF


def mocked(
    name: str, function: Callable[..., int], own: Helper | None, known: HelperFunction | None
) -> Helper:
    """A helper that calls `function` with as many of its arguments as it takes.

    A callable whose first parameter is named `call` is given the Invocation first.
    """
    wants_call, wanted = _parameters(function)
    if own is not None:
        arguments = own.arguments
    else:
        arguments = (Argument.ANY,) * (min(len(known.arguments), 5) if known else wanted)

    def run(invocation: Invocation, *values: int) -> int:
        first = (invocation,) if wants_call else ()
        return int(function(*first, *values[:wanted])) & _MASK

    return Helper(name, arguments, python=run)


def unanswered(name: str) -> Helper:
    """A helper that the vm lacks and nobody answers: who calls it has faulted."""

    def run(invocation: Invocation) -> int:
        raise ProgramFault(f"the vm has no helper bpf_{name}: answer it with helpers[{name!r}]")

    return Helper(name, (), python=run)


def _parameters(function: Callable[..., int]) -> tuple[bool, int]:
    """Whether it wants the Invocation, and how many of r1 to r5."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False, 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False, 5
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wants_call = bool(positional) and positional[0].name == "call"
    return wants_call, min(len(positional) - wants_call, 5)
