"""The running kernel as the target of passes, and descriptors of its modules' BTF."""

from __future__ import annotations

import os

from osmia.btf import BTF, Kind, kernel_btf
from osmia.errors import KernelError, NotSupportedError, RelocationError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import btf_info
from osmia.kernel.sys.fd import FileDescriptor
from osmia.passes.kernel_files import read_symbols
from osmia.paths import Path
from osmia.prepared.asked import AskedKernel
from osmia.tracefs import tracefs

_ENOENT = 2
_KPROBE_EVENTS = "/sys/bus/event_source/devices/kprobe/type"
#: What the kernel's system calls are called, by machine, where they take struct pt_regs.
_SYSCALL_PREFIX = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}


class KernelTarget(AskedKernel):
    """The running kernel with its features, which are probed when asked for."""

    def feature(self, name: str) -> bool:
        """What is given of `LINUX_HAS_…`, else what the kernel shows; False for the rest."""
        self._asked_for_features = True
        if name in self._features:
            return self._features[name]
        match name:
            case "LINUX_HAS_BPF_COOKIE":
                from osmia.kernel.probes import features

                return features.has("BPF cookies")
            case "tail calls in subprograms":
                from osmia.kernel.probes import features

                return features.has(name)
            case "LINUX_HAS_SYSCALL_WRAPPER":
                return _has_kprobes() and _has_syscall_wrapper()
        return False


def kernel_target(btf: BTF | None = None, *, core_btf: BTF | None = None) -> KernelTarget:
    """The running kernel, its features probed when asked; `btf` replaces its types, `core_btf`
    only those for CO-RE (see `Target`)."""
    return KernelTarget(btf=btf, core_btf=core_btf)


def _has_kprobes() -> bool:
    """Without them libbpf, which asks by making a probe, says that there are no wrappers."""
    return Path(_KPROBE_EVENTS).exists() or (tracefs() / "kprobe_events").exists()


def _has_syscall_wrapper() -> bool:
    prefix = _SYSCALL_PREFIX.get(os.uname().machine)
    if prefix is None:
        return False
    try:
        return bool(kernel_btf().find(f"{prefix}bpf", Kind.FUNC))
    except NotSupportedError:
        return f"{prefix}bpf" in read_symbols()


def module_btf_descriptor(name: str) -> FileDescriptor:
    """A descriptor of a loaded module's BTF. RelocationError when there is none."""
    identifier = 0
    while (following := syscall.btf_get_next_id(identifier)) is not None:
        identifier = following
        try:
            fd = FileDescriptor(syscall.btf_get_fd_by_id(identifier), f"BTF of module {name!r}")
        except KernelError as error:
            if error.errno == _ENOENT:  # gone in the meantime
                continue
            raise
        try:
            info = btf_info(fd.fileno())
            if info.is_kernel and info.name == name:
                return fd
        except BaseException:
            fd.close()
            raise
        fd.close()
    raise RelocationError(f"kernel module {name!r} is not loaded or has no BTF")
