"""`MapInfo`: what an engine tells about a map."""

from __future__ import annotations

from osmia.named_tuples import NamedTuple
from osmia.object.uapi import PER_CPU_MAPS, MapFlag, MapType


class MapInfo(NamedTuple):
    """A map's facts: in the kernel from BPF_OBJ_GET_INFO_BY_FD (since 4.13) and
    /proc/self/fdinfo. What an engine has not got is 0, False or None.

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
