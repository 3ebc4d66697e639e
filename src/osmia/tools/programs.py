"""The tools' BPF programs: out of the wheel, compiled; in a checkout, from their C.

They have what they need of the kernel's types themselves, a few fields that CO-RE finds in the
kernel at hand, so that one object is for all kernels and machines of a byte order.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osmia.object import Object
    from osmia.toolchain import Compiler
    from osmia.toolchain.compilation import Target

_HERE = Path(__file__).parent


def source_of(name: str) -> Path:
    """The C of a program."""
    return _HERE / f"{name}.bpf.c"


def program_names() -> list[str]:
    """The programs that there are."""
    return sorted(each.name.removesuffix(".bpf.c") for each in _HERE.glob("*.bpf.c"))


def open_program(name: str) -> Object:
    """A program as an Object: the compiled one beside its source, else compiled now.

    The build puts it there (`hatch_build.py`); a checkout has none, so that none is old there.
    Raises CompileError where a compiler is needed and there is none.
    """
    from osmia.formats import open_object

    built = source_of(name).with_suffix(".o")
    if sys.byteorder == "little" and built.exists():
        return open_object(built)
    return open_object(compile_program(name), name=name)


def compile_program(
    name: str, compiler: Compiler | None = None, byteorder: str = sys.byteorder
) -> bytes:
    """The object file of a program, the same wherever its source is. Raises CompileError."""
    from osmia.toolchain import compile  # noqa: A004

    flags = (f"-ffile-prefix-map={_HERE}/=", "-fdebug-compilation-dir=.")
    target: Target = "bpfel" if byteorder == "little" else "bpfeb"
    source = source_of(name)
    return compile(source, compiler=compiler, flags=flags, target=target, vmlinux=False).data
