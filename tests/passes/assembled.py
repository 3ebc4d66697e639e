"""Objects from assembly text in which calls, maps and data are named.

`call @sub`, `r2 = map:calls`, `r1 = data:.rodata+4` and `r1 = function:back` have relocations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from osmia.isa import encode, parse_assembly
from osmia.object import (
    DataKind,
    DataSection,
    Function,
    Linkage,
    Map,
    MapType,
    Object,
    Program,
    ProgramType,
    Relocation,
    RelocationKind,
)

_NAMED = re.compile(r"call @(?P<call>\w+)|(?P<reg>r\d) = (?P<kind>map|data|function):(?P<name>\S+)")
_KINDS = {
    "map": RelocationKind.MAP,
    "data": RelocationKind.DATA,
    "function": RelocationKind.FUNCTION,
}


def function(name: str, text: str, *, program: bool, linkage: Linkage | None = None) -> Function:
    """One function; programs are XDP's."""
    lines: list[str] = []
    named: list[tuple[str, RelocationKind, str, int]] = []
    for line in text.strip().split("\n"):
        found = _NAMED.search(line)
        if found is None:
            lines.append(line)
            continue
        label = f"named{len(named)}"
        lines.append(f"{label}:")
        if found["call"]:
            lines.append(line[: found.start()] + "call pc-1")
            named.append((label, RelocationKind.CALL, found["call"], 0))
        else:
            lines.append(line[: found.start()] + f"{found['reg']} = 0 ll")
            target, _, addend = found["name"].partition("+")
            named.append((label, _KINDS[found["kind"]], target, int(addend or 0)))
    assembly = parse_assembly("\n".join(lines))
    relocations = tuple(
        Relocation(8 * assembly.labels[label], kind, target, addend)
        for label, kind, target, addend in named
    )
    return Function(
        name,
        "xdp" if program else ".text",
        encode(assembly.instructions),
        relocations,
        linkage=linkage or (Linkage.GLOBAL if program else Linkage.STATIC),
    )


def assembled(
    programs: Mapping[str, str],
    functions: Mapping[str, str] | None = None,
    *,
    slots: Mapping[int, str] | None = None,
    settings: bytes = b"",
    maps: Mapping[str, Map] | None = None,
) -> Object:
    """An object with XDP programs, static functions, a prog array `calls` of 40 slots, `.rodata`
    and 64 bytes of `.bss`."""
    made = {name: function(name, text, program=True) for name, text in programs.items()}
    made |= {name: function(name, text, program=False) for name, text in (functions or {}).items()}
    sections = {".bss": DataSection(".bss", DataKind.BSS, bytearray(64))}
    if settings:
        sections[".rodata"] = DataSection(".rodata", DataKind.RODATA, bytearray(settings))
    calls = Map("calls", MapType.PROG_ARRAY, 4, 4, 40, slots=tuple((slots or {}).items()))
    return Object(
        "made",
        license="GPL",
        functions=made,
        programs={name: Program(name, name, "xdp", ProgramType.XDP) for name in programs},
        maps={"calls": calls, **(maps or {})},
        data_sections=sections,
    )


def retval(obj: Object, program: str, size: int = 64, engine: str = "vm", **options: Any) -> int:
    """What a program gives for a packet of zeroes, interpreted and checked."""
    if engine == "vm":
        options["jit"] = False
    with obj.load(engine, **options) as loaded:
        return loaded.programs[program].run(bytes(size)).retval
