"""What the kernel tells about a map."""

from __future__ import annotations

from osmia.arguments import names_wrong_arguments
from osmia.engine.maps.info import MapInfo
from osmia.kernel.sys import attributes, syscall
from osmia.object.uapi import MapFlag, MapType
from osmia.paths import text_of


@names_wrong_arguments
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


def _fdinfo(fd: int) -> dict[str, str]:
    """The "name: value" lines of the descriptor; {} without /proc."""
    try:
        text = text_of(f"/proc/self/fdinfo/{fd}")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}
