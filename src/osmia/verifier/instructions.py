"""What an instruction reads and writes, from the verifier's text of it."""

from __future__ import annotations

import re

from osmia.named_tuples import NamedTuple

_ASSIGN = re.compile(r"[rw](\d+) (\S{0,3}?)= (.+)")
_STORE = re.compile(r"(?:lock )?\*\([us](\d+) \*\)\(r(\d+) ([+-]?\d+)\) (\S?)= (.+)")
_LOAD = re.compile(r"\*\([us](\d+) \*\)\(r(\d+) ([+-]?\d+)\)")
_ATOMIC = re.compile(r"\w+\(\([us](\d+) \*\)\(r(\d+) ([+-]?\d+)\)")
_REGISTER = re.compile(r"\b[rw](\d{1,2})\b")
_GOTO = re.compile(r"(?:goto|gotol|may_goto|goto_or_nop) pc([+-]\d+)")
_CALL = re.compile(r"call pc([+-]\d+)")


class Effect(NamedTuple):
    """`kind` is one of: copy, constant, arithmetic, load, store, call, jump, exit, other. `writes`
    is a register, -1 for none; `reads` are registers. Loads and stores have a base register, an
    offset and a size in bytes."""

    kind: str
    writes: int = -1
    reads: tuple[int, ...] = ()
    base: int = -1
    offset: int = 0
    size: int = 0


def effect(text: str) -> Effect:
    """What the instruction does: `r4 = *(u8 *)(r4 +0)` and the verifier's other spellings."""
    if text.startswith(("call", "callx")):
        return Effect("call", 0, (1, 2, 3, 4, 5))
    if text == "exit":
        return Effect("exit", reads=(0,))
    if text.startswith(("if ", "goto", "may_goto")):
        return Effect("jump", reads=_registers(text))
    assigned = _ASSIGN.fullmatch(text)
    if assigned is not None:
        return _assignment(int(assigned[1]), assigned[2], assigned[3])
    stored = _STORE.match(text)
    if stored is not None:
        size, base, offset = int(stored[1]) // 8, int(stored[2]), int(stored[3])
        return Effect("store", -1, (*_registers(stored[5]), base), base, offset, size)
    return Effect("other", reads=_registers(text))


def target(slot: int, text: str) -> int | None:
    """Where a jump with a condition, or without, goes."""
    found = _GOTO.search(text)
    return slot + 1 + int(found[1]) if found else None


def way_of(slot: int, text: str, following: int) -> str:
    """The way that a jump went, if `following` came after it."""
    return "taken" if following == target(slot, text) else "not taken"


def callee(slot: int, text: str) -> int | None:
    """The first slot of the function that is called, if it is one of the program's."""
    found = _CALL.match(text)
    return slot + 1 + int(found[1]) if found else None


def _assignment(register: int, operator: str, value: str) -> Effect:
    if operator:
        return Effect("arithmetic", register, tuple(dict.fromkeys((register, *_registers(value)))))
    loaded = _LOAD.fullmatch(value)
    if loaded is not None:
        size, base, offset = int(loaded[1]) // 8, int(loaded[2]), int(loaded[3])
        return Effect("load", register, (base,), base, offset, size)
    atomic = _ATOMIC.match(value)
    if atomic is not None:
        size, base, offset = int(atomic[1]) // 8, int(atomic[2]), int(atomic[3])
        return Effect("load", register, (base,), base, offset, size)
    used = _registers(value)
    if not used:
        return Effect("constant", register)
    plain = re.fullmatch(r"(?:\(s\d+\))?[rw]\d+", value) is not None
    return Effect("copy" if plain else "arithmetic", register, used)


def _registers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(each) for each in _REGISTER.findall(text)))
