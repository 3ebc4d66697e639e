"""The kernel that an object is made ready for: its types, symbols, configuration, version.

By default the running one; every part can be replaced, to prepare an object for another
machine or for a test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from osmia.btf import BTF, kernel_btf, module_btf
from osmia.errors import ObjectFormatError, OsmiaError

_MODULES = Path("/sys/kernel/btf")
#: More than any kernel's configuration, unpacked, in bytes.
_MAX_CONFIG = 16 << 20


class Target:
    """What passes ask about a kernel; each answer is looked up once, when it is needed.

    `btf` replaces the kernel's own BTF (then no modules are searched), `core_btf` that for
    CO-RE alone, as libbpf's `btf_custom_path` does: externs and what programs attach to are
    still the kernel's. `config` replaces its configuration ("CONFIG_HZ": "250"), `version` its
    number (KERNEL_VERSION), `feature` answers for `LINUX_HAS_…` externs.
    """

    def __init__(
        self,
        *,
        btf: BTF | None = None,
        core_btf: BTF | None = None,
        config: Mapping[str, str] | None = None,
        version: int | None = None,
        feature: Callable[[str], bool] | None = None,
    ) -> None:
        self._btf = btf
        self._core_btf = core_btf
        self._config = config
        self._version = version
        self._feature = feature

    @cached_property
    def btf(self) -> BTF | None:
        """The kernel's types; None where it has none."""
        if self._btf is not None:
            return self._btf
        try:
            return kernel_btf()
        except (OSError, OsmiaError):
            return None

    @property
    def core_btf(self) -> BTF | None:
        """The types that CO-RE records are answered from; None where there are none."""
        return self._core_btf if self._core_btf is not None else self.btf

    @property
    def core_modules(self) -> Mapping[str, BTF]:
        """Where CO-RE looks when `core_btf` has no type of a name: nowhere beside a given one."""
        return {} if self._core_btf is not None else self.modules

    @cached_property
    def modules(self) -> dict[str, BTF]:
        """The types of each loaded module, by its name; unreadable ones left out."""
        found: dict[str, BTF] = {}
        if self._btf is not None or self.btf is None or not _MODULES.is_dir():
            return found
        for entry in sorted(_MODULES.iterdir()):
            if entry.name != "vmlinux":
                try:
                    found[entry.name] = module_btf(entry.name)
                except (OSError, OsmiaError):
                    continue
        return found

    @cached_property
    def config(self) -> Mapping[str, str]:
        """The kernel's configuration, empty where nobody can read it."""
        return self._config if self._config is not None else read_config()

    @cached_property
    def symbols(self) -> Mapping[str, int]:
        """Addresses of the kernel's symbols (/proc/kallsyms); 0 for who may not see them."""
        return read_symbols()

    @cached_property
    def version(self) -> int:
        """LINUX_VERSION_CODE of the kernel."""
        return self._version if self._version is not None else running_version()

    def feature(self, name: str) -> bool:
        """Whether the kernel has what `LINUX_HAS_…` asks for; False for what nobody knows."""
        return self._feature(name) if self._feature is not None else False


def read_config() -> dict[str, str]:
    """CONFIG_* of the running kernel, from /boot/config-RELEASE or /proc/config.gz."""
    for path in (Path(f"/boot/config-{os.uname().release}"), Path("/proc/config.gz")):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if data[:2] == b"\x1f\x8b":
            data = _unpacked(data, path)
        return dict(
            line.partition("=")[::2]
            for line in data.decode("utf-8", "replace").splitlines()
            if line.startswith("CONFIG_")
        )
    return {}


def _unpacked(data: bytes, path: Path) -> bytes:
    import gzip
    import io

    with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
        text = packed.read(_MAX_CONFIG + 1)
    if len(text) > _MAX_CONFIG:
        raise ObjectFormatError("a kernel configuration of over 16 MiB", file=str(path))
    return text


#: Stands for the address of a symbol that has several.
AMBIGUOUS = -1


def read_symbols() -> dict[str, int]:
    """Name to address of every kernel symbol; AMBIGUOUS where one name has several."""
    found: dict[str, int] = {}
    with Path("/proc/kallsyms").open("rb") as lines:
        for line in lines:
            number, _, text = line.split(None, 2)
            name, address = text.split(None, 1)[0].decode("ascii", "replace"), int(number, 16)
            if found.setdefault(name, address) != address:
                found[name] = AMBIGUOUS
    return found


def running_version() -> int:
    """LINUX_VERSION_CODE of the running kernel, that of its base for distribution kernels.

    Ubuntu tells it in /proc/version_signature, Debian in `uname -v` ("Debian 6.1.4-1").
    """
    text = os.uname().release
    try:
        text = Path("/proc/version_signature").read_text().split()[-1]
    except (OSError, IndexError):
        debian = re.search(r"Debian (\d+\.\d+\.\d+)", os.uname().version)
        if debian:
            text = debian.group(1)
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if numbers is None:
        raise OsmiaError(f"kernel release {text!r} is no version")
    major, minor, patch = (int(part or 0) for part in numbers.groups())
    return major << 16 | minor << 8 | min(patch, 255)
