"""The machine that an object is made ready for: types, symbols, configuration, version.

Loads ask the running kernel (`Target.running()`). A `Target` of one's own stands for another
machine: it knows what it is told and nothing of the kernel that runs here, so that an object
is made ready in the same way everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from osmia.arguments import names_wrong_arguments
from osmia.btf import BTF, Kind
from osmia.errors import RelocationError
from osmia.paths import Path

if TYPE_CHECKING:
    from osmia.passes.running import RunningKernel

PathLike = str | os.PathLike[str]

#: What system calls are called in kernels where they take struct pt_regs.
_SYSCALL_PREFIXES = ("__x64_sys_", "__arm64_sys_", "__s390x_sys_", "__riscv_sys_")
_COOKIES_SINCE = 5 << 16 | 15 << 8
_SUBPROGRAM_TAIL_CALLS_SINCE = 5 << 16 | 10 << 8


class UnknownPartError(RelocationError):
    """A part of a machine was asked for that its target does not tell."""


class Target:
    """What passes ask about a machine.

    `btf` has the kernel's types and `modules` those of each module by its name, in the order
    in which they are searched (none given: none loaded). `core_btf` is for CO-RE alone, as
    libbpf's `btf_custom_path` is: externs and what programs attach to are still `btf`'s.
    `symbols` are addresses, `config` values as the file has them ("CONFIG_HZ": "250"),
    `version` is LINUX_VERSION_CODE. `features` answers for `LINUX_HAS_…` externs and for "tail
    calls in subprograms"; what it does not say follows from the version, types and symbols.

    A part that is asked for and was not given is an UnknownPartError, a RelocationError that
    names it.
    """

    @names_wrong_arguments
    def __init__(
        self,
        *,
        btf: BTF | None = None,
        modules: Mapping[str, BTF] | None = None,
        core_btf: BTF | None = None,
        symbols: Mapping[str, int] | None = None,
        config: Mapping[str, str] | None = None,
        version: int | None = None,
        features: Mapping[str, bool] | None = None,
    ) -> None:
        self._btf = btf
        self._modules = modules
        self._core_btf = core_btf
        self._symbols = symbols
        self._config = config
        self._version = version
        self._features = features or {}

    @staticmethod
    @names_wrong_arguments
    def running(**parts: Any) -> RunningKernel:
        """The running kernel; `parts` (those of `Target`) replace some of what it is."""
        from osmia.passes.running import RunningKernel

        return RunningKernel(**parts)

    @classmethod
    @names_wrong_arguments
    def from_files(
        cls,
        *,
        btf: PathLike | None = None,
        modules: Mapping[str, PathLike] | None = None,
        core_btf: PathLike | None = None,
        kallsyms: PathLike | None = None,
        config: PathLike | None = None,
        release: str | int | None = None,
        features: Mapping[str, bool] | None = None,
    ) -> Target:
        """Another machine, from its files.

        `btf`, `modules` and `core_btf` are raw BTF (/sys/kernel/btf/…) or ELF files with it (a
        vmlinux, a module); `kallsyms` is a copy of /proc/kallsyms or a System.map; `config` of
        /boot/config-… or /proc/config.gz; `release` what `uname -r` says, or its number.

        Raises OSError for files that cannot be read, ObjectFormatError for what is in them.
        """
        from osmia.passes.kernel_files import read_config, read_symbols, read_types, version_of

        types = read_types(btf) if btf is not None else None
        return cls(
            btf=types,
            modules={name: read_types(path, types) for name, path in (modules or {}).items()},
            core_btf=read_types(core_btf) if core_btf is not None else None,
            symbols=read_symbols(kallsyms) if kallsyms is not None else None,
            config=read_config(config) if config is not None else None,
            version=version_of(release) if isinstance(release, str) else release,
            features=features,
        )

    @classmethod
    @names_wrong_arguments
    def from_directory(cls, directory: PathLike) -> Target:
        """Another machine, from a directory with copies of its files, as many as are told:

        - `vmlinux`: /sys/kernel/btf/vmlinux, or a kernel image with BTF;
        - `modules/NAME`: /sys/kernel/btf/NAME, or the module;
        - `kallsyms`: /proc/kallsyms, or a System.map; `config`: /boot/config-… or
          /proc/config.gz; `release`: a line that says what `uname -r` does.

        Raises as `from_files`, and NotADirectoryError or FileNotFoundError for no such directory.
        """
        place = Path(directory)
        there = {each.name: each for each in place.iterdir()}
        modules = sorted(there["modules"].iterdir()) if "modules" in there else []
        release = there["release"].read_text("utf-8").strip() if "release" in there else None
        return cls.from_files(
            btf=there.get("vmlinux"),
            modules={each.name.removesuffix(".ko"): each for each in modules},
            kallsyms=there.get("kallsyms"),
            config=there.get("config"),
            release=release,
        )

    @cached_property
    def btf(self) -> BTF | None:
        """The kernel's types; None where it is known that it has none."""
        return self._btf if self._btf is not None else self._unknown("types", "btf")

    @property
    def core_btf(self) -> BTF | None:
        """The types that CO-RE records are answered from; None where there are none."""
        return self._core_btf if self._core_btf is not None else self.btf

    @property
    def core_modules(self) -> Mapping[str, BTF]:
        """Where CO-RE looks when `core_btf` has no type of a name: nowhere beside a given one."""
        return {} if self._core_btf is not None else self.modules

    @cached_property
    def modules(self) -> Mapping[str, BTF]:
        """The types of each module, by its name, in the order of the search."""
        return self._modules or {}

    @cached_property
    def config(self) -> Mapping[str, str]:
        """The kernel's configuration."""
        return (
            self._config if self._config is not None else self._unknown("configuration", "config")
        )

    @cached_property
    def symbols(self) -> Mapping[str, int]:
        """Addresses of the kernel's symbols."""
        return self._symbols if self._symbols is not None else self._unknown("symbols", "symbols")

    @cached_property
    def version(self) -> int:
        """LINUX_VERSION_CODE of the kernel."""
        return self._version if self._version is not None else self._unknown("version", "version")

    def feature(self, name: str) -> bool:
        """Whether the kernel has what `LINUX_HAS_…` asks for; False for what nobody knows."""
        if name in self._features:
            return self._features[name]
        if name == "LINUX_HAS_BPF_COOKIE":
            return self.version >= _COOKIES_SINCE
        if name == "tail calls in subprograms":
            return self.version >= _SUBPROGRAM_TAIL_CALLS_SINCE
        return name == "LINUX_HAS_SYSCALL_WRAPPER" and self._has_syscall_wrappers()

    def _has_syscall_wrappers(self) -> bool:
        names = [f"{prefix}bpf" for prefix in _SYSCALL_PREFIXES]
        if self._symbols is not None:
            return any(name in self._symbols for name in names)
        if self._btf is not None and self._btf.ids_of_kind(Kind.FUNC):
            return any(self._btf.find(name, Kind.FUNC) for name in names)
        return self._unknown("symbols", "symbols")

    @staticmethod
    def _unknown(part: str, argument: str) -> NoReturn:
        raise UnknownPartError(f"the target does not tell its {part}; make it with {argument}=…")
