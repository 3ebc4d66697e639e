"""Jump tables in the kernel: an instruction array for each table of a program (since 6.19).

The values are struct bpf_insn_array_value (include/uapi/linux/bpf.h): orig_off, the slot of
a target in the program as it is loaded, and three words that the kernel fills in. An array
must be frozen, and only one program can ever use it.
"""

from __future__ import annotations

import errno
import struct
from contextlib import ExitStack

from osmia.errors import KernelError, NotSupportedError, RelocationError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.jump_tables import JumpTable
from osmia.object.model import Object, RelocationKind
from osmia.object.uapi import MapType
from osmia.passes.layout import ProgramLayout

#: What libbpf calls these maps.
MAP_NAME = ".jumptables"
KEY = struct.Struct("=I")
VALUE = struct.Struct("=IIII")


def create_tables(
    obj: Object, layout: ProgramLayout, descriptors: ExitStack, token_fd: int = 0
) -> dict[str, int]:
    """Make the maps of the jump tables that a program refers to; their descriptors by name.

    `descriptors` closes them: a loaded program holds its maps itself. Raises
    NotSupportedError on kernels before 6.19.
    """
    made: dict[str, int] = {}
    starts = {name: slot for slot, name in layout.functions}
    for relocation in layout.relocations:
        if relocation.kind is not RelocationKind.JUMP_TABLE or relocation.target in made:
            continue
        table = obj.jump_tables.get(relocation.target)
        if table is None or table.function not in starts:
            raise RelocationError(
                f"program {layout.name!r} has no jump table {relocation.target!r}"
            )
        fd = descriptors.enter_context(FileDescriptor(_create(table, token_fd), _what(table)))
        _fill(fd.fileno(), table, starts[table.function])
        made[table.name] = fd.fileno()
    return made


def _what(table: JumpTable) -> str:
    return f"jump table {table.name!r}"


def _create(table: JumpTable, token_fd: int) -> int:
    try:
        return syscall.map_create(
            MapType.INSN_ARRAY,
            key_size=KEY.size,
            value_size=VALUE.size,
            max_entries=len(table.targets),
            name=MAP_NAME,
            token_fd=token_fd,
            what=f"create {_what(table)} of function {table.function!r}",
        )
    except KernelError as error:
        from osmia.kernel.probes import features

        missing = None
        if error.errno in (errno.EINVAL, errno.E2BIG):
            missing = features.missing_map_type(MapType.INSN_ARRAY)
        if missing is None:
            raise
        told = NotSupportedError(
            f"function {table.function!r} has {_what(table)}: {missing}; compile with -mcpu=v3"
            " or -fno-jump-tables to do without"
        )
        told.since = missing.since
        raise told from None


def _fill(fd: int, table: JumpTable, start: int) -> None:
    for index, target in enumerate(table.targets):
        value = VALUE.pack(start + target, 0, 0, 0)
        result = syscall.map_element(
            syscall.Command.MAP_UPDATE_ELEM, fd, key=KEY.pack(index), value=value
        )
        if result:
            command = syscall.Command.MAP_UPDATE_ELEM
            raise syscall.error_of(command, -result, f"fill {_what(table)}")
    syscall.map_freeze(fd, what=f"freeze {_what(table)}")
