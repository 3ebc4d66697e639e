"""What programs hang on cgroups, hook by hook."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.mounts import mounted
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import AttachType

#: BPF_F_QUERY_EFFECTIVE: those of the cgroups above, too.
_EFFECTIVE = 1
_SHARING = {0: "exclusive", 1: "override", 2: "multi"}

#: The hooks that cgroups have.
HOOKS = tuple(kind for kind in AttachType if kind.name.startswith(("CGROUP_", "LSM_CGROUP")))


class CgroupProgram(NamedTuple):
    """A program on a cgroup's hook; `sharing` is what it leaves to cgroups below
    ("exclusive", "override", "multi"), "" where the kernel does not tell."""

    hook: AttachType
    program_id: int
    sharing: str


def cgroup_programs(
    cgroup: str | os.PathLike[str], *, effective: bool = False
) -> list[CgroupProgram]:
    """What is attached to a cgroup (v2 directory), in the order in which it runs (since 4.15).

    `effective`: also what cgroups above have attached to it. KernelError for a directory
    that is no cgroup's.
    """
    what = f"query cgroup {os.fspath(cgroup)}"
    try:
        number = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(error.errno or 0, what) from None
    with FileDescriptor(number, what) as directory:
        return [each for hook in HOOKS for each in _on(directory, hook, effective, what)]


def cgroup_root() -> Path:
    """Where cgroup v2 is mounted. NotSupportedError when it is not."""
    for place, _options in mounted("cgroup2"):
        return place
    raise NotSupportedError("no cgroup v2 is mounted: mount -t cgroup2 none DIRECTORY")


def cgroup_tree(
    root: str | os.PathLike[str], *, effective: bool = False
) -> Iterator[tuple[Path, list[CgroupProgram]]]:
    """`root` and the cgroups below it that have programs, from the top."""
    for directory, below, _files in os.walk(root):
        below.sort()
        try:
            found = cgroup_programs(directory, effective=effective)
        except KernelError as error:
            if error.errno == errno.ENOENT:  # removed meanwhile
                continue
            raise
        if found:
            yield Path(directory), found


def _on(
    directory: FileDescriptor, hook: AttachType, effective: bool, what: str
) -> list[CgroupProgram]:
    # Programs of the LSM are told with the flags of each alone, or effective.
    each_has_flags = hook is AttachType.LSM_CGROUP and not effective
    try:
        found = syscall.prog_query(
            target=directory.fileno(),
            attach_type=hook,
            flags=_EFFECTIVE if effective else 0,
            want_flags=each_has_flags,
            what=f"{what} for {hook.name.lower()}",
        )
    except KernelError as error:
        if error.errno == errno.EINVAL:  # a hook that this kernel lacks
            return []
        if error.errno == errno.EBADF:
            hint = "the directory is not one of a cgroup v2 file system"
            raise KernelError(errno.EBADF, what, hint=hint) from None
        raise
    if each_has_flags:
        own = (_SHARING.get(flags, "") for flags in found.prog_flags)
        return [CgroupProgram(hook, *each) for each in zip(found.prog_ids, own, strict=True)]
    sharing = "" if effective else _SHARING.get(found.attach_flags, "")
    return [CgroupProgram(hook, identifier, sharing) for identifier in found.prog_ids]
