"""How things in the kernel are listed: descriptions as dictionaries, one look for all kinds.

A description has bpftool's names, so that it is bpftool's JSON; tables and single things
are made from it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from osmia.cli.output import Output, printable
from osmia.kernel.inventory import holders

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.kernel.inventory.references import Reference

    Description = dict[str, Any]
else:
    Description = dict

#: Holders of a kind that a list names; it counts more than these.
_MOST_NAMED = 3
#: A list reads prog arrays of no more slots: each is a system call.
_MOST_SLOTS = 1024


def show(
    output: Output,
    kind: holders.Kind,
    things: Sequence[Description],
    columns: Mapping[str, str],
    *,
    only: bool,
    pins: bool = False,
    optional: Sequence[str] = (),
) -> None:
    """Print `things`, with who holds them; `columns` has headings and keys of the table, of which
    `optional` are left out first on a narrow terminal.

    `only`: they are what the user asked for by name, and all about them is shown. Pins are in all
    that people read; JSON has them with `pins`, or `only`.
    """
    described = _with_holders(kind, things, pins or only or not output.json, thorough=only)
    if output.json:
        output.document(described[0] if only and len(described) == 1 else described)
    elif only:
        for thing in described:
            _show_one(output, thing)
    else:
        held = [{**thing, "pids": _held_by(thing)} for thing in described]
        rows = ([_text(key, thing.get(key)) for key in columns.values()] for thing in held)
        output.table(list(columns), rows, optional=optional)


def _with_holders(
    kind: holders.Kind, things: Sequence[Description], pins: bool, *, thorough: bool
) -> list[Description]:
    processes = holders.processes()
    pinned = holders.pins() if pins else {}
    referring = _references(kind, thorough=thorough)
    described = []
    for thing in things:
        key = (kind, thing["id"])
        held: Description = {}
        if key in pinned:
            held["pinned"] = pinned[key]
        if key in processes:
            held["pids"] = [{"pid": each.pid, "comm": each.name} for each in processes[key]]
        if references := referring.get(thing["id"]):
            held["held_by"] = {
                f"{kind}s": [each.id for each in references if each.kind == kind]
                for kind in dict.fromkeys(each.kind for each in references)
            }
        described.append({**thing, **held})
    return described


def _references(kind: holders.Kind, *, thorough: bool) -> Mapping[int, Sequence[Reference]]:
    """What in the kernel holds the things of a kind; a list does not read large prog arrays."""
    from osmia.kernel.inventory import references

    if kind == "program":
        return references.holders_of_programs(None if thorough else _MOST_SLOTS)
    return references.holders_of_maps() if kind == "map" else {}


def _held_by(thing: Description) -> list[str]:
    """Who holds a thing, in words: processes, what is in the kernel, pins. Of many of a kind their
    number is enough in a list."""
    held = thing.get("held_by", {})
    if not held and "pids" not in thing and "pinned" not in thing:
        return []
    named = {
        "processes": list(map(_process, thing.get("pids", ()))),
        **{kind: [f"{kind.removesuffix('s')}:{each}" for each in held[kind]] for kind in held},
        "pins": thing.get("pinned", []),
    }
    return [
        word
        for kind, words in named.items()
        for word in (words if len(words) <= _MOST_NAMED else [f"{len(words)} {kind}"])
    ]


def _show_one(output: Output, thing: Description) -> None:
    head = ("id", "type", "name")
    words = [str(thing[key]) for key in head[1:] if thing.get(key)]
    output.line(printable(f"{thing['id']}: {' '.join(words)}"), "bold")
    output.fields({key: _text(key, value) for key, value in thing.items() if key not in head})


def _text(key: str, value: Any) -> object:
    told = _TEXTS.get(key)
    return value if told is None else told(value)


def _process(held: Description) -> str:
    return f"{held['comm']}({held['pid']})"


#: How people read what a description has under some of its names.
_TEXTS: Mapping[str, Callable[[Any], object]] = {
    "pids": lambda held: [each if isinstance(each, str) else _process(each) for each in held or ()],
    "programs": lambda held: [
        f"{each['key']}={each['id']} {each['name'] or ''}".rstrip() for each in held
    ],
    "held_by": lambda held: [f"{kind}: {','.join(map(str, held[kind]))}" for kind in held],
    "loaded_at": cache(lambda moment: time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))),
    "flags": lambda flags: f"{flags:#x}" if flags else None,
}


def wall_clock(boot_time_ns: int) -> int:
    """Seconds since 1970 of a moment that the kernel counts in ns since boot."""
    since = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - boot_time_ns
    return (time.time_ns() - since) // 10**9


def told_program(number: int) -> Description:
    """A program's name, id and tag; the id alone where this process may not open it by its id,
    as with a token, or it is gone since it was listed."""
    from osmia.errors import KernelError
    from osmia.kernel.inventory.full_names import program_name
    from osmia.kernel.programs.info import program_info
    from osmia.kernel.sys import syscall
    from osmia.kernel.sys.fd import FileDescriptor

    try:
        with FileDescriptor(syscall.prog_get_fd_by_id(number), f"program {number}") as fd:
            info = program_info(fd.fileno())
        return {"name": program_name(info), "id": number, "tag": info.tag}
    except KernelError as error:
        if error.errno not in (errno.EPERM, errno.ENOENT):
            raise
    return {"name": None, "id": number, "tag": None}
