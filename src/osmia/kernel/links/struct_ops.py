"""struct_ops: a map whose value is a kernel structure of functions, registered as a link."""

from __future__ import annotations

import os
from contextlib import ExitStack

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.kernel.links.link import HookLink, KernelLink
from osmia.kernel.probes import since
from osmia.kernel.probes.features import needs, no_trampolines
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor, HasFileno
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import AttachType

_KEY = bytes(4)


class StructOpsLink(KernelLink):
    """The link of a struct_ops map; `update_map` puts another map's functions in place."""

    def update_map(self, struct_ops: HasFileno) -> None:
        """Replace the functions by those of another map of the same type (since 6.4)."""
        syscall.link_update(self.fileno(), struct_ops.fileno(), what=f"update {self.what}")


@names_wrong_arguments
def attach_struct_ops(struct_ops: HasFileno, name: str = "") -> StructOpsLink:
    """Register the value of a struct_ops map made with BPF_F_LINK (since 6.4).

    The value has to be written to the map before (key 0).
    """
    what = f"struct_ops {name!r}"
    with needs("6.4", "struct_ops links"):
        fd = syscall.link_create(
            struct_ops.fileno(), attach_type=AttachType.STRUCT_OPS, what=f"attach {what}"
        )
    return StructOpsLink(FileDescriptor(fd), what)


def register_struct_ops(struct_ops: HasFileno, value: bytes, name: str = "") -> Link:
    """Register by writing the value to a map made without BPF_F_LINK (since 5.6).

    The registration lasts until `detach` deletes the value again.
    """
    what = f"struct_ops {name!r}"
    with ExitStack() as undo:
        # A descriptor of its own: the map may be closed before it is unregistered.
        registered = FileDescriptor(os.dup(struct_ops.fileno()), what)
        undo.enter_context(registered)
        register_for_good(registered, value, name)
        undo.pop_all()

    def unregister() -> None:
        with registered:
            unregister_struct_ops(registered, name)

    return HookLink(what, unregister)


def register_for_good(struct_ops: HasFileno, value: bytes, name: str = "") -> None:
    """Register as `register_struct_ops` does, until somebody unregisters it by the map."""
    fd = struct_ops.fileno()
    error = -syscall.map_element(Command.MAP_UPDATE_ELEM, fd, key=_KEY, value=value)
    if error > 0:
        refused = syscall.error_of(Command.MAP_UPDATE_ELEM, error, f"register struct_ops {name!r}")
        raise no_trampolines(refused, since.trampolines())


def unregister_struct_ops(struct_ops: HasFileno, name: str = "") -> None:
    """Unregister what was registered without a link. KernelError ENOENT when it was not."""
    fd = struct_ops.fileno()
    error = -syscall.map_element(Command.MAP_DELETE_ELEM, fd, key=_KEY)
    if error > 0:
        raise syscall.error_of(Command.MAP_DELETE_ELEM, error, f"unregister struct_ops {name!r}")
