"""Taking off what BPF_PROG_ATTACH put on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from osmia.errors import KernelError
from osmia.kernel import syscall
from osmia.kernel.fd import FileDescriptor
from osmia.object.uapi import AttachType

if TYPE_CHECKING:
    from osmia.kernel.programs import Program


def detacher(
    program: Program, target: FileDescriptor, hook: AttachType, what: str
) -> Callable[[], None]:
    """What detaches `program` from `target`, whose descriptor it owns and closes then."""
    # A descriptor of its own: the program may be closed before it is detached.
    attached = FileDescriptor(os.dup(program.fileno()), f"program {program.name!r}")

    def detach() -> None:
        with target, attached:
            try:
                syscall.prog_detach(
                    attached.fileno(),
                    target=target.fileno(),
                    attach_type=hook,
                    what=f"detach {what}",
                )
            except KernelError as error:
                if error.errno != errno.ENOENT:  # somebody else was quicker
                    raise

    return detach
