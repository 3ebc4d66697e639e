"""What a skeleton and its parts are called in C."""

from __future__ import annotations

import re
from pathlib import Path

from osmia.object.model import Object


def skeleton_name(obj: Object) -> str:
    """What a skeleton is called unless somebody says otherwise: as its file, "t.bpf.o": t_bpf."""
    file = re.sub(r"\.[oc]$", "", Path(obj.path).name)
    name = re.sub(r"\W", "_", file or obj.name)
    return f"_{name}" if name[:1].isdigit() else name


def checked_name(obj: Object, name: str) -> str:
    """The name that is told, or the object's. ValueError for one that C cannot have."""
    name = name or skeleton_name(obj)
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{name!r} is no name in C")
    return name


def member_name(name: str) -> str:
    """A map, section or variable as the member of a struct: ".data.fast" is data_fast."""
    return re.sub(r"\W", "_", name.lstrip("."))
