"""The commands of bpf(2), by name: numbers that know theirs.

No `IntEnum`: importing what makes one takes longer than loading a small program.
"""

from __future__ import annotations

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import ClassVar


class Command(int):
    """enum bpf_cmd, include/uapi/linux/bpf.h as of Linux 7.2: from 0 on, in this order."""

    name: str

    MAP_CREATE: ClassVar[Command]
    MAP_LOOKUP_ELEM: ClassVar[Command]
    MAP_UPDATE_ELEM: ClassVar[Command]
    MAP_DELETE_ELEM: ClassVar[Command]
    MAP_GET_NEXT_KEY: ClassVar[Command]
    PROG_LOAD: ClassVar[Command]
    OBJ_PIN: ClassVar[Command]
    OBJ_GET: ClassVar[Command]
    PROG_ATTACH: ClassVar[Command]
    PROG_DETACH: ClassVar[Command]
    PROG_TEST_RUN: ClassVar[Command]
    PROG_GET_NEXT_ID: ClassVar[Command]
    MAP_GET_NEXT_ID: ClassVar[Command]
    PROG_GET_FD_BY_ID: ClassVar[Command]
    MAP_GET_FD_BY_ID: ClassVar[Command]
    OBJ_GET_INFO_BY_FD: ClassVar[Command]
    PROG_QUERY: ClassVar[Command]
    RAW_TRACEPOINT_OPEN: ClassVar[Command]
    BTF_LOAD: ClassVar[Command]
    BTF_GET_FD_BY_ID: ClassVar[Command]
    TASK_FD_QUERY: ClassVar[Command]
    MAP_LOOKUP_AND_DELETE_ELEM: ClassVar[Command]
    MAP_FREEZE: ClassVar[Command]
    BTF_GET_NEXT_ID: ClassVar[Command]
    MAP_LOOKUP_BATCH: ClassVar[Command]
    MAP_LOOKUP_AND_DELETE_BATCH: ClassVar[Command]
    MAP_UPDATE_BATCH: ClassVar[Command]
    MAP_DELETE_BATCH: ClassVar[Command]
    LINK_CREATE: ClassVar[Command]
    LINK_UPDATE: ClassVar[Command]
    LINK_GET_FD_BY_ID: ClassVar[Command]
    LINK_GET_NEXT_ID: ClassVar[Command]
    ENABLE_STATS: ClassVar[Command]
    ITER_CREATE: ClassVar[Command]
    LINK_DETACH: ClassVar[Command]
    PROG_BIND_MAP: ClassVar[Command]
    TOKEN_CREATE: ClassVar[Command]
    PROG_STREAM_READ_BY_FD: ClassVar[Command]
    PROG_ASSOC_STRUCT_OPS: ClassVar[Command]

    def __repr__(self) -> str:
        return f"<Command.{self.name}: {int(self)}>"


def _commands() -> list[Command]:
    names = [name for name in Command.__annotations__ if name.isupper()]
    made = [Command(number) for number in range(len(names))]
    for command, name in zip(made, names, strict=True):
        command.name = name
        setattr(Command, name, command)
    return made


#: All of them.
COMMANDS = tuple(_commands())
