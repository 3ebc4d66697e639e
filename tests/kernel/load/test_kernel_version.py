"""The version that kernels before 5.0 compare with their own when they load kprobe programs."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.isa import assemble
from osmia.kernel.load.target import KernelTarget
from osmia.kernel.sys import syscall
from osmia.object.model import Function, Object, Program
from osmia.object.uapi import ProgramType
from osmia.passes.running import running_version
from osmia.passes.target import Target

pytestmark = pytest.mark.kernel

OLD = 4 << 16 | 19 << 8 | 7


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The versions that bpf(2) is told, load by load."""
    versions: list[int] = []
    load = syscall.prog_load

    def noting(*arguments: Any, **named: Any) -> tuple[int, int]:
        versions.append(named["kern_version"])
        return load(*arguments, **named)

    monkeypatch.setattr(syscall, "prog_load", noting)
    return versions


def returning(kind: ProgramType, kernel_version: int = 0) -> Object:
    code = assemble("r0 = 0\nexit")
    return Object(
        "object",
        license="GPL",
        kernel_version=kernel_version,
        functions={"p": Function("p", "section", code)},
        programs={"p": Program("p", "p", "section", kind)},
    )


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        (ProgramType.KPROBE, 0, OLD),
        (ProgramType.KPROBE, 0x010203, 0x010203),  # the object's own, from its section "version"
        (ProgramType.XDP, 0, 0),
        (ProgramType.XDP, 0x010203, 0x010203),
    ],
)
def test_kprobe_programs_are_loaded_with_the_kernels_version(
    told: list[int], kind: ProgramType, said: int, expected: int
) -> None:
    returning(kind, said).load(target=KernelTarget(version=OLD)).close()
    assert told == [expected]


def test_another_machine_to_resolve_against_does_not_change_what_this_kernel_is_told(
    told: list[int],
) -> None:
    for target in (Target(version=OLD), Target(), None):
        returning(ProgramType.KPROBE).load(target=target).close()
    assert told == [running_version()] * 3
