"""What files tell of a kernel: its types, configuration, symbols and release."""

from __future__ import annotations

import os
import re

from osmia.btf import BTF
from osmia.errors import ObjectFormatError, OsmiaError
from osmia.paths import Path

#: More than any kernel's configuration, unpacked, in bytes.
_MAX_CONFIG = 16 << 20
#: Stands for the address of a symbol that has several.
AMBIGUOUS = -1


def read_types(path: str | os.PathLike[str], base: BTF | None = None) -> BTF:
    """Raw BTF, or that of an ELF file (a kernel image, a module); `base` is that of a module.

    A module that brings the few types it needs of its kernel (.BTF.base) stands on these, and
    on `base` where that is given: then what it embeds must be in there, as large.
    Raises OSError for a file that cannot be read, ObjectFormatError for one without BTF and for
    split BTF without its base.
    """
    data, name = Path(path).read_bytes(), os.fspath(path)
    if data.startswith(b"\x7fELF"):
        from osmia.elf import ElfFile

        elf = ElfFile.parse(data, name)
        section, distilled = elf.section(".BTF"), elf.section(".BTF.base")
        if section is None:
            raise ObjectFormatError("there is no BTF in it", file=name)
        data = bytes(section.data)
        if distilled is not None:
            return _read_module(data, bytes(distilled.data), base, name)
    types = BTF(data, base=base, name=name)
    types.check_complete()
    return types


def _read_module(data: bytes, distilled: bytes, base: BTF | None, name: str) -> BTF:
    """A module's types that have a distilled base, on the base that is given, if any."""
    types = BTF(data, base=BTF(distilled, name=name), name=name)
    types.check_complete()
    if base is None:
        return types
    from osmia.btf import relocate

    return relocate(types, base)


def read_config(path: str | os.PathLike[str]) -> dict[str, str]:
    """CONFIG_* of a kernel's configuration: /boot/config-…, or as in /proc/config.gz."""
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = _unpacked(data, os.fspath(path))
    return dict(
        line.partition("=")[::2]
        for line in data.decode("utf-8", "replace").splitlines()
        if line.startswith("CONFIG_")
    )


def _unpacked(data: bytes, path: str) -> bytes:
    import gzip
    import io

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            text = packed.read(_MAX_CONFIG + 1)
    except (OSError, EOFError) as error:
        raise ObjectFormatError(f"a damaged configuration: {error}", file=path) from None
    if len(text) > _MAX_CONFIG:
        raise ObjectFormatError("a kernel configuration of over 16 MiB", file=path)
    return text


def read_symbols(path: str | os.PathLike[str] = "/proc/kallsyms") -> dict[str, int]:
    """Name to address of every kernel symbol; AMBIGUOUS where one name has several.

    The file is as /proc/kallsyms, or a System.map.
    """
    found: dict[str, int] = {}
    with Path(path).open("rb") as lines:
        for line in lines:
            try:
                number, _, text = line.split(None, 2)
                name, address = text.split(None, 1)[0].decode("ascii", "replace"), int(number, 16)
            except (ValueError, IndexError):
                raise ObjectFormatError(
                    f"no line of symbols: {line[:60]!r}", file=os.fspath(path)
                ) from None
            if found.setdefault(name, address) != address:
                found[name] = AMBIGUOUS
    return found


def version_of(release: str) -> int:
    """LINUX_VERSION_CODE of a release ("6.1.76-amd64"). OsmiaError for what is none."""
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if numbers is None:
        raise OsmiaError(f"kernel release {release!r} is no version")
    major, minor, patch = (int(part or 0) for part in numbers.groups())
    return major << 16 | minor << 8 | min(patch, 255)
