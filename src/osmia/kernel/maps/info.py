"""What the kernel tells about a map, and what a map of its kind needs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from osmia.kernel.sys import attributes, syscall
from osmia.object.uapi import PER_CPU_MAPS, MapFlag, MapType


class MapInfo(NamedTuple):
    """A map's facts, from BPF_OBJ_GET_INFO_BY_FD (since 4.13) and /proc/self/fdinfo.

    Sizes in bytes; `value_size` is one CPU's for per-CPU maps. Type ids are those of the
    BTF object `btf_id`; `btf_vmlinux_value_type_id` (struct_ops) is one of the kernel's,
    or of the module whose BTF is `btf_vmlinux_id`. `memlock` is the memory in bytes that
    the map takes (before 5.11 and since 6.4 counted exactly), `frozen` whether bpf(2) may
    no longer write to it. `owner_prog_type` and `owner_jited` are what a prog array
    demands of its programs, None until it has an owner.
    """

    id: int
    type: MapType | int
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: MapFlag
    map_extra: int = 0
    ifindex: int = 0
    netns_dev: int = 0
    netns_ino: int = 0
    btf_id: int = 0
    btf_key_type_id: int = 0
    btf_value_type_id: int = 0
    btf_vmlinux_id: int = 0
    btf_vmlinux_value_type_id: int = 0
    memlock: int = 0
    frozen: bool = False
    owner_prog_type: int | None = None
    owner_jited: bool | None = None

    @property
    def is_per_cpu(self) -> bool:
        """Whether every possible CPU has a value of its own under each key."""
        return self.type in PER_CPU_MAPS


def read_info(fd: int) -> MapInfo:
    """The facts about the map behind the descriptor `fd`."""
    raw = attributes.MapInfo()
    syscall.obj_get_info(fd, raw, what="read map information")
    extra = _fdinfo(fd)
    owner_type, owner_jited = extra.get("owner_prog_type"), extra.get("owner_jited")
    return MapInfo(
        id=raw.id,
        type=map_type(raw.type),
        name=raw.name.decode("ascii", "replace"),
        key_size=raw.key_size,
        value_size=raw.value_size,
        max_entries=raw.max_entries,
        flags=MapFlag(raw.map_flags),
        map_extra=raw.map_extra,
        ifindex=raw.ifindex,
        netns_dev=raw.netns_dev,
        netns_ino=raw.netns_ino,
        btf_id=raw.btf_id,
        btf_key_type_id=raw.btf_key_type_id,
        btf_value_type_id=raw.btf_value_type_id,
        btf_vmlinux_id=raw.btf_vmlinux_id,
        btf_vmlinux_value_type_id=raw.btf_vmlinux_value_type_id,
        memlock=int(extra.get("memlock", "0")),
        frozen=extra.get("frozen") == "1",
        owner_prog_type=int(owner_type) if owner_type else None,
        owner_jited=owner_jited == "1" if owner_jited else None,
    )


def map_type(number: int) -> MapType | int:
    """The MapType of a number, or the number where this table does not know it."""
    try:
        return MapType(number)
    except ValueError:
        return number


def round_up(size: int, multiple: int) -> int:
    """`size` rounded up to a multiple of `multiple`."""
    return -(-size // multiple) * multiple


def _fdinfo(fd: int) -> dict[str, str]:
    """The "name: value" lines of the descriptor; {} without /proc."""
    try:
        text = Path(f"/proc/self/fdinfo/{fd}").read_text("utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}
