"""BPF tokens: the right to load, delegated to a user namespace through a bpffs (since 6.9).

A privileged process creates a bpffs for the user namespace and says with the mount options
`delegate_cmds`, `delegate_maps`, `delegate_progs` and `delegate_attachs` what it delegates
("any", names, or bits). A process in the namespace, with CAP_BPF and so on there, takes a
token of that bpffs; in commands that carry it the kernel looks for capabilities in the user
namespace instead of the initial one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys import attributes, pins, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple
from osmia.object.model import Object
from osmia.object.uapi import AttachType, MapType
from osmia.paths import Path

#: libbpf's environment variable for the bpffs whose token all loads must have.
TOKEN_PATH_VARIABLE = "LIBBPF_BPF_TOKEN_PATH"

_DELEGATE = "delegate_"
_REFUSALS = {
    errno.ENOENT: "it delegates nothing",
    errno.EINVAL: "it is no bpffs, or this kernel has no BPF tokens (Linux 6.9 has)",
    errno.EOPNOTSUPP: "tokens are for user namespaces, and this process is in the initial one",
    errno.EPERM: "it belongs to another user namespace, or this process lacks CAP_BPF in its own",
}
T = TypeVar("T")
_current: ContextVar[int] = ContextVar("token", default=0)


class Delegation(NamedTuple):
    """A bpffs that delegates: where it is mounted, and by mount option ("cmds", "maps",
    "progs", "attachs") the names that the kernel shows, or "any"."""

    path: Path
    allowed: Mapping[str, list[str]]


def delegations() -> Iterator[Delegation]:
    """The mounted bpffs that delegate something, to whatever user namespace they belong."""
    for path, options in pins.bpffs_options():
        given = [option.partition("=") for option in options.split(",")]
        allowed = {
            name.removeprefix(_DELEGATE): value.split(":")
            for name, _, value in given
            if name.startswith(_DELEGATE)
        }
        if allowed:
            yield Delegation(path, allowed)


def open_token(bpffs: str | os.PathLike[str]) -> FileDescriptor:
    """A token of the bpffs mounted at `bpffs`; KernelError when there is none to be had."""
    result = _take(bpffs)
    if result >= 0:
        return FileDescriptor(result, f"BPF token of {os.fspath(bpffs)}")
    kind = BpfPermissionError if result in (-errno.EPERM, -errno.EACCES) else KernelError
    what = f"take a BPF token of '{os.fspath(bpffs)}'"
    raise kind(-result, what, hint=_REFUSALS.get(-result, "") if Path(bpffs).is_dir() else "")


def _take(bpffs: str | os.PathLike[str]) -> int:
    """The descriptor of a token, or a negative errno."""
    try:
        directory = os.open(bpffs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return -(error.errno or 0)
    try:
        return syscall.invoke(
            syscall.Command.TOKEN_CREATE, attributes.TokenCreate(bpffs_fd=directory)
        )
    finally:
        os.close(directory)


def with_token(
    attempt: Callable[[int], T],
    bpffs: str | os.PathLike[str] | None = None,
    obj: Object | None = None,
) -> T:
    """What `attempt` gives, which is called with the descriptor of a token, or with 0.

    `bpffs` is where the token must be had, "" says to do without; None: $LIBBPF_BPF_TOKEN_PATH
    is asked. Where nobody says anything, a refusal is tried again with a token of /sys/fs/bpf,
    if that gives one (libbpf asks for it before each load). BpfPermissionError says what the
    token does not allow of what loading `obj` needs.
    """
    chosen = os.environ.get(TOKEN_PATH_VARIABLE) if bpffs is None else os.fspath(bpffs)
    if chosen:
        return _attempt_with(open_token(chosen), attempt, obj)
    try:
        return attempt(0)
    except BpfPermissionError:
        token = _take(pins.BPFFS) if chosen is None else -1
        if token < 0:
            raise
    return _attempt_with(FileDescriptor(token, f"BPF token of {pins.BPFFS}"), attempt, obj)


@contextmanager
def held_token(bpffs: str | os.PathLike[str] | None = None) -> Iterator[int]:
    """The descriptor of a token that is held meanwhile, of what `bpffs` says as for `with_token`;
    0 where nobody says anything."""
    chosen = os.environ.get(TOKEN_PATH_VARIABLE) if bpffs is None else os.fspath(bpffs)
    if not chosen:
        yield 0
        return
    with open_token(chosen) as token:
        before = _current.set(token.fileno())
        try:
            yield token.fileno()
        finally:
            _current.reset(before)


def _attempt_with(token: FileDescriptor, attempt: Callable[[int], T], obj: Object | None) -> T:
    with token:
        before = _current.set(token.fileno())
        try:
            return attempt(token.fileno())
        except BpfPermissionError as error:
            error.hint = _not_delegated(token, obj) or error.hint
            raise
        finally:
            _current.reset(before)


def current_token() -> int:
    """The token that probes carry: that of the `with_token` around them, or 0."""
    return _current.get()


def _not_delegated(token: FileDescriptor, obj: Object | None) -> str:
    """What loading `obj` needs and the token does not allow, in words of the mount options;
    "" when nothing is missing, or before 6.17, which do not tell."""
    info = attributes.TokenInfo()
    try:
        syscall.obj_get_info(token.fileno(), info)
    except KernelError:
        return ""
    commands = syscall.Command
    needed: dict[str, tuple[int, list[tuple[int, str]]]] = {
        "cmds": (
            info.allowed_cmds,
            [(c, c.name) for c in (commands.MAP_CREATE, commands.BTF_LOAD, commands.PROG_LOAD)],
        )
    }
    if obj is not None:
        programs = [program for program in obj.programs.values() if program.autoload]
        maps = [each.type for each in obj.maps.values() if each.autocreate]
        maps += [MapType.ARRAY for section in obj.data_sections.values() if section.contents]
        hooks = [AttachType(program.expected_attach_type or 0) for program in programs]
        needed["maps"] = info.allowed_maps, [(kind, kind.name) for kind in maps]
        needed["progs"] = info.allowed_progs, [(p.type, p.type.name) for p in programs]
        needed["attachs"] = info.allowed_attachs, [(hook, hook.name) for hook in hooks]
    lacking = [
        f"{_DELEGATE}{option}={':'.join(sorted(names))}"
        for option, (allowed, wanted) in needed.items()
        if (names := {name.lower() for number, name in wanted if not allowed >> number & 1})
    ]
    return f"the {token.what} is without {' '.join(lacking)}" if lacking else ""
