"""`osmia.compile`: from C source straight to an Object."""

from __future__ import annotations

import os
from typing import Any

from osmia.formats.libbpf import object_name
from osmia.formats.open import read_elf
from osmia.object import Object
from osmia.toolchain.compilation import compile  # noqa: A004


def compile_object(source: str | os.PathLike[str], **options: Any) -> Object:
    """Compile a C source file, or C text (a `str` with a newline in it), to an Object.

    The options are those of `osmia.toolchain.compile`: `compiler`, `includes`, `defines`,
    `flags`, `cpu`, `target`, `architecture`, `vmlinux`, `name`. A clang with the BPF
    target is used if there is one, else the one in the `ziglang` wheel (the extra
    `osmia[compile]`), so that nothing needs to be installed but Python packages.

    Raises CompileError with the compiler's diagnostics.
    """
    compiled = compile(source, **options)
    path = compiled.name
    return read_elf(compiled.data, path, object_name(path))
