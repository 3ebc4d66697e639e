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
    from osmia.errors import (
        AssemblerError as AssemblerError,
    )
    from osmia.errors import (
        BpfPermissionError as BpfPermissionError,
    )
    from osmia.errors import (
        ClosedError as ClosedError,
    )
    from osmia.errors import (
        CompileError as CompileError,
    )
    from osmia.errors import (
        KernelError as KernelError,
    )
    from osmia.errors import (
        LinkError as LinkError,
    )
    from osmia.errors import (
        MapMismatchError as MapMismatchError,
    )
    from osmia.errors import (
        NotSupportedError as NotSupportedError,
    )
    from osmia.errors import (
        ObjectFormatError as ObjectFormatError,
    )
    from osmia.errors import (
        OsmiaError as OsmiaError,
    )
    from osmia.errors import (
        RelocationError as RelocationError,
    )
    from osmia.errors import (
        VerifierError as VerifierError,
    )
    from osmia.formats import open_object as open  # noqa: A004
    from osmia.kernel.maps import Map as Map
    from osmia.kernel.programs import Program as Program
    from osmia.object import Object as Object
    from osmia.toolchain.objects import compile_object as compile  # noqa: A004

#: Where each public name lives: (module, name there).
_PUBLIC = {
    "Map": ("osmia.kernel.maps", "Map"),
    "Object": ("osmia.object", "Object"),
    "Program": ("osmia.kernel.programs", "Program"),
    "compile": ("osmia.toolchain.objects", "compile_object"),
    "open": ("osmia.formats", "open_object"),
} | {
    name: ("osmia.errors", name)
    for name in (
        "AssemblerError",
        "BpfPermissionError",
        "ClosedError",
        "CompileError",
        "KernelError",
        "LinkError",
        "MapMismatchError",
        "NotSupportedError",
        "ObjectFormatError",
        "OsmiaError",
        "RelocationError",
        "VerifierError",
    )
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'osmia' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
