"""Programs in the kernel's own code: raw and BTF tracepoints, fentry, fexit, fmod_ret, LSM,
and programs that replace a function of another program (freplace)."""

from __future__ import annotations

import errno

from osmia.arguments import names_wrong_arguments
from osmia.errors import KernelError, RelocationError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.probes import since
from osmia.kernel.probes.features import needs, no_trampolines
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import LinkTargetBtfOptions, LinkTracingOptions
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType

_AGAIN = "load it again to attach it again"


@names_wrong_arguments
def attach_raw_tracepoint(program: Attachable, name: str, *, cookie: int = 0) -> KernelLink:
    """Attach to a tracepoint without the stable argument layout, by its name without
    category: "sched_switch" (since 4.17). `cookie`: since 6.10.
    """
    what = f"program {program.name!r} on raw tracepoint {name}"
    version, thing = ("6.10", "raw tracepoint cookies") if cookie else ("4.17", "raw tracepoints")
    try:
        with needs(version, thing):
            fd = syscall.raw_tracepoint_open(
                program.fileno(), name=name, cookie=cookie, what=f"attach {what}"
            )
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        hint = f"there is no tracepoint {name!r}"
        raise KernelError(errno.ENOENT, error.what, hint=hint) from None
    return KernelLink(FileDescriptor(fd), what)


@names_wrong_arguments
def attach_tracing(program: Attachable, *, cookie: int = 0) -> KernelLink:
    """Attach a tp_btf, fentry, fexit, fmod_ret or LSM program where it was loaded for.

    Since 5.5 (fmod_ret, LSM: 5.7; on arm64 all but tp_btf: 6.4). `cookie`: since 5.19 (tp_btf:
    6.10).
    """
    what = f"program {program.name!r} on {_place(program)}"
    try:
        fd = _open_with_cookie(program, what, cookie) if cookie else _open(program, what, _AGAIN)
    except KernelError as error:
        kind = program.expected_attach_type
        if kind not in since.TRAMPOLINES:
            raise
        raise no_trampolines(error, since.attach_type(AttachType(kind))) from None
    return KernelLink(FileDescriptor(fd), what)


def _open_with_cookie(program: Attachable, what: str, cookie: int) -> int:
    with needs("5.19", "cookies of tracing programs"):
        return syscall.link_create(
            program.fileno(),
            attach_type=program.expected_attach_type or 0,
            options=LinkTracingOptions(cookie=cookie),
            what=f"attach {what}",
        )


def _place(program: Attachable) -> str:
    """What the program was loaded for, as the object file says it."""
    said = program.definition
    if said is None or not said.attach_to:
        return "what it traces"
    return f"{said.section.lstrip('?').partition('/')[0]} of {said.attach_to}"


def _open(program: Attachable, what: str, again: str) -> int:
    """Attach where the program was loaded for. The kernel forgets another program's function
    when the first attachment to it is made: EINVAL, should that be gone."""
    try:
        return syscall.raw_tracepoint_open(program.fileno(), what=f"attach {what}")
    except KernelError as error:
        if error.errno == errno.EINVAL:
            error.hint = f"if it was attached to another program, and detached: {again}"
        raise


@names_wrong_arguments
def attach_freplace(
    program: Attachable, target: Attachable | None = None, function: str = ""
) -> KernelLink:
    """Put the program in the place of a global function of another program (since 5.6).

    Without arguments: of the one that it was loaded for. With `target` and the name of
    a `function` of it: of another one with the same signature (since 5.10). On arm64 since 6.0.
    """
    try:
        return _freplace(program, target, function)
    except KernelError as error:
        raise no_trampolines(error, since.trampolines()) from None


def _freplace(program: Attachable, target: Attachable | None, function: str) -> KernelLink:
    if target is None:
        said = program.definition
        named = f"{said.attach_to!r}" if said and said.attach_to else "the function"
        what = f"program {program.name!r} in place of {named} that it was loaded for"
        fd = _open(program, what, "say target= and function= to attach it again")
        return KernelLink(FileDescriptor(fd), what)
    what = f"program {program.name!r} in place of {function!r} of program {target.name!r}"
    with needs("5.10", "freplace of further programs"):
        fd = syscall.link_create(
            program.fileno(),
            target=target.fileno(),
            attach_type=0,
            options=LinkTargetBtfOptions(target_btf_id=_function_id(target, function)),
            what=f"attach {what}",
        )
    return KernelLink(FileDescriptor(fd), what)


def _function_id(target: Attachable, function: str) -> int:
    from osmia.btf import Kind

    btf = target.btf()
    found = btf.find(function, Kind.FUNC) if btf is not None else 0
    if not found:
        raise RelocationError(f"program {target.name!r} has no function {function!r} in its BTF")
    return found
