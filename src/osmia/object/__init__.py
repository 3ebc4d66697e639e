"""The model of a BPF object, free of file formats and engines."""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.object.jump_tables import JumpTable
    from osmia.object.model import (
        CoreKind,
        CoreRelocation,
        DataKind,
        DataSection,
        Extern,
        ExternKind,
        Function,
        Linkage,
        Map,
        Object,
        Pinning,
        Program,
        Relocation,
        RelocationKind,
        SourceLine,
        Unresolved,
        Variable,
    )
    from osmia.object.other_sections import OtherSection, OtherSymbol
    from osmia.object.uapi import AttachType, LinkType, MapFlag, MapType, ProgramFlag, ProgramType

__all__ = [
    "AttachType",
    "CoreKind",
    "CoreRelocation",
    "DataKind",
    "DataSection",
    "Extern",
    "ExternKind",
    "Function",
    "JumpTable",
    "LinkType",
    "Linkage",
    "Map",
    "MapFlag",
    "MapType",
    "Object",
    "OtherSection",
    "OtherSymbol",
    "Pinning",
    "Program",
    "ProgramFlag",
    "ProgramType",
    "Relocation",
    "RelocationKind",
    "SourceLine",
    "Unresolved",
    "Variable",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".jump_tables": "JumpTable",
            ".model": (
                "CoreKind CoreRelocation DataKind DataSection Extern ExternKind Function "
                "Linkage Map Object Pinning Program Relocation RelocationKind SourceLine "
                "Unresolved Variable"
            ),
            ".other_sections": "OtherSection OtherSymbol",
            ".uapi": "AttachType LinkType MapFlag MapType ProgramFlag ProgramType",
        },
    )
