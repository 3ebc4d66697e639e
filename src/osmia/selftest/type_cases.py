"""Cases about the kernel's types, configuration and symbols."""

from __future__ import annotations

import os
import subprocess

from osmia.kernel.probes.features import kernel_is_older_than, kernel_version
from osmia.selftest.runner import Case, Skip, Workbench

_SOURCE = "types.bpf.c"


def _fields(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "fields")
    bpf.programs["fields"].run()
    bench.equal(bpf.data["tgid"], os.getpid(), "this process's number")
    bench.equal(bpf.data["parent"], os.getppid(), "its parent's, through a pointer")


def _questions(bench: Workbench) -> None:
    from osmia.btf import Kind, Struct, kernel_btf

    btf = kernel_btf()
    task = btf.type(btf.find("task_struct", Kind.STRUCT))
    assert isinstance(task, Struct)
    bpf = bench.load(_SOURCE, "questions")
    bpf.programs["questions"].run()
    data = bpf.data
    for name, expected in {
        "has_pid": 1,
        "has_odd": 0,
        "pid_size": 4,
        "has_type": 1,
        "has_no_type": 0,
        "matches": 1,
        "task_size": task.size,
        "has_value": 1,
        "has_no_value": 0,
        "value": 27,  # BPF_MAP_TYPE_RINGBUF
    }.items():
        bench.equal(data[name], expected, name)
    offsets = {member.name: member.bit_offset // 8 for member in task.members}
    if "pid" in offsets:
        bench.equal(data["offset"], offsets["pid"], "the offset of task_struct.pid")


def _configuration(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "configuration")
    bpf.programs["configuration"].run()
    major, minor, _ = kernel_version()
    bench.equal(bpf.data["version"] >> 8, major << 8 | minor, "LINUX_KERNEL_VERSION")
    bench.equal(bpf.data["unknown"], 0, "a weak option that no kernel has")


def _symbols(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "symbols")
    bpf.programs["symbols"].run()
    bench.true(bpf.data["address"] >> 63, "schedule has an address in the kernel's half")
    bench.equal(bpf.data["no_address"], 0, "a weak symbol that no kernel has")


def _kernel_functions(bench: Workbench) -> None:
    if kernel_is_older_than("6.2"):
        raise Skip("bpf_task_from_pid needs Linux 6.2 or newer")
    bpf = bench.load("kfuncs.bpf.c")
    with bpf.programs["kernel_functions"].attach():
        subprocess.run(["true"], check=True)
    bench.equal(bpf.data["found"], 1, "the task that bpf_task_from_pid found")


def _iterator(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "list_tasks")
    with bpf.programs["list_tasks"].attach() as link:
        numbers = [int(line.split()[0]) for line in link.read().splitlines()]
    bench.true(os.getpid() in numbers, "this process is among the tasks")


CASES = (
    Case("core-fields", "members found where this kernel has them", _fields),
    Case("core-questions", "existence, sizes, offsets, enumerators", _questions),
    Case("kconfig", "the kernel's version and configuration", _configuration),
    Case("ksyms", "addresses of kernel symbols", _symbols),
    Case(
        "kfuncs", "functions of the kernel, and a weak one that is missing (6.2)", _kernel_functions
    ),
    Case("iterator", "the kernel's tasks as text (5.8)", _iterator),
)
