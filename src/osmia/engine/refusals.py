"""How an engine says no: to what it lacks, to options of another engine, to misspelt ones.

An engine declares as data what it cannot do (`lacks`: capability → reason) and which options its
`load` and its programs' `run` take (`options`); the words of the errors stand here.
"""

from __future__ import annotations

from collections.abc import Iterable

from osmia.engine import registry
from osmia.errors import NotSupportedError


def lacking(engine: str, capability: str, what: str) -> NotSupportedError:
    """The error for something that an engine lacks, with the reason that it declares."""
    reason = registry.find(engine).lacks.get(capability, f"the engine {engine!r} cannot do that")
    return NotSupportedError(f"{what}: {reason}", capability=capability)


def refused(engine: str, call: str, name: str, known: Iterable[str]) -> Exception:
    """The error for an option that an engine's `load` or `run` does not take: where another of
    osmia's engines has it NotSupportedError, else TypeError."""
    for other in registry.OWN:
        if other != engine and name in registry.find(other).options[call]:
            words = f"{call}({name}=) is an option of the engine {other!r}, not of {engine!r}"
            return NotSupportedError(words, capability=f"{call}({name}=)")
    return misspelt(f"{call} of the engine {engine!r}", name, known)


def misspelt(call: str, name: str, known: Iterable[str]) -> TypeError:
    """The error for an option that nobody has; it names the nearest."""
    from osmia.values.names import unknown_name

    return TypeError(unknown_name(call, name, known, kind="option "))
