"""Probes by what one writes on a command line, and the fields of tracepoints."""

from __future__ import annotations

import re

from osmia.errors import NotSupportedError
from osmia.object.model import Program
from osmia.object.sections import find_section
from osmia.object.uapi import ProgramType
from osmia.tracefs import tracefs

_TYPES = (
    ProgramType.KPROBE,
    ProgramType.TRACEPOINT,
    ProgramType.RAW_TRACEPOINT,
)
_KINDS = "kprobe, kretprobe, ksyscall, uprobe, uretprobe, tracepoint, raw_tp"
_FIELD = re.compile(r"field:.*?(\w+)(?:\[\w*\])?;\s*offset:(\d+);")


def probe_definition(probe: str) -> Program:
    """The program of a probe: "kprobe:vfs_read", "uprobe:/bin/bash:readline", or with "/" for the
    first ":", as section names have it. ValueError for others."""
    prefix = re.split("[:/]", probe, maxsplit=1)[0]
    rest = probe[len(prefix) + 1 :]
    section = f"{prefix}/{rest}"
    found = find_section(section)
    if not rest or found is None or found[0].type not in _TYPES or prefix.startswith("usdt"):
        raise ValueError(f"{probe!r} is no probe: one of {_KINDS}, and behind a colon where")
    definition, target = found
    return Program(
        name="osmia_stacks",
        function="",
        section=section,
        type=definition.type,
        expected_attach_type=definition.attach_type,
        attach_to=target,
        flags=definition.flags,
        auto_attach=True,
    )


def tracepoint_fields(category: str, name: str) -> dict[str, int]:
    """The offsets of a tracepoint's fields, in bytes. NotSupportedError where it is not."""
    path = tracefs() / "events" / category / name / "format"
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise NotSupportedError(f"this kernel has no tracepoint {category}:{name}") from None
    return {found[1]: int(found[2]) for found in _FIELD.finditer(text)}
