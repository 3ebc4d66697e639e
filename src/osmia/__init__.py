"""osmia: eBPF for Python.

    import osmia

    obj = osmia.compile("flows.bpf.c")          # or osmia.open("flows.bpf.o")
    with obj.load() as bpf:                     # engine="kernel" or "vm"
        result = bpf.programs["ingress"].run(packet)
        bpf.maps["flows"].to_numpy()
        bpf.data["dropped"]

Names are imported when they are first used: `import osmia` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from osmia.engine.link import Link
    from osmia.engine.loaded import LoadedObject
    from osmia.engine.program import Program
    from osmia.engine.results import RunResult
    from osmia.errors import (
        AmbiguousNameError,
        AssemblerError,
        BpfPermissionError,
        ClosedError,
        CodecError,
        CompileError,
        EditError,
        KernelError,
        LinkError,
        MapMismatchError,
        MissingPackageError,
        NotSupportedError,
        ObjectFormatError,
        OsmiaError,
        OsmiaWarning,
        ReadOnlyError,
        RelocationError,
        VerifierError,
    )
    from osmia.formats import open_object as open  # noqa: A004
    from osmia.kernel.maps import Map
    from osmia.object import Object
    from osmia.passes.target import Target
    from osmia.toolchain.objects import compile_object as compile  # noqa: A004
    from osmia.vm.engine import Vm

# Written out, not computed: type checkers read it.
__all__ = [
    "AmbiguousNameError",
    "AssemblerError",
    "BpfPermissionError",
    "ClosedError",
    "CodecError",
    "CompileError",
    "EditError",
    "KernelError",
    "Link",
    "LinkError",
    "LoadedObject",
    "Map",
    "MapMismatchError",
    "MissingPackageError",
    "NotSupportedError",
    "Object",
    "ObjectFormatError",
    "OsmiaError",
    "OsmiaWarning",
    "Program",
    "ReadOnlyError",
    "RelocationError",
    "RunResult",
    "Target",
    "VerifierError",
    "Vm",
    "__version__",
    "compile",
    "open",
]

#: Where the public names live that are no exceptions: (module, name there).
_HOMES = {
    "Link": ("osmia.engine.link", "Link"),
    "LoadedObject": ("osmia.engine.loaded", "LoadedObject"),
    "Map": ("osmia.kernel.maps", "Map"),
    "Object": ("osmia.object", "Object"),
    "Program": ("osmia.engine.program", "Program"),
    "RunResult": ("osmia.engine.results", "RunResult"),
    "Target": ("osmia.passes.target", "Target"),
    "Vm": ("osmia.vm.engine", "Vm"),
    "compile": ("osmia.toolchain.objects", "compile_object"),
    "open": ("osmia.formats", "open_object"),
}


if not TYPE_CHECKING:  # or every name would be one, to type checkers

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'osmia' has no attribute {name!r}")
        module, attribute = _HOMES.get(name, ("osmia.errors", name))
        value = getattr(importlib.import_module(module), attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
