#!/usr/bin/env python3
"""Compile tools/arrow_exports.c for both machines into osmia/values/arrow/exports_code.py.

The module says which source it was made from; the test suite sees that it is this one.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from osmia.elf import ElfFile

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tools/arrow_exports.c"
MODULE = ROOT / "src/osmia/values/arrow/exports_code.py"

_COMPILE = [sys.executable, "-m", "ziglang", "cc", "-Os", "-fPIC", "-ffreestanding"]
_COMPILE += ["-fno-stack-protector", "-fno-sanitize=all", "-fno-asynchronous-unwind-tables"]
_COMPILE += ["-fomit-frame-pointer", "-Wall", "-Werror", "-c", str(SOURCE), "-o"]
#: By what uname says; arm64's addresses are within reach of one instruction in the tiny model.
_MACHINES = {"x86_64": ["-target", "x86_64-linux-gnu"]}
_MACHINES["aarch64"] = ["-target", "aarch64-linux-gnu", "-mcmodel=tiny"]

_TEXT = '''"""Machine code of tools/arrow_exports.c; tools/generate_arrow_exports.py wrote it."""

from __future__ import annotations

SOURCE_SHA256 = "{digest}"

#: Where the functions begin, by what uname says.
ENTRIES: dict[str, dict[str, int]] = {{
{entries}
}}

#: In base 64.
CODE: dict[str, str] = {{
{code}
}}
'''


def source_digest() -> str:
    """What the module says of its source."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def compiled(machine: str) -> tuple[bytes, dict[str, int]]:
    """The code for a machine, which needs no relocation, and where functions begin."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "exports.o"
        subprocess.run([*_COMPILE, str(path), *_MACHINES[machine]], check=True)
        elf = ElfFile.parse(path.read_bytes(), path.name)
    assert elf.section(".rela.text.a") is None, "the code cannot lie anywhere"
    section = elf.section(".text.a")
    assert section is not None
    suffix = "_capsule"
    entries = {
        symbol.name.removeprefix("osmia_").removesuffix(suffix): symbol.value
        for symbol in elf.symbols
        if symbol.name.endswith(suffix)
    }
    return bytes(section.data), entries


def module() -> str:
    """The text of the module."""
    entries, code = [], []
    for machine in _MACHINES:
        data, places = compiled(machine)
        listed = ", ".join(f'"{name}": {place:#x}' for name, place in sorted(places.items()))
        entries.append(f'    "{machine}": {{{listed}}},')
        lines = textwrap.wrap(base64.b64encode(data).decode(), 88)
        text = "\n".join(f'        "{line}"' for line in lines)
        code.append(f'    "{machine}": (\n{text}\n    ),')
    return _TEXT.format(digest=source_digest(), entries="\n".join(entries), code="\n".join(code))


if __name__ == "__main__":
    MODULE.write_text(module())
