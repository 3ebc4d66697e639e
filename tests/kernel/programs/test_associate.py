"""Programs associated with a struct_ops: what is asked of the kernel, and what old ones say."""

from __future__ import annotations

import os

import pytest

from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.probes.features import kernel_is_older_than
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import MapType, ProgramType

pytestmark = pytest.mark.kernel

RETURN_ZERO = bytes.fromhex("b7000000000000009500000000000000")


def test_the_program_and_the_map_are_those_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(
        syscall, "prog_assoc_struct_ops", lambda *given, what: asked.append((*given, what))
    )
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    with (
        KernelProgram.load(ProgramType.SYSCALL, RETURN_ZERO, name="p", flags=1 << 4) as program,
        FileDescriptor(null, "a map") as ops,
    ):
        program.associate_struct_ops(ops)
        assert asked == [
            (program.fileno(), ops.fileno(), "associate a struct_ops with program 'p'")
        ]


def test_maps_that_are_no_struct_ops_are_refused() -> None:
    fd = syscall.map_create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    with (
        FileDescriptor(fd, "array") as array,
        KernelProgram.load(ProgramType.SYSCALL, RETURN_ZERO, name="p", flags=1 << 4) as program,
    ):
        if kernel_is_older_than("7.0"):
            with pytest.raises(NotSupportedError, match=r"7\.0"):
                program.associate_struct_ops(array)
        else:
            with pytest.raises(KernelError, match="EINVAL"):
                program.associate_struct_ops(array)
