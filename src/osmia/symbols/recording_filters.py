"""Whose stacks are counted: code that leaves a program for what is not asked for."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from osmia.errors import OsmiaError
from osmia.records import dataclass


@dataclass(frozen=True)
class Filters:
    """What is counted: threads of a process (`pid`), of a control group and those below it
    (`cgroup`, a directory of cgroup v2), on some `cpus`; 0, "" and none: all."""

    pid: int = 0
    cgroup: str = ""
    cpus: Collection[int] = ()

    def code(self, out: str, *, cpus: bool = True) -> list[str]:
        """Leave for `out` when the current thread is not asked for; without `cpus` whatever the
        CPU is. OsmiaError for what is no control group of version 2."""
        lines = []
        if self.pid:
            lines += [
                "call bpf_get_current_pid_tgid",
                "r0 >>= 32",
                f"if r0 != {self.pid} goto {out}",
            ]
        if self.cgroup:
            level, identifier = _cgroup(self.cgroup)
            lines += [
                f"r1 = {level}",
                "call bpf_get_current_ancestor_cgroup_id",
                f"r1 = {identifier} ll",
                f"if r0 != r1 goto {out}",
            ]
        if cpus and self.cpus:
            lines.append("call bpf_get_smp_processor_id")
            lines += [f"if r0 == {cpu} goto right_cpu" for cpu in sorted(self.cpus)]
            lines += [f"goto {out}", "right_cpu: r1 = 0"]
        return lines

    def __str__(self) -> str:
        parts = [f"process {self.pid}"] if self.pid else []
        parts += [f"cgroup {self.cgroup}"] if self.cgroup else []
        if self.cpus:
            several = "CPUs" if len(self.cpus) > 1 else "CPU"
            parts.append(f"{several} {', '.join(map(str, sorted(self.cpus)))}")
        return ", ".join(parts)


def _cgroup(directory: str) -> tuple[int, int]:
    """How deep a control group is in its tree, and its id."""
    path = Path(directory).resolve()
    for mount, root in _cgroup_mounts():
        if path.is_relative_to(mount):
            level = len(root.parts) - 1 + len(path.relative_to(mount).parts)
            try:
                return level, os.stat(path).st_ino  # noqa: PTH116
            except FileNotFoundError:
                raise OsmiaError(f"there is no control group {directory}") from None
    raise OsmiaError(f"{directory} is no control group (a directory of cgroup v2)")


def _cgroup_mounts() -> list[tuple[Path, Path]]:
    """Where cgroup v2 is mounted, and which group is seen there."""
    mounts = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            _, _, _, root, place, *_ = before.split(" ")
            mounts.append((Path(place), Path(root)))
    return mounts
