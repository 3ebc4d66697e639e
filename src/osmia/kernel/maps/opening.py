"""Making maps, and opening those that exist with the types that their BTF tells."""

from __future__ import annotations

import errno
import os
from typing import Any

from osmia.arguments import names_wrong_arguments
from osmia.btf import BTF, kernel_btf
from osmia.engine.map_rules import broken_rule
from osmia.engine.maps import Map, MapInfo
from osmia.errors import BpfPermissionError, KernelError, OsmiaError
from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.raw import KernelMap
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import try_btf_from_id
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.kinds import open_pin
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import MapFlag, MapType
from osmia.values import Codec, codec

#: Types for which the kernel takes no key and value types: it answers ENOTSUPP.
TYPES_WITHOUT_BTF = frozenset(
    {
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.STACK_TRACE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.QUEUE,
        MapType.STACK,
        MapType.ARENA,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
    }
)


#: What the rules for maps are about.
_SIZES = ("key_size", "value_size", "max_entries", "flags")


class MapTypes(NamedTuple):
    """A map's key and value types in BTF loaded as `btf_fd`; 0: the map has no BTF.

    A struct_ops map is typed by the kernel's BTF (`vmlinux_value_type_id`), and the
    kernel demands some `btf_fd` of a loaded BTF object beside it, any will do.
    """

    btf_fd: int = 0
    key_type_id: int = 0
    value_type_id: int = 0
    vmlinux_value_type_id: int = 0
    value_type_btf_obj_fd: int = 0


@names_wrong_arguments
def create_map(
    map_type: MapType,
    *,
    key_size: int | None = None,
    value_size: int | None = None,
    max_entries: int = 0,
    flags: int = 0,
    name: str = "",
    key_codec: Codec | None = None,
    value_codec: Codec | None = None,
    types: MapTypes | None = None,
    inner: Map | None = None,
    numa_node: int | None = None,
    map_extra: int = 0,
    ifindex: int = 0,
    token_fd: int = 0,
    excl_prog_hash: bytes = b"",
) -> Map:
    """Create a map in the kernel.

    Sizes are in bytes and default to the codecs'; without codecs values are integers
    (1, 2, 4, 8 bytes) or byte strings. `types` tells the kernel the BTF types; a kernel
    that refuses them gets the map without. `inner` is the template of a map in maps.
    A perf event array without `max_entries` gets one for each possible CPU.
    """
    if key_size is None:
        key_size = key_codec.size if key_codec else 0
    if value_size is None:
        value_size = value_codec.size if value_codec else 0
    if map_type == MapType.PERF_EVENT_ARRAY and not max_entries:
        max_entries = possible_cpus()
    if numa_node is not None:
        flags |= MapFlag.NUMA_NODE
    fd = create_descriptor(
        map_type,
        types or MapTypes(),
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        flags=flags,
        name=name,
        inner_map_fd=0 if inner is None else inner.fileno(),
        numa_node=numa_node or 0,
        map_extra=map_extra,
        ifindex=ifindex,
        token_fd=token_fd,
        excl_prog_hash=excl_prog_hash,
    )
    return _wrap(FileDescriptor(fd, f"map {name!r}"), name, key_codec, value_codec)


@names_wrong_arguments
def map_from_id(
    identifier: int,
    *,
    name: str = "",
    key_codec: Codec | None = None,
    value_codec: Codec | None = None,
    flags: int = 0,
) -> Map:
    """Open a map by its id (since 4.13, CAP_SYS_ADMIN); KernelError ENOENT: there is none.

    Codecs given replace those of the map's BTF; the records of ring buffers have the type
    `value_codec`, or what the loaded programs that use the map declare. `flags`:
    MapFlag.RDONLY or WRONLY.
    """
    fd = FileDescriptor(syscall.map_get_fd_by_id(identifier, flags=flags), f"map {identifier}")
    opened: Map = _opened(_wrap(fd, name, key_codec, value_codec))
    return opened


@names_wrong_arguments
def map_from_pin(
    path: str | os.PathLike[str],
    *,
    name: str = "",
    key_codec: Codec | None = None,
    value_codec: Codec | None = None,
    flags: int = 0,
) -> Map:
    """Open a pinned map (since 4.4). KernelError when nothing, or no map, is pinned there.

    Codecs given replace those of the map's BTF; the records of ring buffers have the type
    `value_codec`, or what the loaded programs that use the map declare. `flags`:
    MapFlag.RDONLY or WRONLY.
    """
    opened: Map = _opened(_wrap(open_pin(path, "map", flags=flags), name, key_codec, value_codec))
    return opened


def create_descriptor(map_type: MapType | int, types: MapTypes, **options: Any) -> int:
    """BPF_MAP_CREATE, once more without BTF when the kernel refuses the types.

    The options are those of `syscall.map_create`. ValueError for a number that its field
    cannot hold: ctypes would cut it off in silence.
    """
    for field in _SIZES:
        if field in options and options[field] >> 32:
            number = options[field]
            raise ValueError(f"map {options.get('name', '')!r}: {field} cannot be {number:,}")
    if any(types) and map_type not in TYPES_WITHOUT_BTF:
        try:
            return syscall.map_create(
                map_type,
                btf_fd=types.btf_fd,
                btf_key_type_id=types.key_type_id,
                btf_value_type_id=types.value_type_id,
                btf_vmlinux_value_type_id=types.vmlinux_value_type_id,
                value_type_btf_obj_fd=types.value_type_btf_obj_fd,
                **options,
            )
        except KernelError as error:
            # struct_ops are nothing without their type; others work without.
            if types.vmlinux_value_type_id or isinstance(error, BpfPermissionError):
                raise
    try:
        return syscall.map_create(map_type, **options)
    except KernelError as error:
        if error.errno in (errno.EINVAL, errno.E2BIG) and not error.hint:
            error.hint = broken_rule(
                map_type,
                **{name: options.get(name, 0) for name in _SIZES},
                has_inner=bool(options.get("inner_map_fd", 0)),
            )
        raise


def _wrap(fd: FileDescriptor, name: str, key_codec: Codec | None, value_codec: Codec | None) -> Map:
    """The Map for a descriptor, which it owns from now on; closed when that fails."""
    try:
        info = read_info(fd.fileno())
        if key_codec is None or value_codec is None:
            own_key, own_value = _codecs_of(info)
            key_codec, value_codec = key_codec or own_key, value_codec or own_value
        return Map.over(KernelMap(fd, info, name), key_codec, value_codec)
    except BaseException:
        fd.close()
        raise


def _opened(found: Any) -> Any:  # a Map, of the class for its type
    """A map that others made: a buffer's records get their type, which programs tell."""
    if found.type in (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY):
        if found.event_codec is None:
            found._set_record_type(_record_codec(found))
    elif found.type == MapType.USER_RINGBUF and found.record_codec is None:
        found.record_codec = _record_codec(found)
    return found


def _record_codec(found: Map) -> Codec | None:
    from osmia.kernel.maps.record_types import record_codec  # reads programs

    return record_codec(found.info)


def _codecs_of(info: MapInfo) -> tuple[Codec | None, Codec | None]:
    """The codecs that the map's BTF tells, None where it tells none that fits."""
    key: Codec | None = None
    value: Codec | None = None
    btf = try_btf_from_id(info.btf_id) if info.btf_id else None
    if btf is not None:
        key = _codec_in(btf, info.btf_key_type_id, info.key_size)
        value = _codec_in(btf, info.btf_value_type_id, info.value_size)
    if info.btf_vmlinux_value_type_id:
        owner = try_btf_from_id(info.btf_vmlinux_id) if info.btf_vmlinux_id else kernel_btf()
        if owner is not None:
            value = _codec_in(owner, info.btf_vmlinux_value_type_id, info.value_size)
    return key, value


def _codec_in(btf: BTF, type_id: int, size: int) -> Codec | None:
    """The type's codec, None where BTF has none that fits the map."""
    if not type_id:
        return None
    try:
        found = codec(btf, type_id)
    except OsmiaError:
        return None
    return found if found.size == size else None
