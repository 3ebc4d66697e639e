"""Cgroups: programs on what the processes of a control group (v2) do."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from functools import partial

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.links.order import LinkId, Place, ProgramId
from osmia.kernel.links.prog_attach import attach_to
from osmia.kernel.probes import since
from osmia.kernel.probes.features import needs, no_trampolines
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType, ProgramType

#: How programs of one hook share it with those of other cgroups, without links
#: (BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI).
_LEGACY = {"exclusive": 0, "override": 1, "multi": 2}

#: For types that have one hook only; the others say it at load.
_ONLY_HOOK = {
    ProgramType.SOCK_OPS: AttachType.CGROUP_SOCK_OPS,
    ProgramType.CGROUP_DEVICE: AttachType.CGROUP_DEVICE,
    ProgramType.CGROUP_SYSCTL: AttachType.CGROUP_SYSCTL,
    ProgramType.CGROUP_SOCK: AttachType.CGROUP_INET_SOCK_CREATE,
}


@names_wrong_arguments
def attach_cgroup(
    program: Attachable,
    cgroup: str | os.PathLike[str] | int,
    attach_type: AttachType | None = None,
    *,
    before: Attachable | Link | ProgramId | LinkId | None = None,
    after: Attachable | Link | ProgramId | LinkId | None = None,
    first: bool = False,
    last: bool = False,
    expected_revision: int = 0,
    legacy: str = "",
) -> Link:
    """Attach to a cgroup, given as a directory of cgroup v2 or a descriptor of one.

    `attach_type` may be left out when the program was loaded for one. A link (since 5.7)
    is made unless `legacy` says "exclusive", "override" or "multi": then the program is
    attached by BPF_PROG_ATTACH, and stays beyond this process when nobody detaches it.
    Kernels before 5.7 get "multi". `before` … `expected_revision` since 6.17: see `Place`;
    a link's neighbours are given as links.
    """
    if legacy and legacy not in _LEGACY:
        raise ValueError(f"legacy is one of {', '.join(map(repr, _LEGACY))}, not {legacy!r}")
    hook = _hook(program, attach_type)
    place = Place(before, after, first, last, expected_revision)
    what = f"program {program.name!r} on {hook.name.lower()} of cgroup {_words(cgroup)}"
    with ExitStack() as undo:
        directory = undo.enter_context(_open(cgroup))
        if not legacy:
            link = _link(program, directory, hook, place, what)
            if link is not None:
                return link
        if place.given:
            raise NotSupportedError("an order on cgroups needs a link", since="6.17")
        undo.pop_all()
    flags = _LEGACY[legacy or "multi"]
    attach = partial(_attach, program, directory, hook, flags, what)
    return attach_to(directory, program, hook, what, attach)


def attach_for_good(
    program: Attachable,
    cgroup: str | os.PathLike[str] | int,
    attach_type: AttachType,
    sharing: str = "exclusive",
) -> None:
    """Attach without a link: until `detach_cgroup`, or the cgroup is gone (since 4.10).

    `sharing`: whether cgroups below may have programs of their own on this hook instead
    ("override") or as well ("multi").
    """
    what = f"program {program.name!r} on {attach_type.name.lower()} of cgroup {_words(cgroup)}"
    with _open(cgroup) as directory:
        _attach(program, directory, attach_type, _LEGACY[sharing], what)


def detach_cgroup(
    program: Attachable, cgroup: str | os.PathLike[str] | int, attach_type: AttachType
) -> None:
    """Take off what was attached without a link; KernelError ENOENT when it is not there."""
    what = f"program {program.name!r} from {attach_type.name.lower()} of cgroup {_words(cgroup)}"
    with _open(cgroup) as directory:
        try:
            syscall.prog_detach(
                program.fileno(),
                target=directory.fileno(),
                attach_type=attach_type,
                what=f"detach {what}",
            )
        except KernelError as error:
            raise _explained(error, attach_type) from None


def _hook(program: Attachable, attach_type: AttachType | None) -> AttachType:
    if attach_type is not None:
        return attach_type
    if program.expected_attach_type is not None:
        return AttachType(program.expected_attach_type)
    found = _ONLY_HOOK.get(program.type) if isinstance(program.type, ProgramType) else None
    if found is None:
        raise ValueError(
            f"program {program.name!r} does not say which hook of the cgroup it is for; "
            "give the attach type"
        )
    return found


def _open(cgroup: str | os.PathLike[str] | int) -> FileDescriptor:
    if isinstance(cgroup, int):
        return FileDescriptor(os.dup(cgroup), "cgroup")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return FileDescriptor(os.open(cgroup, flags), f"cgroup {_words(cgroup)}")
    except OSError as error:
        raise KernelError(error.errno or 0, f"open cgroup {_words(cgroup)}") from None


def _words(cgroup: str | os.PathLike[str] | int) -> str:
    return f"at descriptor {cgroup}" if isinstance(cgroup, int) else os.fspath(cgroup)


def _link(
    program: Attachable, directory: FileDescriptor, hook: AttachType, place: Place, what: str
) -> KernelLink | None:
    """A link, or None on a kernel without cgroup links."""
    try:
        with needs("6.17" if place.given else "5.7", "this kind of cgroup links"):
            fd = syscall.link_create(
                program.fileno(),
                target=directory.fileno(),
                attach_type=hook,
                flags=place.flags,
                options=place.options if place.given else None,
                what=f"attach {what}",
            )
    except NotSupportedError:
        if place.given:
            raise
        return None
    except KernelError as error:
        raise _explained(error, hook) from None
    return KernelLink(FileDescriptor(fd), what)


def _attach(
    program: Attachable, directory: FileDescriptor, hook: AttachType, flags: int, what: str
) -> None:
    try:
        syscall.prog_attach(
            program.fileno(),
            target=directory.fileno(),
            attach_type=hook,
            flags=flags,
            what=f"attach {what}",
        )
    except KernelError as error:
        raise _explained(error, hook) from None


def _explained(error: KernelError, hook: AttachType) -> KernelError | NotSupportedError:
    if hook in since.TRAMPOLINES and error.errno == errno.EOPNOTSUPP:
        return no_trampolines(error, since.attach_type(hook))
    if error.errno == errno.ENOENT:
        hint = "it is not attached there, or by a link (osmia link detach)"
        return KernelError(errno.ENOENT, error.what, hint=hint)
    if error.errno == errno.EBADF:
        hint = "the directory is not one of a cgroup v2 file system"
        return KernelError(errno.EBADF, error.what, hint=hint)
    if error.errno == errno.EPERM:
        hint = "a program that is attached here or above lets no other one in"
        return type(error)(errno.EPERM, error.what, hint=f"{hint}; {error.hint}".rstrip("; "))
    return error
