"""Feature probes agree with what the kernel does, and name the version that has a thing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.probes import attach_probes, features, since
from osmia.kernel.sys import syscall
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramType

pytestmark = pytest.mark.kernel


def test_every_type_has_a_version() -> None:
    assert set(since.PROGRAM_TYPES) == set(ProgramType) - {ProgramType.UNSPEC}
    assert set(since.MAP_TYPES) == set(MapType) - {MapType.UNSPEC}
    assert set(since.LINK_TYPES) == set(LinkType) - {LinkType.UNSPEC}
    assert set(since.ATTACH_TYPES) == set(AttachType)


def test_this_kernel_has_what_every_kernel_of_the_decade_has() -> None:
    assert features.has_program_type(ProgramType.XDP)
    assert features.has_program_type(ProgramType.SOCKET_FILTER)
    assert features.has_map_type(MapType.HASH)
    assert features.has_map_type(MapType.RINGBUF)
    assert features.has_attach_type(AttachType.CGROUP_INET_INGRESS)
    assert features.has_link_type(LinkType.XDP)
    assert features.has("BPF cookies")
    assert features.has("bounded loops")


def found_but_newer_than_the_kernel() -> list[features.Feature]:
    """Backports are possible in principle; not in the kernels that this suite runs on."""
    listings = (
        features.program_types,
        features.map_types,
        features.attach_types,
        features.link_types,
        features.abilities,
    )
    return [
        feature
        for listing in listings
        for feature in listing()
        if feature.supported and features.kernel_is_older_than(feature.since)
    ]


def test_nothing_newer_than_the_kernel_is_found() -> None:
    assert found_but_newer_than_the_kernel() == []


@pytest.mark.second_kernel
def test_nothing_newer_than_the_second_kernel_is_found() -> None:
    assert found_but_newer_than_the_kernel() == []


def probe_everything() -> None:
    for listing in (
        features.program_types,
        features.map_types,
        features.attach_types,
        features.link_types,
        features.abilities,
    ):
        assert list(listing())


def test_probes_leave_nothing() -> None:
    probe_everything()  # opens the kernel's BTF once and for all
    before = list(Path("/proc/self/fd").iterdir())
    features.forget()
    probe_everything()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


@pytest.mark.parametrize(
    ("program_type", "helper", "may_call"),
    [
        (ProgramType.XDP, "bpf_xdp_adjust_head", True),
        (ProgramType.XDP, "bpf_skb_load_bytes", False),
        (ProgramType.SCHED_CLS, "skb_load_bytes", True),
        (ProgramType.SCHED_CLS, "bpf_sys_bpf", False),
        (ProgramType.SYSCALL, "bpf_sys_bpf", True),
        (ProgramType.SYSCALL, "bpf_xdp_adjust_head", False),
        (ProgramType.TRACING, "bpf_get_current_task_btf", True),
    ],
)
def test_helpers_belong_to_program_types(
    program_type: ProgramType, helper: str, may_call: bool
) -> None:
    assert features.has_helper(program_type, helper) is may_call


def test_an_unknown_helper_is_refused() -> None:
    with pytest.raises(KeyError, match="no_such"):
        features.has_helper(ProgramType.XDP, "bpf_no_such")


def test_a_missing_type_names_the_version() -> None:
    error = features.missing("NETFILTER programs", "99.1")
    assert error.since == "99.1"
    assert "has no NETFILTER programs (needs Linux 99.1 or newer)" in str(error)


def test_a_type_that_only_the_configuration_lacks_says_that() -> None:
    assert "built or configured without" in str(features.missing("netkit", "3.19"))


def test_an_old_kernels_einval_becomes_not_supported() -> None:
    with (
        pytest.raises(NotSupportedError, match="has no time travel") as caught,
        features.needs("99.1", "time travel"),
    ):
        raise KernelError(22, "travel")
    assert caught.value.since == "99.1"


def test_a_new_kernels_einval_stays_what_it_is() -> None:
    with pytest.raises(KernelError), features.needs("3.19", "time travel"):
        raise KernelError(22, "travel")


def test_loading_a_type_that_the_kernel_lacks_says_since_when() -> None:
    from osmia.kernel.programs.program import KernelProgram

    with pytest.raises(NotSupportedError, match="program type 999"):
        KernelProgram.load(999, bytes.fromhex("b7000000000000009500000000000000"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[KernelError | None]]:
    """A kernel that loads every program, and takes its answers to attachments from this list:
    None attaches. Descriptors are those of a file."""
    answers: list[KernelError | None] = []

    def opens(*_: object, **__: object) -> tuple[int, int]:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0

    def attaches(*_: object, **__: object) -> int:
        if (answer := answers.pop(0)) is not None:
            raise answer
        return opens()[0]

    monkeypatch.setattr(syscall, "prog_load", opens)
    monkeypatch.setattr(syscall, "raw_tracepoint_open", attaches)
    monkeypatch.setattr(attach_probes, "kernel_btf_id", lambda name: 1)
    features.forget()
    yield answers
    features.forget()


KINDS = ("TRACE_FENTRY", "TRACE_FEXIT", "MODIFY_RETURN", "LSM_MAC", "LSM_CGROUP")


@pytest.mark.parametrize(
    ("refusal", "there"),
    [(0, True), (errno.EOPNOTSUPP, False), (errno.EBUSY, True), (errno.EPERM, True)],
)
def test_trampolines_that_load_are_tried_once_before_they_are_said_to_be_there(
    refusal: int, there: bool, answers: list[KernelError | None]
) -> None:
    """arm64 before 6.4 loads them, and attaching is ENOTSUP."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    answers.append(KernelError(refusal, "attach") if refusal else None)
    found = [features.has_attach_type(AttachType[kind]) for kind in KINDS]
    assert found == [there] * len(KINDS)
    assert answers == []
    assert features.has_attach_type(AttachType.TRACE_RAW_TP)  # which needs no trampoline
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_versions_of_trampolines_are_this_machines() -> None:
    assert since.attach_type(AttachType.TRACE_FENTRY, "x86_64") == "5.5"
    assert since.attach_type(AttachType.TRACE_FENTRY, "aarch64") == "6.4"
    assert since.attach_type(AttachType.LSM_CGROUP, "aarch64") == "6.4"
    assert since.attach_type(AttachType.TRACE_FSESSION, "aarch64") == "7.0"
    assert since.attach_type(AttachType.TRACE_RAW_TP, "aarch64") == "5.5"
    assert (since.trampolines("x86_64"), since.trampolines("aarch64")) == ("5.6", "6.0")


@pytest.mark.second_kernel
def test_what_the_second_kernel_is_for_is_found_there() -> None:
    trampolines = not features.kernel_is_older_than(since.attach_type(AttachType.TRACE_FENTRY))
    assert features.has_attach_type(AttachType.TRACE_FENTRY) is trampolines
    assert features.has_attach_type(AttachType.LSM_MAC) is trampolines
    assert features.has_attach_type(AttachType.MODIFY_RETURN) is trampolines
    assert features.has_program_type(ProgramType.EXT)
    for version, there in (
        ("6.6", features.has_attach_type(AttachType.TCX_INGRESS)),
        ("6.9", features.has_map_type(MapType.ARENA)),
    ):
        assert there is not features.kernel_is_older_than(version)
    assert not features.has_program_type(ProgramType.NETFILTER)


def test_netkit_is_probed_against_the_kernels_configuration() -> None:
    configured = Path("/proc/config.gz")
    if not configured.exists():
        pytest.skip("this kernel does not show its configuration")
    import gzip

    has_netkit = b"CONFIG_NETKIT=y" in gzip.decompress(configured.read_bytes())
    assert features.has_attach_type(AttachType.NETKIT_PRIMARY) == has_netkit
