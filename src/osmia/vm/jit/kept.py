"""A module of machine code: from the cache by what decides it, else translated and compiled.

What decides it is its bytecode and what of the vm is baked into it; no IR is made to find it. What
the translation reads beside of the vm's memory is kept with the code, and looked at again. A hit
needs no llvmlite where there is an image of the code (`osmia.vm.jit.image`).
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping

from osmia.protocols import Protocol
from osmia.records import dataclass
from osmia.vm.jit import cache, identity
from osmia.vm.jit.constants import Read, still_hold
from osmia.vm.jit.image import Image
from osmia.vm.jit.mapping import MappedCode
from osmia.vm.memory import Memory

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

Place = tuple[int, int]


class NotKeptError(Exception):
    """The cache lacks a module, and it is not to be compiled now."""


class Loaded(Protocol):
    """Machine code in this process, for as long as the object lives."""

    def address(self, symbol: str) -> int:
        """The machine address of a function."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A module's IR, its stubs' symbols by what they are for, and what was read for it."""

    text: str
    stubs: Mapping[Place, str]
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A module that was compiled: as an image, or as an object file for LLVM to load."""

    image: Image | None
    object_file: bytes
    stubs: Mapping[Place, str]
    reads: tuple[Read, ...]

    def load(self) -> Loaded:
        """Its code in this process: a MappedCode, or the compiler's LoadedCode."""
        if self.image is not None:
            return MappedCode(self.image)
        from osmia.vm.jit import compiler

        return compiler.LoadedCode(self.object_file)


def name_of(*decides: object) -> str | None:
    """The cache's name of a module; None where there can be none."""
    surroundings = identity.everything()
    return cache.key(surroundings, repr(decides)) if surroundings is not None else None


def find(name: str | None, memory: Memory) -> Kept | None:
    """What is kept under a name, and is for this vm."""
    packed = cache.read(name) if name is not None else None
    if packed is None:
        return None
    try:
        image, object_file, stubs, reads = marshal.loads(packed)
        found = Kept(Image(*image) if image is not None else None, object_file, stubs, reads)
    except (EOFError, ValueError, TypeError):
        return None
    return found if still_hold(memory, found.reads) else None


def make(
    name: str | None, translate: Callable[[], Translation], *, retpoline: bool, level: int
) -> Kept:
    """Translate and compile a module, and keep it."""
    from osmia.vm.jit import compiler
    from osmia.vm.jit.image import image_of

    translation = translate()
    code = compiler.compile_fresh(compiler.host(retpoline, level > 0), translation.text, level)
    image = image_of(code)
    object_file = b"" if image is not None else code
    made = Kept(image, object_file, dict(translation.stubs), translation.reads)
    if name is not None:
        packed: Any = image.packed() if image is not None else None
        cache.write(name, marshal.dumps((packed, object_file, dict(made.stubs), made.reads)))
    return made
