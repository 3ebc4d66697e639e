"""The model of a BPF object, free of file formats and engines.

Names are imported when they are first used: who asks for numbers of the kernel's
(`osmia.object.uapi`) does not wait for the model, and with it BTF and values.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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

#: The modules of the names above that are not the model's.
_HOMES = {
    "JumpTable": "jump_tables",
    "OtherSection": "other_sections",
    "OtherSymbol": "other_sections",
}
_HOMES |= dict.fromkeys(
    ("AttachType", "LinkType", "MapFlag", "MapType", "ProgramFlag", "ProgramType"), "uapi"
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)
    globals()[name] = found
    return found
