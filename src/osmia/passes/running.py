"""The kernel that runs here, as a target: asked part by part, when a pass wants to know."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property

from osmia.btf import BTF, kernel_btf, module_btf
from osmia.btf.kernel import module_names
from osmia.errors import OsmiaError
from osmia.passes.kernel_files import read_config, read_symbols, version_of
from osmia.passes.target import Target
from osmia.paths import text_of


class RunningKernel(Target):
    """The running kernel, but for the parts that are given (see `Target`).

    Features are not probed here: the kernel engine does that.
    """

    @cached_property
    def btf(self) -> BTF | None:
        """The kernel's types; None where it has none."""
        if self._btf is not None:
            return self._btf
        try:
            return kernel_btf()
        except (OSError, OsmiaError):
            return None

    @cached_property
    def modules(self) -> Mapping[str, BTF]:
        """The types of each loaded module, by name; unreadable ones left out, and none beside
        other types than the kernel's own."""
        if self._modules is not None:
            return self._modules
        found: dict[str, BTF] = {}
        for name in module_names() if self._btf is None and self.btf is not None else ():
            try:
                found[name] = module_btf(name)
            except (OSError, OsmiaError):
                continue
        return found

    @cached_property
    def config(self) -> Mapping[str, str]:
        """The kernel's configuration, empty where nobody can read it."""
        return self._config if self._config is not None else running_config()

    @cached_property
    def symbols(self) -> Mapping[str, int]:
        """Addresses of the kernel's symbols (/proc/kallsyms); 0 for who may not see them."""
        return self._symbols if self._symbols is not None else read_symbols()

    @cached_property
    def version(self) -> int:
        """LINUX_VERSION_CODE of the kernel."""
        return self._version if self._version is not None else running_version()

    def feature(self, name: str) -> bool:
        """What is given of `LINUX_HAS_…`, and False for the rest; others by the version."""
        if name.startswith("LINUX_HAS_"):
            return self._features.get(name, False)
        return super().feature(name)


def running_config() -> dict[str, str]:
    """CONFIG_* of the running kernel, from /boot/config-RELEASE or /proc/config.gz."""
    for path in (f"/boot/config-{os.uname().release}", "/proc/config.gz"):
        try:
            return read_config(path)
        except OSError:
            continue
    return {}


def running_version() -> int:
    """LINUX_VERSION_CODE of the running kernel, that of its base for distribution kernels.

    Ubuntu tells it in /proc/version_signature, Debian in `uname -v` ("Debian 6.1.4-1").
    """
    text = os.uname().release
    try:
        text = text_of("/proc/version_signature").split()[-1]
    except (OSError, IndexError):
        debian = re.search(r"Debian (\d+\.\d+\.\d+)", os.uname().version)
        if debian:
            text = debian.group(1)
    return version_of(text)
