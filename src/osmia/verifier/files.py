"""Verifier logs in files, and the objects that they are of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

from osmia.errors import OsmiaError
from osmia.object.model import Object, SourceLine
from osmia.passes.layout import lay_out_program
from osmia.paths import Path
from osmia.verifier.log import LogData, VerifierLog, logs_in
from osmia.verifier.report import Report, report_of

#: As long as a kernel's log may be.
_LONGEST = 1 << 30
_PIECE = 1 << 20


def read_log(path: str | os.PathLike[str]) -> LogData:
    """What a file says, a pipe too. OsmiaError for one of more than a GiB."""
    with Path(path).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if 0 < size <= _LONGEST:
            data = mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)
            filled = 0
            while filled < size and (got := file.readinto(memoryview(data)[filled:])):
                filled += got
            return data
        pieces = []
        while size <= _LONGEST and (piece := file.read(_PIECE)):
            size += len(piece)
            pieces.append(piece)
    if size > _LONGEST:
        raise OsmiaError(f"{os.fspath(path)}: no kernel writes a log of more than 1 GiB")
    return b"".join(pieces)


def reports_of_file(
    path: str | os.PathLike[str], obj: Object | None = None, programs: Sequence[str] = ()
) -> Iterator[Report]:
    """The reports of the logs in a file. `obj` has the functions and source lines; `programs` says
    of which of its programs the logs are, where they do not say it themselves.

    Raises OsmiaError for a file that holds no log, or one of another program.
    """
    found = logs_in(read_log(path))
    if not any(log.slots or log.statistics().processed is not None for _, log in found):
        raise OsmiaError(f"{os.fspath(path)}: this is no verifier log")
    for number, (name, log) in enumerate(found):
        if obj is None:
            yield report_of(log, name)
            continue
        program = name or (programs[number] if number < len(programs) else _only(obj))
        functions, lines = _places(obj, program, log)
        yield report_of(log, program, functions=functions, lines=lines)


def _only(obj: Object) -> str:
    """The object's program, if it has one."""
    if len(obj.programs) != 1:
        names = ", ".join(obj.programs)
        raise OsmiaError(f"the log does not say of which program it is; name it: {names}")
    return next(iter(obj.programs))


def _places(obj: Object, name: str, log: VerifierLog) -> tuple[dict[int, str], list[SourceLine]]:
    from osmia.values.names import unknown_name

    if name not in obj.programs:
        raise OsmiaError(unknown_name(obj.path or obj.name, name, obj.programs))
    layout = lay_out_program(obj, obj.programs[name])
    if max(log.slots, default=0) >= len(layout.code) // 8:
        raise OsmiaError(f"the log is of a longer program than {name!r}: of another object?")
    lines = [
        line._replace(slot=line.slot + slot)
        for slot, function in layout.functions
        for line in obj.source_lines(function)
    ]
    return dict(layout.functions), lines
