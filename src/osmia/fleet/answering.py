"""How a host's error travels: as itself, where it can, and as text in any case."""

from __future__ import annotations

import pickle

from osmia.named_tuples import NamedTuple


class Failure(NamedTuple):
    """The error of a call: its class's name, its text, and itself or None."""

    kind: str
    message: str
    error: bytes | None


def failure_of(error: BaseException) -> Failure:
    """An error as it travels: not all of them come back from pickle."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:
        content = None
    return Failure(type(error).__name__, str(error), content)


def error_of(failure: Failure) -> BaseException | None:
    """The error itself, if it travelled."""
    if failure.error is None:
        return None
    found: BaseException = pickle.loads(failure.error)
    return found
