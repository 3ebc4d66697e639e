"""What a load into the kernel links against, beyond what every engine does: what the kernel holds
already, and functions that are replaced while they run."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from osmia.engine.importing import read_imports
from osmia.errors import NotSupportedError
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.present import providers
from osmia.kernel.load.replacing import Replacement, check_replaceable
from osmia.kernel.programs.program import KernelProgram
from osmia.object.model import Extern, Function, Linkage, Object, RelocationKind
from osmia.object.sections import TEXT
from osmia.passes.binding import Binding
from osmia.passes.imports import Imports
from osmia.passes.layout import NO_LINE
from osmia.passes.parts import Part
from osmia.passes.providers import Found

_RETURN_0 = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)

#: Loads a function of an object in place of one of a program.
LoadPart = Callable[[Part, KernelProgram], KernelObject]


class KernelImports:
    """The imports of one load."""

    def __init__(self, obj: Object, given: Any, bind: str, load_part: LoadPart) -> None:
        self._load_part = load_part
        self._opened = ExitStack()
        self._replaced: dict[str, tuple[Found, Extern, Object]] = {}
        self.resolver: Imports | None = read_imports(
            given,
            bind,
            "kernel",
            obj=obj,
            kernel=lambda: self._opened.enter_context(providers(obj, replacing=bind == "replace")),
            ways={"replace": self._replace},
        )

    def close(self) -> None:
        """Give up what was opened to look at."""
        self._opened.close()

    def finish(self, loaded: KernelObject, functions: Mapping[str, frozenset[str]]) -> None:
        """Put functions in place of the stubs in the programs of `loaded`; `functions` are those
        in each of them."""
        for name, (found, extern, declaring) in self._replaced.items():
            programs = [
                program for key, program in loaded.programs.items() if name in functions[key]
            ]
            made = Replacement(extern, declaring, programs, self._load_part)
            loaded.replacements[name] = made
            made.put(found)
        if self.resolver is not None:
            self.resolver.note_users(loaded)

    def _replace(self, found: Found, extern: Extern, obj: Object) -> Binding:
        """Bind a function to a stub, which is replaced once it is loaded."""
        check_replaceable(extern, obj, found)
        self._replaced[extern.name] = found, extern, obj
        kinds = RelocationKind.CALL, RelocationKind.FUNCTION
        return Binding(
            extern.name, call=kinds[0], load=kinds[1], join=lambda into: _with_stub(into, extern)
        )


def _with_stub(obj: Object, extern: Extern) -> Object:
    """`obj` with a function that returns 0 where an extern is declared."""
    if obj.byteorder != sys.byteorder:
        raise NotSupportedError(f"{obj.name} is for machines of the other byte order")
    result = obj.copy()
    result.functions[extern.name] = Function(
        extern.name,
        TEXT,
        _RETURN_0,
        line_info=NO_LINE,
        btf_id=extern.btf_id,
        linkage=Linkage.GLOBAL,
        hidden=True,
    )
    return result
