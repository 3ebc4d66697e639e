"""Which engines a machine has, and why not the others."""

from __future__ import annotations

from osmia.engine import registry
from osmia.errors import OsmiaError

#: `r0 = 2; exit`: XDP_PASS. Programs of this type need CAP_BPF and CAP_NET_ADMIN.
_PASS = bytes.fromhex("b700000002000000 9500000000000000")


def why_not(engine: str) -> str:
    """Why tests cannot load into the engine of that name here; "" where they can.

    The kernel is asked to load a program: rights, lockdown and configuration have their say.
    Raises ValueError, which lists what there is, for a name of no engine.
    """
    if engine != "kernel":
        registry.find(engine)
        return ""
    from osmia.engine.program import Program
    from osmia.object.uapi import ProgramType

    try:
        Program.load(ProgramType.XDP, _PASS, name="osmia_test").close()
    except OsmiaError as error:
        return str(error)
    return ""
