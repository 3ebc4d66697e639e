"""Names of C++ and Rust functions as their sources have them, where osmia[symbols] is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache

_PREFIXES = ("_Z", "__Z", "_R")
#: Longer names, and names that refer back to their own parts more often, stay as they are: a
#: few hundred bytes can stand for gigabytes.
_LONGEST = 4096
_MOST_REFERENCES = 32
_REFERENCE = re.compile(r"S[0-9A-Z]*_|T[0-9]*_|B[0-9A-Za-z]*_")


@lru_cache(maxsize=1 << 16)
def demangled(name: str) -> str:
    """A name as people read it; a name that is not mangled, or by rules unknown, as it is."""
    if not name.startswith(_PREFIXES) or len(name) > _LONGEST:
        return name
    demangle = _demangler()
    if demangle is None or len(_REFERENCE.findall(name)) > _MOST_REFERENCES:
        return name
    return demangle(name)[:_LONGEST] or name


@cache
def _demangler() -> Callable[[str], str] | None:
    try:
        from pydemumble import demangle
    except ImportError:
        return None
    found: Callable[[str], str] = demangle
    return found
