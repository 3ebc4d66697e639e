"""Python callables in a helper's place: mocks in tests, helpers that the vm lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from functools import cache
from itertools import pairwise

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
    if own is not None:
        arguments = own.arguments
    elif known is not None:
        arguments = arguments_of(known)
    else:
        arguments = (Argument.ANY,) * _parameters(function)[1]
    return Helper(name, arguments, python=lambda call, *values: answer(function, call, values))


def answer(function: Callable[..., int], call: Invocation, values: Sequence[int]) -> int:
    """What a Python callable answers to a call with these arguments."""
    wants_call, wanted = _parameters(function)
    first = (call,) if wants_call else ()
    return int(function(*first, *values[:wanted])) & _MASK


def unanswered(name: str, kind: str) -> Helper:
    """A helper or kfunc that the vm lacks and nobody answers: who calls it has faulted."""
    key = name.removeprefix("bpf_")

    def run(invocation: Invocation) -> int:
        raise ProgramFault(f"the vm has no {kind} {name}: answer it with helpers[{key!r}]")

    return Helper(key, (), python=run)


_CONTEXTS = frozenset(
    f"struct {name} *"
    for name in (
        *("__sk_buff", "xdp_md", "bpf_sock_ops", "bpf_sock_addr", "bpf_sysctl", "sk_msg_md"),
        *("sk_reuseport_md", "bpf_perf_event_data", "pt_regs"),
    )
)


@cache
def arguments_of(known: HelperFunction) -> tuple[Argument, ...]:
    """What strict mode checks of a helper that the vm lacks, by its prototype: what the vm has
    is in the table."""
    given = known.arguments[:5]
    found: list[Argument] = []
    for (kind, name), (_, following) in pairwise((*given, ("", ""))):
        if kind == "struct bpf_map *":
            found.append(Argument.MAP)
        elif name == "key" and Argument.MAP in found:
            found.append(Argument.KEY)
        elif kind in _CONTEXTS and not found:
            found.append(Argument.CONTEXT)
        elif kind.endswith("*") and any(word in following for word in ("size", "len", "sz")):
            found.append(Argument.READ if kind.startswith("const ") else Argument.MEMORY)
        else:
            found.append(Argument.ANY)
    return tuple(found)


def _parameters(function: Callable[..., int]) -> tuple[bool, int]:
    """Whether it wants the Invocation, and how many of r1 to r5."""
    import inspect  # nobody needs it before there is a mock

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False, 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False, 5
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wants_call = bool(positional) and positional[0].name == "call"
    return wants_call, min(len(positional) - wants_call, 5)
