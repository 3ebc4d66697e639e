"""A kernel without BPF trampolines, or with older kinds of links only: errors say what it lacks.

What the kernel answers is made up here: on the kernels that this runs on, most of it is there.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Callable, Iterator

import pytest

from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.links import attach_freplace, attach_tracing, attach_uprobe_multi
from osmia.kernel.links.multi import attach_kprobe_multi
from osmia.kernel.links.struct_ops import register_for_good
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType, ProgramType

Make = Callable[[ProgramType, AttachType | None], KernelProgram]


@pytest.fixture
def made() -> Iterator[Make]:
    """No program of the kernel's, but one that says it is of this type."""
    programs: list[KernelProgram] = []

    def make(kind: ProgramType, expected: AttachType | None) -> KernelProgram:
        nothing = FileDescriptor(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "program")
        programs.append(KernelProgram(nothing, type=kind, name="p", expected_attach_type=expected))
        return programs[-1]

    yield make
    for program in programs:
        program.close()


@pytest.fixture
def refuses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make this a kernel of a version, on a machine, that refuses attachments with an errno."""

    def set_up(number: int, version: tuple[int, int], machine: str) -> None:
        def refuse(*_: object, what: str = "attach", **__: object) -> int:
            raise KernelError(number, what)

        for call in ("raw_tracepoint_open", "link_create", "prog_attach"):
            monkeypatch.setattr(syscall, call, refuse)
        monkeypatch.setattr(syscall, "map_element", lambda *_, **__: -number)
        monkeypatch.setattr(features, "kernel_version", lambda: (*version, 0))
        monkeypatch.setattr(platform, "machine", lambda: machine)

    return set_up


TRAMPOLINES = [
    (ProgramType.TRACING, AttachType.TRACE_FENTRY),
    (ProgramType.TRACING, AttachType.TRACE_FEXIT),
    (ProgramType.TRACING, AttachType.MODIFY_RETURN),
    (ProgramType.LSM, AttachType.LSM_MAC),
]


@pytest.mark.parametrize(("kind", "expected"), TRAMPOLINES)
@pytest.mark.parametrize("cookie", [0, 7])
def test_arm64_before_6_4_has_no_trampolines_in_its_own_functions(
    kind: ProgramType,
    expected: AttachType,
    cookie: int,
    made: Make,
    refuses: Callable[..., None],
) -> None:
    refuses(errno.EOPNOTSUPP, (6, 1), "aarch64")
    with pytest.raises(NotSupportedError, match="no BPF trampolines") as caught:
        attach_tracing(made(kind, expected), cookie=cookie)
    assert caught.value.since == "6.4"
    assert str(caught.value).startswith("cannot attach program 'p' on ")


def test_a_new_kernel_without_trampolines_was_built_so(
    made: Make, refuses: Callable[..., None]
) -> None:
    refuses(errno.EOPNOTSUPP, (6, 12), "aarch64")
    with pytest.raises(NotSupportedError, match=r"since 6\.4, but this one is built"):
        attach_tracing(made(ProgramType.TRACING, AttachType.TRACE_FENTRY))


def test_programs_of_a_cgroup_hook_of_the_lsm_need_them_too(
    made: Make, refuses: Callable[..., None]
) -> None:
    refuses(errno.EOPNOTSUPP, (6, 1), "aarch64")
    program = made(ProgramType.LSM, AttachType.LSM_CGROUP)
    with pytest.raises(NotSupportedError, match="no BPF trampolines") as caught:
        program.attach("/")
    assert caught.value.since == "6.4"


def test_arm64_before_6_0_replaces_no_functions_and_has_no_struct_ops(
    made: Make, refuses: Callable[..., None]
) -> None:
    refuses(errno.EOPNOTSUPP, (5, 15), "aarch64")
    extension = made(ProgramType.EXT, None)
    for attempt in (
        lambda: attach_freplace(extension),
        lambda: register_for_good(extension, bytes(8), "ops"),
    ):
        with pytest.raises(NotSupportedError, match="no BPF trampolines") as caught:
            attempt()
        assert caught.value.since == "6.0"


def test_other_refusals_stay_what_they_are(made: Make, refuses: Callable[..., None]) -> None:
    refuses(errno.EBUSY, (6, 1), "aarch64")
    with pytest.raises(KernelError) as caught:
        attach_tracing(made(ProgramType.TRACING, AttachType.TRACE_FENTRY))
    assert caught.value.errno == errno.EBUSY


def test_a_session_is_what_a_kernel_lacks_that_has_multi_links(
    made: Make, refuses: Callable[..., None]
) -> None:
    refuses(errno.EINVAL, (6, 9), "x86_64")
    uprobe = made(ProgramType.KPROBE, AttachType.TRACE_UPROBE_SESSION)
    with pytest.raises(NotSupportedError, match=r"no uprobe\.session links") as caught:
        attach_uprobe_multi(uprobe, "libc", ["getpid"])
    assert caught.value.since == "6.13"
    kprobe = made(ProgramType.KPROBE, AttachType.TRACE_KPROBE_SESSION)
    with pytest.raises(NotSupportedError, match=r"no kprobe\.session links") as caught:
        attach_kprobe_multi(kprobe, ["vfs_read"])
    assert caught.value.since == "6.10"


def test_a_kernel_without_uprobes_says_so(made: Make, refuses: Callable[..., None]) -> None:
    refuses(errno.EOPNOTSUPP, (6, 12), "x86_64")
    uprobe = made(ProgramType.KPROBE, AttachType.TRACE_UPROBE_MULTI)
    with pytest.raises(NotSupportedError, match=r"no uprobe\.multi links: it has them since 6\.6"):
        attach_uprobe_multi(uprobe, "libc", ["getpid"])
