"""The task that runs, for programs in a vm: what the helpers on it answer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from osmia.errors import CodecError
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.vm.helpers import Invocation

NAME_SIZE = 16
"""Bytes of a task's name (TASK_COMM_LEN)."""


@dataclass(frozen=True)
class Identity:
    """Whose a task is: user, group, control group."""

    uid: int
    gid: int
    cgroup: int


class RunningTask:
    """A task and its identity; `task` is its struct task_struct, whose fields are looked at when a
    program asks. Without one, `fields` says what they would be."""

    def __init__(self, task: Any, fields: dict[str, Any], identity: Identity) -> None:
        self.task = task
        self._fields = fields
        self._identity = identity

    def answers(self) -> dict[str, Callable[..., int]]:
        """The helpers on the running task, by name."""
        answers: dict[str, Callable[..., int]] = {
            "get_current_pid_tgid": self._pid_tgid,
            "get_current_uid_gid": lambda: self._identity.gid << 32 | self._identity.uid,
            "get_current_comm": self._write_name,
            "get_current_cgroup_id": lambda: self._identity.cgroup,
            "get_ns_current_pid_tgid": self._write_numbers,
        }
        if self.task is not None:
            answers["get_current_task"] = answers["get_current_task_btf"] = lambda: int(self.task)
        return answers

    def _field(self, name: str) -> Any:
        return self._fields[name] if self.task is None else self.task[name]

    def _pid_tgid(self) -> int:
        return int(self._field("tgid")) << 32 | int(self._field("pid"))

    def _write_name(self, call: Invocation, buffer: int, size: int) -> int:
        size &= 0xFFFF_FFFF
        name = str(self._field("comm")).encode()[: min(size, NAME_SIZE) - 1]
        if size:
            call.zero(buffer, size)
            call.write(buffer, name.ljust(min(size, NAME_SIZE), b"\0"))
        return 0

    def _write_numbers(
        self, call: Invocation, device: int, inode: int, buffer: int, size: int
    ) -> int:
        call.write(buffer, struct.pack("<II", self._field("pid"), self._field("tgid")))
        return 0


def running(
    vm: Any, task: Any, comm: str, pid: int, tgid: int | None, identity: Identity
) -> RunningTask:
    """A task as a test says that it is; a struct task_struct is made where the vm has that type."""
    fields = {"comm": comm, "pid": pid, "tgid": pid if tgid is None else tgid}
    if task is None:
        owner = {"uid": identity.uid, "gid": identity.gid}
        owner |= {"euid": identity.uid, "egid": identity.gid}
        try:
            task = vm.struct("task_struct", cred=owner, real_cred=owner, **fields)
        except CodecError:
            if len(comm.encode()) >= NAME_SIZE:
                raise CodecError(f"comm={comm!r}: a name has up to 15 bytes") from None
    return RunningTask(task, fields, identity)
