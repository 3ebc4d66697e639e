"""Logs of Dask's workers without what maps, events and arguments hold.

Dask logs the arguments and the error's text of each task or call that fails, and what could not be
serialized. Who asked is told all of it; a host's log says which one failed, with what kind of
error, and where.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

#: Loggers that say what was computed or sent, rather than who came and went.
_LOGGERS = (
    "distributed.worker",
    "distributed.core",
    "distributed.utils",
    "distributed.comm.utils",
    "distributed.protocol.core",
    "distributed.protocol.pickle",
)
#: How messages begin whose arguments are contents, and how many of them in front are not.
_CONTENTS = {
    "Compute Failed": 2,  # key, state
    "Run Failed": 1,  # the function's name
    "Failed to serialize": 0,
    "Failed to deserialize": 0,
    "Unserializable Message": 0,
    "truncated data stream": 1,
    "odd message": 0,
}


def redact_logs() -> None:
    """Have this process's loggers of Dask say no contents; again is the same."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_redacted)  # the same one is added once


def _redacted(record: logging.LogRecord) -> bool:
    """Let a record through, without contents."""
    if isinstance(record.msg, BaseException):
        record.msg, record.args = type(record.msg).__name__, ()
    elif record.args:
        # A mapping that is the one argument is `args` itself (see logging.LogRecord).
        given = record.args if isinstance(record.args, tuple) else (record.args,)
        for begin, kept in _CONTENTS.items():
            if str(record.msg).startswith(begin):
                record.args = (*given[:kept], *map(_kind, given[kept:]))
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, where = record.exc_info
        record.exc_text = "".join([*traceback.format_tb(where), kind.__name__])
        record.exc_info = None
    return True


def _kind(value: Any) -> str:
    """What may be said of contents: the class of an error's text, the frames of a traceback's."""
    if not isinstance(value, str):
        return f"({type(value).__name__})"
    if value.lstrip().startswith("File "):
        return value
    name = value.partition("(")[0]
    return name if name.isidentifier() else "(not shown)"
