"""From an object to its light skeleton."""

from __future__ import annotations

import re
from pathlib import Path

from osmia.kernel.light_skeleton.contents import contents_of
from osmia.kernel.light_skeleton.header import header_text
from osmia.kernel.light_skeleton.loader_program import loader_program
from osmia.kernel.load.target import kernel_target
from osmia.object.model import Object
from osmia.passes.target import Target


def skeleton_name(obj: Object) -> str:
    """What a skeleton is called unless somebody says otherwise: as its file, "t.bpf.o": t_bpf."""
    name = re.sub(r"\W", "_", re.sub(r"\.[oc]$", "", Path(obj.path).name) or obj.name)
    return f"_{name}" if name[:1].isdigit() else name


def light_skeleton(obj: Object, name: str = "", *, target: Target | None = None) -> str:
    """A C header with the object in it and a BPF program that loads it (since 5.14).

    It needs libbpf's skel_internal.h to compile, and nothing of it to run. Its functions are
    those of bpftool's light skeletons: `NAME__open_and_load()`, … (`skeleton_name` unless
    told). CO-RE records and externs are resolved where it runs, `__kconfig` values are those
    of `target` (default: the kernel here).

    Raises ValueError for a name that C cannot have, NotSupportedError for what a BPF program
    cannot load (pinned maps, struct_ops, arenas, jump tables, freplace), and as `load`.
    """
    name = name or skeleton_name(obj)
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{name!r} is no name in C")
    # Maps of data sections have the skeleton's name before them, as bpftool has it.
    contents = contents_of(obj.copy(name=name), target or kernel_target())
    return header_text(contents, loader_program(contents), name)
