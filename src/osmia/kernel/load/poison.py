"""What an impossible call in a verifier log stands for, in words.

Where a pass had no answer the code has a call that no kernel knows, which does no harm
unless it can be reached. If it can, the verifier says "invalid func unknown#195896080";
the pass has left word of what is missing there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from osmia.errors import VerifierError
from osmia.object.model import Unresolved

_CALL = re.compile(r"^(\d+): \(85\) call unknown#\d+", re.MULTILINE)


def explained(error: VerifierError, unresolved: Iterable[Unresolved]) -> VerifierError:
    """`error`, or one that says what is missing when the log ends at an impossible call.

    `unresolved` are those of the program that was loaded.
    """
    slots = _CALL.findall(error.log)
    if not slots or "invalid func unknown#" not in error.log:
        return error
    last = 8 * int(slots[-1])
    words = next((what for offset, what in unresolved if offset == last), "")
    if not words:
        return error
    place, _, _ = error.summary.rpartition(": invalid func unknown#")
    summary = f"{place}: {words}" if place else words
    if error.hint:
        summary = f"{summary} ({error.hint})"
    return VerifierError(
        error.errno or 0,
        error.program,
        summary,
        error.log,
        error.tail,
        kind=error.kind,
        hint=error.hint,
    )
