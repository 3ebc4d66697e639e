"""The list of programs, and all about one: what `osmia prog list` prints."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.cli.listings import Description, show, wall_clock
from osmia.cli.output import Output, enum_name
from osmia.cli.targets import only_target, program_infos
from osmia.errors import OsmiaError
from osmia.kernel.inventory.full_names import program_name
from osmia.kernel.programs.info import ProgramInfo, locked_memory
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor

_COLUMNS = {
    "id": "id",
    "type": "type",
    "name": "name",
    "tag": "tag",
    "xlated": "bytes_xlated",
    "jited": "bytes_jited",
    "maps": "map_ids",
    "loaded": "loaded_at",
    "held by": "pids",
}
#: What a narrow terminal does without.
_OPTIONAL = ("xlated", "jited", "loaded", "maps")


def list_programs(output: Output, words: Sequence[str], pins: bool) -> None:
    """All programs; with words, all about those that these name. `pins`: look for them for JSON,
    too."""
    infos = program_infos(only_target(words) if words else None)
    things = list(map(describe, infos))
    if output.json or words:
        things = [{**thing, **_memory(thing["id"])} for thing in things]
    show(output, "program", things, _COLUMNS, only=bool(words), pins=pins, optional=_OPTIONAL)


def describe(info: ProgramInfo) -> Description:
    """A program as bpftool's JSON has it."""
    described: Description = {
        "id": info.id,
        "type": enum_name(info.type),
        "name": program_name(info),
        "tag": info.tag,
        "gpl_compatible": info.gpl_compatible,
        "loaded_at": wall_clock(info.load_time),
        "uid": info.uid,
        "orphaned": False,  # who is tells nothing about itself
        "bytes_xlated": info.xlated_len,
        "jited": info.jited_len > 0,
        "bytes_jited": info.jited_len,
        "map_ids": list(info.map_ids),
    }
    optional = {
        "btf_id": info.btf_id,
        "attach_btf_obj_id": info.attach_btf_obj_id,
        "attach_btf_id": info.attach_btf_id,
        "run_time_ns": info.run_time_ns,
        "run_cnt": info.run_cnt,
        "recursion_misses": info.recursion_misses,
        "verified_insns": info.verified_insns,
        "ifindex": info.ifindex,
    }
    return described | {name: value for name, value in optional.items() if value}


def _memory(number: int) -> Description:
    """What the kernel keeps a program in; nothing where it does not say."""
    try:
        with FileDescriptor(syscall.prog_get_fd_by_id(number), f"program {number}") as fd:
            memory = locked_memory(fd.fileno())
    except OsmiaError:
        return {}
    return {"bytes_memlock": memory} if memory else {}
