"""Addresses → names, files and lines; stacks; flame graphs.

    from osmia import symbols

    symbols.kernel(address)                    # Frame: kernel, modules, BPF programs
    symbols.process(pid).symbolize([a, b])     # per address: functions, inlined ones first
    bpf.maps["stacks"][number].symbolize(pid)  # a Stack's frames

Names need nothing else; files, lines and inlined functions (DWARF) and demangled names of C++ and
Rust need `pip install 'osmia[symbols]'`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from osmia.symbols.frames import Frame
from osmia.symbols.kernel_symbols import KernelSymbols
from osmia.symbols.process_symbols import NoSuchProcessError, ProcessSymbols
from osmia.symbols.stack_profile import Sample, StackProfile
from osmia.symbols.symbolizer import Symbols
from osmia.values.stacks import FilePlace, Stack

__all__ = [
    "FilePlace",
    "Frame",
    "KernelSymbols",
    "NoSuchProcessError",
    "ProcessSymbols",
    "Sample",
    "Stack",
    "StackProfile",
    "Symbols",
    "frames",
    "kernel",
    "process",
]


@cache
def _known() -> Symbols:
    """What this process knows already; who wants to forget makes a Symbols of their own."""
    return Symbols()


def kernel(address: int) -> Frame:
    """The function or datum of the kernel, a module or a BPF program that an address is in."""
    return _known().kernel.frame(address)


def process(pid: int) -> ProcessSymbols:
    """The names in a process: see ProcessSymbols. NoSuchProcessError when it is not there, and
    was not when it was asked for before."""
    return _known().process(pid)


def frames(stack: Iterable[int | FilePlace], pid: int | None = None) -> list[Frame]:
    """The frames of a stack of kernel addresses, user addresses of the process `pid`, or both."""
    return _known().frames(stack, pid)
