"""Listing what is in the kernel finds what was made, and survives what vanishes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from osmia.errors import KernelError
from osmia.kernel.inventory import iterate
from osmia.kernel.links import attach_xdp
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.object.uapi import AttachType, ProgramType

from ..conftest import Counter, Network

pytestmark = pytest.mark.kernel

Make = Callable[..., KernelProgram]


def test_a_loaded_program_is_listed_with_its_information(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2, name="listed")
    assert program.info in list(iterate.programs())
    assert program.id in iterate.program_ids()


def test_a_map_is_listed(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.XDP, 2)
    (identifier,) = program.info.map_ids
    found = {info.id: info for info in iterate.maps()}
    assert found[identifier].name == "counter"


def test_a_link_is_listed(returning: Make, network: Network) -> None:
    with attach_xdp(returning(ProgramType.XDP, 2, AttachType.XDP), "left") as link:
        assert link.info in list(iterate.links())
        assert link.id in iterate.link_ids()


def test_the_kernels_own_btf_is_listed() -> None:
    assert "vmlinux" in {info.name for info in iterate.btfs() if info.is_kernel}
    assert sorted(iterate.btf_ids()) == list(iterate.btf_ids())


def test_an_object_that_vanishes_meanwhile_is_left_out(
    returning: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = returning(ProgramType.XDP, 2).id
    real = syscall.prog_get_fd_by_id

    def vanishing(identifier: int) -> int:
        if identifier == gone:
            raise KernelError(errno.ENOENT, f"open program {identifier}")
        return real(identifier)

    monkeypatch.setattr(syscall, "prog_get_fd_by_id", vanishing)
    assert gone not in {info.id for info in iterate.programs()}


def test_a_generator_given_up_halfway_leaves_no_descriptor(returning: Make) -> None:
    returning(ProgramType.XDP, 2)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    generator: Any = iterate.programs()
    next(generator)
    generator.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
