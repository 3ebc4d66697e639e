"""Objects of C text, to be linked."""

from __future__ import annotations

import osmia
from osmia.formats.open import read_elf
from osmia.object import Object
from osmia.toolchain import compile as compile_source

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define HIDDEN __attribute__((visibility("hidden")))
"""


def compiled(name: str, source: str, **options: str) -> Object:
    """The object of a file NAME.bpf.c."""
    data = compile_source(HEADERS + source, name=f"{name}.bpf.c", **options).data  # type: ignore[arg-type]
    return read_elf(data, f"{name}.bpf.o", name)


def several(*sources: str) -> list[Object]:
    """Objects a, b, c … of texts."""
    return [compiled(name, text) for name, text in zip("abcdefgh", sources, strict=False)]


def linked(*sources: str, gc: bool | None = None, allow_undefined: bool = False) -> Object:
    """What those are together."""
    return osmia.link(several(*sources), gc=gc, allow_undefined=allow_undefined)


def value(obj: Object, program: str = "p", **data: int) -> int:
    """What a program of the object returns in the userspace engine."""
    with obj.load("vm") as bpf:
        for name, number in data.items():
            bpf.data[name] = number
        return bpf.programs[program].run(bytes(64)).retval
