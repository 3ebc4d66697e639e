"""What decides machine code beside the program: this machine, LLVM, and osmia's translation.

All of it is told without importing llvmlite, which takes longer than mapping what was compiled.
"""

from __future__ import annotations

import mmap
import os
import sys
from functools import cache
from io import FileIO

from osmia.errors import NotSupportedError
from osmia.prepared.identities import files_in

_TRANSLATES = ("vm", "vm/helpers", "vm/jit", "vm/maps", "isa")
"""Where the translation's source is: code changes when a file there does."""


@cache
def llvmlite_files() -> str:
    """The version of llvmlite, as its files tell. NotSupportedError where it is not installed."""
    # As importlib.util.find_spec, whose import takes longer than what it does.
    specs = (finder.find_spec("llvmlite", None) for finder in sys.meta_path)
    found = next((spec for spec in specs if spec is not None), None)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        raise NotSupportedError("compiled programs need llvmlite: pip install 'osmia[jit]'")
    return "\n".join(files_in(each) + files_in(f"{each}/binding") for each in places)


@cache
def everything() -> str | None:
    """All of it in one text; None where it cannot be told, and nothing can be kept."""
    house = __file__.rpartition("/vm/jit/")[0]
    try:
        translation = [files_in(f"{house}/{each}") for each in _TRANSLATES]
        llvm = llvmlite_files()
        cpu = _cpu()
    except OSError:
        return None
    here = f"{machine()} {mmap.PAGESIZE}"
    return "\n".join([sys.version, here, cpu, llvm, *translation])


def machine() -> str:
    """What this machine is called: "x86_64"."""
    if hasattr(os, "uname"):
        return os.uname().machine
    import platform  # dear

    return platform.machine()


def _cpu() -> str:
    """The first CPU's model and features: what LLVM looks at to compile for the host."""
    with FileIO("/proc/cpuinfo") as file:
        told = file.read(8192).decode("utf-8", "replace").partition("\n\n")[0]
    wanted = ("vendor", "cpu family", "model", "stepping", "flags", "CPU ", "Features")
    return "\n".join(line for line in told.splitlines() if line.startswith(wanted))
