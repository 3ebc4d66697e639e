"""The process of the test as a struct task_struct of a vm: what the kernel would show of it."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path
from typing import Any

from osmia.vm.engine import Vm

#: The inode of the first PID namespace: there alone processes have the kernel's numbers.
FIRST_NAMESPACE = 0xEFFF_FFFC


def has_kernel_numbers() -> bool:
    """Whether this process knows its numbers as the kernel has them."""
    return Path("/proc/self/ns/pid").stat().st_ino == FIRST_NAMESPACE


def _fields(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _structure(vm: Vm, pid: int, **more: Any) -> Any:
    """A process with its ancestors, up to the first one, whose parent is that of all."""
    known = _fields(pid)
    parent = int(known["PPid"])
    above = _structure(vm, parent) if parent else vm.struct("task_struct")
    number = more.pop("number", pid)
    fields = {"pid": number, "tgid": pid, "comm": known["Name"], "real_parent": above, **more}
    return vm.struct("task_struct", **fields)


def own_task(vm: Vm) -> Any:
    """This thread, as far as programs of the repository read it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = [{"rlim_cur": soft if n == resource.RLIMIT_NOFILE else 0} for n in range(16)]
    groups = len(vm.struct("css_set").subsys)
    return _structure(
        vm,
        os.getpid(),
        number=threading.get_native_id(),
        signal={"rlim": limits},
        cgroups={"subsys": [1] * groups},
    )
