"""Which calls are inlined: as the options `calls` and `tail_calls` of a load say.

A tail call in a subprogram replaces the subprogram: the program goes on behind the call with
what the called program returned. Inlined, it would replace the whole program; so such a
subprogram is inlined only where that is asked for, or where its caller does nothing more
than return what it gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from osmia.errors import RewriteError
from osmia.isa.state import FRAME_SIZE
from osmia.object.frames import frame_sizes
from osmia.object.known_code import known_code
from osmia.object.model import Object, Program
from osmia.passes.call_paths import FRAME_UNIT, call_paths, rounded
from osmia.passes.inline import Call, calls_of, inline, is_last, tail_calling_functions
from osmia.passes.tail_call_sites import has_tail_calls
from osmia.passes.target import Target, UnknownPartError

CallMode: TypeAlias = Literal["keep", "inline", "auto"]
TailCallMode: TypeAlias = Literal["subprogram", "program"]

FEATURE = "tail calls in subprograms"
"""What `Target.feature` is asked: since 5.10 on x86-64, later elsewhere."""
MOST_BELOW = 256
"""So many bytes of its callers' stack, and more, the verifier takes no subprogram that makes
tail calls on top of (check_max_stack_depth in kernel/bpf/verifier.c)."""
_ROUNDED_BEFORE_6_8 = 32


def rewrite_calls(obj: Object, target: Target, calls: CallMode, semantics: TailCallMode) -> Object:
    """`obj` with the calls inlined that the options say; see `osmia.passes.options`.

    RewriteError where what has to be inlined cannot be.
    """
    tailing = tail_calling_functions(obj)
    whole = semantics == "program"
    if whole and tailing:
        obj = inline(obj, lambda call: call.callee in tailing)
        tailing = tail_calling_functions(obj)
    if calls == "inline":
        return _inline_all(obj, target, tailing)
    if calls == "auto" and tailing and not whole:
        return _inline_refused(obj, target, tailing)
    return obj


def _inline_all(obj: Object, target: Target, tailing: set[str]) -> Object:
    """Inline all that can be, but nothing that makes a stack too deep which was not: where a
    function keeps some calls, code that is inlined in it adds to what they have below them."""

    spared: set[str] = set()

    def can_be(call: Call) -> bool:
        return call.caller not in spared and (call.callee not in tailing or is_last(obj, call))

    made = inline(obj, can_be)
    if not tailing or made is obj:
        return made
    before = too_deep(obj, target)
    for _ in range(2):
        deep = too_deep(made, target) - before
        if not deep:
            break
        callers = {call.caller for program in deep for call in _calls_below(obj, program)}
        spared |= callers if spared else callers & tailing
        made = inline(obj, can_be)
    return made


def _inline_refused(obj: Object, target: Target, tailing: set[str]) -> Object:
    """Inline what the kernel would refuse."""
    frames = frame_sizes(known_code(obj, roots=obj.functions.keys()))
    chosen: set[Call] = set()
    for program in obj.programs.values():
        edges = [call for call in _calls_below(obj, program.function) if call.callee in tailing]
        reason = _refused(obj, target, program, frames) if edges and program.autoload else ""
        for call in edges if reason else ():
            if not is_last(obj, call):
                raise RewriteError(
                    f"program {program.name!r}: the kernel takes no tail call in"
                    f" {call.callee!r}, as {reason}; inlined, it would replace"
                    f" {call.caller!r}, too: tail_calls='program' says that this is meant"
                )
            chosen.add(call)
    return inline(obj, chosen.__contains__) if chosen else obj


def _refused(obj: Object, target: Target, program: Program, frames: dict[str, int]) -> str:
    """Why the kernel takes no tail calls in the subprograms of a program; "" if it does."""
    if not target.feature(FEATURE):
        return "it has none in subprograms"
    names = {program.function, *obj.callees(program.function)}
    if obj.btf is None or not all(obj.functions[each].btf_id for each in names):
        return "the object has no types (BTF) of its functions"
    for path, depth in call_paths(obj, program.function, frames, _unit(target)):
        if depth >= MOST_BELOW and has_tail_calls(obj.functions[path[-1]].code, obj.byteorder):
            return f"{' -> '.join(path[:-1])} take {depth} bytes of stack, of less than 256"
    return ""


def too_deep(obj: Object, target: Target) -> set[str]:
    """The entries of programs with more stack than there is, or than may be below a tail call."""
    frames = frame_sizes(known_code(obj, roots=obj.functions.keys()))
    unit = _unit(target)
    found = set()
    for program in obj.programs.values():
        for path, depth in call_paths(obj, program.function, frames, unit):
            own = rounded(frames[path[-1]], unit)
            tails = has_tail_calls(obj.functions[path[-1]].code, obj.byteorder)
            if depth + own > FRAME_SIZE or (tails and depth >= MOST_BELOW):
                found.add(program.function)
                break
    return found


def _unit(target: Target) -> int:
    """What the verifier rounds frames up to."""
    return _ROUNDED_BEFORE_6_8 if _is_before_6_8(target) else FRAME_UNIT


def _is_before_6_8(target: Target) -> bool:
    try:
        return target.version < (6 << 16 | 8 << 8)
    except UnknownPartError:
        return False


def _calls_below(obj: Object, first: str) -> Iterator[Call]:
    for function in (first, *obj.callees(first)):
        if function in obj.functions:
            yield from calls_of(obj, function)
