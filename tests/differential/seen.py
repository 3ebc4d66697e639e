"""What an object becomes in the kernel, as the kernel tells it; and what osmia makes of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import osmia
from osmia.btf import BTF
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.target import kernel_target
from osmia.kernel.maps.info import read_info
from osmia.kernel.programs import info as program_info
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import btf_from_id
from osmia.object.model import DataKind
from osmia.object.uapi import MapType

#: Contents are compared of arrays up to so many entries and bytes a value.
MAX_ENTRIES, MAX_VALUE = 64, 1 << 16


@dataclass(frozen=True)
class SeenMap:
    """A map as the kernel describes it; `contents` only where loading sets them."""

    name: str
    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    map_extra: int
    frozen: bool
    has_btf: bool
    key_type: int
    value_type: int
    kernel_value_type: int
    contents: tuple[object, ...] = field(repr=False)


@dataclass(frozen=True)
class SeenProgram:
    """A program as the kernel describes it; maps in no order."""

    name: str
    type: int
    tag: str
    instructions: int
    btf: bytes = field(repr=False)
    functions: bytes = field(repr=False)
    lines: bytes = field(repr=False)
    attach_btf_id: int
    gpl: bool
    maps: frozenset[str]


@dataclass(frozen=True)
class Seen:
    """All that one load made. `maps` is None where the peer does not show them."""

    programs: dict[str, SeenProgram]
    maps: list[SeenMap] | None


def see_map(fd: int) -> SeenMap:
    info = read_info(fd)
    return SeenMap(
        name=info.name,
        type=MapType(info.type).name,
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=int(info.flags),
        map_extra=info.map_extra,
        frozen=info.frozen,
        has_btf=bool(info.btf_id),
        key_type=info.btf_key_type_id,
        value_type=info.btf_value_type_id,
        kernel_value_type=info.btf_vmlinux_value_type_id,
        contents=_contents(fd, info),
    )


def _contents(fd: int, info: Any) -> tuple[object, ...]:
    names: dict[int, Callable[[int], str]] = {
        MapType.ARRAY_OF_MAPS: _map_name,
        MapType.PROG_ARRAY: _program_name,
    }
    small = info.max_entries <= MAX_ENTRIES and info.value_size <= MAX_VALUE
    if not small or info.type not in (MapType.ARRAY, *names):
        return ()
    found: list[object] = []
    for key in range(info.max_entries):
        call = syscall.ElementCall(fd, 4, info.value_size)
        call.key.raw = key.to_bytes(4, "little")
        error = call(syscall.Command.MAP_LOOKUP_ELEM)
        value = None if error else bytes(call.value.raw)
        if value is not None and info.type in names:
            found.append(names[info.type](int.from_bytes(value, "little")))
        else:
            found.append(value and _without_addresses(value))
    return tuple(found)


def _without_addresses(value: bytes) -> bytes:
    """Heads of lists, as the kernel hands them out, point at its own copy of the value."""
    words = [value[start : start + 8] for start in range(0, len(value), 8)]
    return b"".join(bytes(8) if word[6:] == b"\xff\xff" else word for word in words)


def _map_name(identifier: int) -> str:
    fd = syscall.map_get_fd_by_id(identifier)
    try:
        return read_info(fd).name
    finally:
        os.close(fd)


def _program_name(identifier: int) -> str:
    fd = syscall.prog_get_fd_by_id(identifier)
    try:
        return program_info.program_info(fd).name
    finally:
        os.close(fd)


def see_program(fd: int) -> SeenProgram:
    info = program_info.program_info(fd)
    return SeenProgram(
        name=info.name,
        type=int(info.type),
        tag=info.tag,
        instructions=info.xlated_len // 8,
        btf=_btf(info.btf_id),
        functions=program_info.function_records(fd)[0],
        lines=program_info.line_records(fd)[0],
        attach_btf_id=info.attach_btf_id,
        gpl=info.gpl_compatible,
        maps=frozenset(map(_map_name, info.map_ids)),
    )


def _btf(identifier: int) -> bytes:
    """The types that the program was loaded with, as the kernel holds them."""
    return btf_from_id(identifier).to_bytes() if identifier else b""


def see_osmia(
    path: Path, bpffs: Path, *, btf: Path | None = None, without: Collection[str] = ()
) -> Seen:
    """What osmia's load makes; options as for `Libbpf.see`."""
    (bpffs / "osmia").mkdir()
    obj = osmia.open(path)
    for name in without:
        (obj.set_autoload if name in obj.programs else obj.set_autocreate)(name, False)
    target = kernel_target(BTF(btf.read_bytes())) if btf else None
    with obj.load(pin_root=bpffs / "osmia", target=target) as bpf:
        return see_loaded(bpf)


def see_loaded(bpf: KernelObject) -> Seen:
    """What a loaded object is in the kernel."""
    programs = {name: see_program(p.fileno()) for name, p in bpf.programs.items()}
    own = [s for s in bpf._sections.values() if s.section.kind is not DataKind.ARENA]
    sections = [section.fd.fileno() for section in own]
    fds = [held.fileno() for held in bpf.maps.values()] + sections
    return Seen(programs, sorted(map(see_map, fds), key=repr))
