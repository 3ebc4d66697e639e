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

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

__version__ = "0.1.0"

if TYPE_CHECKING:
    from typing import Any

    from osmia.coverage.collecting import Coverage, cover
    from osmia.engine.dispatching import Dispatch, dispatch
    from osmia.engine.link import Link
    from osmia.engine.loaded import LoadedObject
    from osmia.engine.maps import Map
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
        EmptyMapError,
        KernelError,
        KeyExistsError,
        LinkError,
        MapFullError,
        MapMismatchError,
        MissingKeyError,
        MissingPackageError,
        NotSignedError,
        NotSupportedError,
        ObjectFormatError,
        OsmiaError,
        OsmiaWarning,
        ReadOnlyError,
        RelocationError,
        RewriteError,
        SignatureError,
        TailCallError,
        VerifierError,
    )
    from osmia.kernel.finding import FoundFunction, find
    from osmia.kernel.libraries.library import Library, library
    from osmia.kernel.libraries.publishing import publish
    from osmia.object import Object
    from osmia.object.model import Pinning
    from osmia.object.uapi import (
        AttachType,
        ElementFlag,
        MapFlag,
        MapType,
        ProgramFlag,
        ProgramType,
    )
    from osmia.passes.target import Target
    from osmia.prepared.opening import open_object as open  # noqa: A004
    from osmia.toolchain.objects import compile_object as compile  # noqa: A004
    from osmia.toolchain.objects import link_objects as link
    from osmia.vm.engine import Vm

# Written out, not computed: type checkers read it.
__all__ = [
    "AmbiguousNameError",
    "AssemblerError",
    "AttachType",
    "BpfPermissionError",
    "ClosedError",
    "CodecError",
    "CompileError",
    "Coverage",
    "Dispatch",
    "EditError",
    "ElementFlag",
    "EmptyMapError",
    "FoundFunction",
    "KernelError",
    "KeyExistsError",
    "Library",
    "Link",
    "LinkError",
    "LoadedObject",
    "Map",
    "MapFlag",
    "MapFullError",
    "MapMismatchError",
    "MapType",
    "MissingKeyError",
    "MissingPackageError",
    "NotSignedError",
    "NotSupportedError",
    "Object",
    "ObjectFormatError",
    "OsmiaError",
    "OsmiaWarning",
    "Pinning",
    "Program",
    "ProgramFlag",
    "ProgramType",
    "ReadOnlyError",
    "RelocationError",
    "RewriteError",
    "RunResult",
    "SignatureError",
    "TailCallError",
    "Target",
    "VerifierError",
    "Vm",
    "__version__",
    "compile",
    "cover",
    "dispatch",
    "find",
    "library",
    "link",
    "open",
    "publish",
]

#: Where the public names live that are no exceptions: (module, name there).
_HOMES = {
    "FoundFunction": ("osmia.kernel.finding", "FoundFunction"),
    "Library": ("osmia.kernel.libraries.library", "Library"),
    "Link": ("osmia.engine.link", "Link"),
    "LoadedObject": ("osmia.engine.loaded", "LoadedObject"),
    "Map": ("osmia.engine.maps", "Map"),
    "Object": ("osmia.object", "Object"),
    "Pinning": ("osmia.object.model", "Pinning"),
    "Program": ("osmia.engine.program", "Program"),
    "RunResult": ("osmia.engine.results", "RunResult"),
    "Target": ("osmia.passes.target", "Target"),
    "Vm": ("osmia.vm.engine", "Vm"),
    "Coverage": ("osmia.coverage.collecting", "Coverage"),
    "compile": ("osmia.toolchain.objects", "compile_object"),
    "cover": ("osmia.coverage.collecting", "cover"),
    "Dispatch": ("osmia.engine.dispatching", "Dispatch"),
    "dispatch": ("osmia.engine.dispatching", "dispatch"),
    "find": ("osmia.kernel.finding", "find"),
    "library": ("osmia.kernel.libraries.library", "library"),
    "link": ("osmia.toolchain.objects", "link_objects"),
    "open": ("osmia.prepared.opening", "open_object"),
    "publish": ("osmia.kernel.libraries.publishing", "publish"),
}
_HOMES |= {
    name: ("osmia.object.uapi", name)
    for name in ("AttachType", "ElementFlag", "MapFlag", "MapType", "ProgramFlag", "ProgramType")
}


if not TYPE_CHECKING:  # or every name would be one, to type checkers

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'osmia' has no attribute {name!r}")
        home, attribute = _HOMES.get(name, ("osmia.errors", name))
        from osmia.on_demand import imported

        value = getattr(imported(home), attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
