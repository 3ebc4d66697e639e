"""The model of a BPF object, free of file formats and engines."""

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
    Variable,
)
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
    "Pinning",
    "Program",
    "ProgramFlag",
    "ProgramType",
    "Relocation",
    "RelocationKind",
    "SourceLine",
    "Variable",
]
