"""How things in the kernel are listed: descriptions as dictionaries, one look for all kinds.

A description has bpftool's names, so that it is bpftool's JSON; tables and single things
are made from it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from osmia.cli.output import Output, printable
from osmia.kernel.inventory import holders

Description = dict[str, Any]


def show(
    output: Output,
    kind: holders.Kind,
    things: Sequence[Description],
    columns: Mapping[str, str],
    *,
    only: bool,
    pins: bool = False,
) -> None:
    """Print `things`, with who holds them; `columns` has headings and keys of the table.

    `only`: they are what the user asked for by name, and all about them is shown.
    """
    described = _with_holders(kind, things, pins or only)
    if output.json:
        output.document(described[0] if only and len(described) == 1 else described)
    elif only:
        for thing in described:
            _show_one(output, thing)
    else:
        keys = columns if not pins else {**columns, "pinned": "pinned"}
        rows = ([_text(key, thing.get(key)) for key in keys.values()] for thing in described)
        output.table(list(keys), rows)


def _with_holders(
    kind: holders.Kind, things: Sequence[Description], pins: bool
) -> list[Description]:
    processes = holders.processes()
    pinned = holders.pinned() if pins else {}
    described = []
    for thing in things:
        key = (kind, thing["id"])
        held: Description = {}
        if key in pinned:
            held["pinned"] = list(map(str, pinned[key]))
        if key in processes:
            held["pids"] = [{"pid": each.pid, "comm": each.name} for each in processes[key]]
        described.append({**thing, **held})
    return described


def _show_one(output: Output, thing: Description) -> None:
    head = ("id", "type", "name")
    words = [str(thing[key]) for key in head[1:] if thing.get(key)]
    output.line(printable(f"{thing['id']}: {' '.join(words)}"), "bold")
    output.fields({key: _text(key, value) for key, value in thing.items() if key not in head})


def _text(key: str, value: Any) -> object:
    match key:
        case "pids":
            return [f"{each['comm']}({each['pid']})" for each in value or ()]
        case "loaded_at":
            return datetime.fromtimestamp(value).isoformat(" ", "seconds")
        case "flags":
            return f"{value:#x}" if value else None
    return value


def wall_clock(boot_time_ns: int) -> int:
    """Seconds since 1970 of a moment that the kernel counts in ns since boot."""
    since = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - boot_time_ns
    return (time.time_ns() - since) // 10**9


def told_program(number: int) -> Description:
    """A program's name, id and tag; the id alone where this process may not open it by its id,
    as with a token, or it is gone since it was listed."""
    from osmia.errors import KernelError
    from osmia.kernel.programs.program import KernelProgram

    try:
        with KernelProgram.from_id(number) as program:
            return {"name": program.info.name, "id": number, "tag": program.info.tag}
    except KernelError as error:
        if error.errno not in (errno.EPERM, errno.ENOENT):
            raise
    return {"name": None, "id": number, "tag": None}
