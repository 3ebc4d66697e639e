"""What this kernel can do: probes for types, helpers and abilities, asked once a process.

Each probe does the smallest real thing (a program of two instructions, a map of one
entry) and looks at how the kernel answers. Nothing is attached to anything, but for a moment to
`bpf_fentry_test1`, which test runs alone call: only that tells whether there are trampolines.
Where the kernel refuses for lack of privileges a probe raises BpfPermissionError: it cannot know.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from osmia.errors import BpfPermissionError, KernelError, NotSupportedError
from osmia.kernel.probes import since
from osmia.kernel.sys.token import current_token
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramType
from osmia.records import dataclass
from osmia.values.names import unknown_name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that a kernel has or lacks; `since` is the first Linux that has it.

    `supported` is None where a BPF token does not permit to ask.
    """

    name: str
    since: str
    supported: bool | None


@cache
def kernel_version() -> tuple[int, int, int]:
    """The running kernel's version, as uname tells it."""
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", os.uname().release)
    major, minor, patch = numbers.groups("0") if numbers else ("0", "0", "0")
    return int(major), int(minor), int(patch)


def kernel_is_older_than(version: str) -> bool:
    """Whether the running kernel's number is below `version`, e.g. "6.6"."""
    return kernel_version()[:2] < tuple(int(part) for part in version.split("."))


@cache
def has_program_type(program_type: ProgramType) -> bool:
    """Whether programs of this type load here at all."""
    from osmia.kernel.probes import feature_probes

    return feature_probes.program_type(program_type)


@cache
def has_map_type(map_type: MapType) -> bool:
    """Whether maps of this type can be created here."""
    from osmia.kernel.probes import feature_probes

    return feature_probes.map_type(map_type)


@cache
def has_attach_type(attach_type: AttachType) -> bool:
    """Whether programs can be attached with this attach type."""
    from osmia.kernel.probes import attach_probes

    return attach_probes.attach_type(attach_type)


@cache
def has_link_type(link_type: LinkType) -> bool:
    """Whether attachments of this kind are links (descriptors that can be pinned)."""
    from osmia.kernel.probes import attach_probes

    return attach_probes.link_type(link_type)


@cache
def has_helper(program_type: ProgramType, helper: str | int) -> bool:
    """Whether programs of this type may call the helper, given by name or number.

    NotSupportedError when the type itself does not load here. KeyError for a name that
    no helper has.
    """
    from osmia.isa.helper_functions import HELPERS, helper_id  # a long table that few need

    number = helper if isinstance(helper, int) else helper_id(helper)
    if not number:
        names = [each.name for each in HELPERS.values()]
        raise KeyError(unknown_name("the kernel", helper, names, kind="helper "))
    if not has_program_type(program_type):
        raise missing(f"{program_type.name} programs", since.PROGRAM_TYPES.get(program_type))
    from osmia.kernel.probes import feature_probes

    return feature_probes.helper(program_type, number)


@cache
def has(name: str) -> bool:
    """Whether the kernel has one of the abilities in `ABILITIES`, by name."""
    from osmia.kernel.probes import ability_probes

    return ability_probes.ABILITIES[name].probe()


def program_types() -> Iterator[Feature]:
    """All program types."""
    for program_type, version in since.PROGRAM_TYPES.items():
        yield Feature(program_type.name, version, _known(has_program_type, program_type))


def map_types() -> Iterator[Feature]:
    """All map types."""
    for map_type, version in since.MAP_TYPES.items():
        yield Feature(map_type.name, version, _known(has_map_type, map_type))


def attach_types() -> Iterator[Feature]:
    """All attach types."""
    for attach_type in since.ATTACH_TYPES:
        version = since.attach_type(attach_type)
        yield Feature(attach_type.name, version, _known(has_attach_type, attach_type))


def link_types() -> Iterator[Feature]:
    """All kinds of links."""
    for link_type, version in since.LINK_TYPES.items():
        yield Feature(link_type.name, version, _known(has_link_type, link_type))


def helpers(program_type: ProgramType) -> Iterator[Feature]:
    """All helpers, and whether programs of this type may call them."""
    from osmia.isa.helper_functions import HELPERS

    for number, function in HELPERS.items():
        yield Feature(function.name, function.since, has_helper(program_type, number))


def abilities() -> Iterator[Feature]:
    """Everything that is no type: instruction sets, loops, BTF kinds, commands …"""
    from osmia.kernel.probes import ability_probes

    for name, ability in ability_probes.ABILITIES.items():
        yield Feature(name, ability.since, _known(has, name))


def _known(ask: Callable[[T], bool], what: T) -> bool | None:
    """The answer; None where it is the token that falls short, and not the whole process."""
    try:
        return ask(what)
    except BpfPermissionError:
        if not current_token():
            raise
        return None


def missing(what: str, version: str | None, *, doing: str = "") -> NotSupportedError:
    """The error for something that this kernel lacks, though its number may be new enough;
    `doing` is what failed for that, "attach …"."""
    lacks = f"this kernel ({os.uname().release}) has no {what}"
    if doing:
        lacks = f"cannot {doing}: {lacks}"
    if version is None or kernel_is_older_than(version):
        return NotSupportedError(lacks, since=version)
    return NotSupportedError(
        f"{lacks}: it has them since {version}, but this one is built or configured without"
    )


def missing_program_type(program_type: ProgramType | int) -> NotSupportedError | None:
    """The error for a program type that this kernel lacks, None when it has it."""
    if not isinstance(program_type, ProgramType) or program_type is ProgramType.UNSPEC:
        return NotSupportedError(f"no kernel known to osmia has program type {program_type}")
    if has_program_type(program_type):
        return None
    return missing(f"{program_type.name} programs", since.PROGRAM_TYPES[program_type])


def missing_map_type(map_type: MapType | int) -> NotSupportedError | None:
    """The error for a map type that this kernel lacks, None when it has it."""
    if not isinstance(map_type, MapType) or map_type is MapType.UNSPEC:
        return NotSupportedError(f"no kernel known to osmia has map type {map_type}")
    return (
        None
        if has_map_type(map_type)
        else missing(f"{map_type.name} maps", since.MAP_TYPES[map_type])
    )


def missing_attach_type(attach_type: AttachType | int) -> NotSupportedError | None:
    """The error for an attach type that this kernel lacks, None when it has it."""
    if not isinstance(attach_type, AttachType) or has_attach_type(attach_type):
        return None
    return missing(f"attach type {attach_type.name}", since.attach_type(attach_type))


def no_trampolines(error: KernelError, version: str) -> KernelError | NotSupportedError:
    """What to raise for an attachment by a BPF trampoline: the bare ENOTSUP of a kernel that
    cannot make one there gets its reason. `version`: the first that can, on this machine."""
    if error.errno != errno.EOPNOTSUPP:
        return error
    return missing("BPF trampolines for that", version, doing=error.what)


@contextmanager
def needs(version: str, what: str) -> Iterator[None]:
    """Around a system call: say which kernel has it when an older one refuses.

    An old kernel answers EINVAL (or E2BIG, EOPNOTSUPP, ENOSYS) to what it does not know;
    on a kernel that is new enough such an error passes as it is.
    """
    try:
        yield
    except KernelError as error:
        unknown = (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, errno.ENOSYS)
        if error.errno in unknown and kernel_is_older_than(version):
            message = f"cannot {error.what}: this kernel ({os.uname().release}) has no {what}"
            raise NotSupportedError(message, since=version) from None
        raise


def forget() -> None:
    """Drop the answers, for example after privileges changed."""
    from osmia.kernel.probes import attach_probes

    caches: tuple[Any, ...] = (
        has_program_type,
        has_map_type,
        has_attach_type,
        has_link_type,
        has_helper,
        has,
        attach_probes.trampolines_attach,
    )
    for cached in caches:
        cached.cache_clear()
