"""Attachments by BPF_PROG_ATTACH, which BPF_PROG_DETACH takes off again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack

from osmia.errors import KernelError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import HookLink
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType


def attach_to(
    target: FileDescriptor,
    program: Attachable,
    hook: AttachType,
    what: str,
    attach: Callable[[], None],
) -> HookLink:
    """Attach with `attach()`; what detaches owns `target`, which is closed when that fails too.

    All that detaching takes is there before anything is attached.
    """
    with ExitStack() as undo:
        undo.enter_context(target)
        # A descriptor of its own: the program may be closed before it is detached.
        own = FileDescriptor(os.dup(program.fileno()), f"program {program.name!r}")
        undo.enter_context(own)
        attach()
        undo.pop_all()

    def detach() -> None:
        with target, own:
            try:
                syscall.prog_detach(
                    own.fileno(),
                    target=target.fileno(),
                    attach_type=hook,
                    what=f"detach {what}",
                )
            except KernelError as error:
                if error.errno != errno.ENOENT:  # somebody else was quicker
                    raise

    return HookLink(what, detach)
