"""What the kernel tells about a link: struct bpf_link_info as values."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Mapping

from osmia.errors import KernelError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import LinkInfo as RawLinkInfo
from osmia.object.uapi import AttachType, LinkType
from osmia.records import dataclass, field

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

_NAME_BYTES = 256
_PATH_BYTES = 4096
#: The most functions of a multi link that are asked for; the count is told in any case.
_MOST_FUNCTIONS = 65536

#: enum bpf_perf_event_type
_PERF_KINDS = ("", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "event")


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link as BPF_OBJ_GET_INFO_BY_FD tells of it (since 5.8).

    `program_id` is 0 for struct_ops links. `details` depend on the type; the keys are
    `interface_index`, `attach_type`, `cgroup_id`, `netns_inode`, `map_id`, `name`,
    `path`, `function`, `functions`, `offsets`, `address`, `cookie`, `cookies`, `order`,
    `reference_counter`, `reference_counters`,
    `pid`, `tid`, `family`, `hook`, `priority`, `flags`, `target_object_id`,
    `target_btf_id`, `missed`, `count`, `kind`: those that say something.
    """

    id: int
    type: LinkType | int
    program_id: int
    details: Mapping[str, Any] = field(default_factory=dict)


def link_info(fd: int) -> LinkInfo:
    """Read all that the kernel tells of a link."""
    raw = _read(fd)
    kind = LinkType(raw.type) if raw.type in LinkType._value2member_map_ else raw.type
    reader = _READERS.get(raw.type)
    return LinkInfo(
        id=raw.id,
        type=kind,
        program_id=raw.prog_id,
        details=reader(fd, bytes(raw.details)) if reader else {},
    )


def attach_type_of(number: int) -> AttachType | int:
    """The enumeration's member, or the number itself from a newer kernel."""
    return AttachType(number) if number in AttachType._value2member_map_ else number


def _read(fd: int, pointers: bytes = b"") -> RawLinkInfo:
    raw = RawLinkInfo()
    if pointers:
        ctypes.memmove(ctypes.addressof(raw.details), pointers, len(pointers))
    syscall.obj_get_info(fd, raw, what="read link information")
    return raw


def _read_with(fd: int, layout: str, *values: int) -> bytes:
    """The details, asked for with these first fields (addresses and room for text)."""
    return bytes(_read(fd, struct.pack(layout, *values)).details)


def _text(buffer: ctypes.Array[ctypes.c_char]) -> str:
    return os.fsdecode(buffer.value)


def _raw_tracepoint(fd: int, _details: bytes) -> dict[str, Any]:
    name = ctypes.create_string_buffer(_NAME_BYTES)
    told = _read_with(fd, "=QI", ctypes.addressof(name), _NAME_BYTES)
    (cookie,) = struct.unpack_from("=Q", told, 16)
    return {"name": _text(name)} | _if_set(cookie=cookie)


def _tracing(_fd: int, details: bytes) -> dict[str, Any]:
    attach_type, target, btf_id, cookie = struct.unpack_from("=III4xQ", details)
    return {
        "attach_type": attach_type_of(attach_type),
        "target_object_id": target,
        "target_btf_id": btf_id,
    } | _if_set(cookie=cookie)


def _cgroup(_fd: int, details: bytes) -> dict[str, Any]:
    cgroup, attach_type = struct.unpack_from("=QI", details)
    return {"cgroup_id": cgroup, "attach_type": attach_type_of(attach_type)}


def _iterator(fd: int, _details: bytes) -> dict[str, Any]:
    name = ctypes.create_string_buffer(_NAME_BYTES)
    told = _read_with(fd, "=QI", ctypes.addressof(name), _NAME_BYTES)
    target = _text(name)
    (map_id,) = struct.unpack_from("=I", told, 12)
    if target == "cgroup":
        cgroup, order = struct.unpack_from("=QI", told, 16)
        return {"name": target, "cgroup_id": cgroup, "order": order}
    if target.startswith("task"):
        tid, pid = struct.unpack_from("=II", told, 16)
        return {"name": target} | _if_set(tid=tid, pid=pid)
    return {"name": target} | _if_set(map_id=map_id)


def _netns(_fd: int, details: bytes) -> dict[str, Any]:
    inode, attach_type = struct.unpack_from("=II", details)
    return {"netns_inode": inode, "attach_type": attach_type_of(attach_type)}


def _xdp(_fd: int, details: bytes) -> dict[str, Any]:
    return {"interface_index": struct.unpack_from("=I", details)[0]}


def _tcx(_fd: int, details: bytes) -> dict[str, Any]:
    index, attach_type = struct.unpack_from("=II", details)
    return {"interface_index": index, "attach_type": attach_type_of(attach_type)}


def _struct_ops(_fd: int, details: bytes) -> dict[str, Any]:
    return {"map_id": struct.unpack_from("=I", details)[0]}


def _sockmap(_fd: int, details: bytes) -> dict[str, Any]:
    map_id, attach_type = struct.unpack_from("=II", details)
    return {"map_id": map_id, "attach_type": attach_type_of(attach_type)}


def _netfilter(_fd: int, details: bytes) -> dict[str, Any]:
    family, hook, priority, flags = struct.unpack_from("=IIiI", details)
    return {"family": family, "hook": hook, "priority": priority, "flags": flags}


def _kprobe_multi(fd: int, details: bytes) -> dict[str, Any]:
    count, flags, missed = struct.unpack_from("=IIQ", details, 8)
    addresses = (ctypes.c_uint64 * min(count, _MOST_FUNCTIONS))()
    told = {"count": count, "flags": flags} | _if_set(missed=missed)
    try:
        _read_with(fd, "=QI", ctypes.addressof(addresses), len(addresses))
    except KernelError as error:
        if error.errno != errno.ENOSPC:  # more than fit: the first ones are there
            raise
    return told | {"functions": tuple(addresses)}


def _uprobe_multi(fd: int, details: bytes) -> dict[str, Any]:
    count, flags, pid = struct.unpack_from("=III", details, 36)
    path = ctypes.create_string_buffer(_PATH_BYTES)
    room = min(count, _MOST_FUNCTIONS)
    offsets, counters, cookies = ((ctypes.c_uint64 * room)() for _ in range(3))
    addresses = map(ctypes.addressof, (path, offsets, counters, cookies))
    try:
        _read_with(fd, "=QQQQII", *addresses, _PATH_BYTES, room)
    except KernelError as error:
        if error.errno != errno.ENOSPC:
            raise
    told = {"path": _text(path), "count": count, "flags": flags, "offsets": tuple(offsets)}
    return told | _if_set(
        pid=pid,
        reference_counters=tuple(counters) if any(counters) else (),
        cookies=tuple(cookies) if any(cookies) else (),
    )


def _perf_event(fd: int, details: bytes) -> dict[str, Any]:
    (kind,) = struct.unpack_from("=I", details)
    name = _PERF_KINDS[kind] if kind < len(_PERF_KINDS) else str(kind)
    text = ctypes.create_string_buffer(_PATH_BYTES)
    asked = (ctypes.addressof(text), _PATH_BYTES)
    match name:
        case "":
            return {}
        case "uprobe" | "uretprobe":
            told = _read_with(fd, "=I4xQI", 0, *asked)
            offset, cookie, counter = struct.unpack_from("=IQQ", told, 20)
            return {"kind": name, "path": _text(text), "offset": offset} | _if_set(
                cookie=cookie, reference_counter=counter
            )
        case "kprobe" | "kretprobe":
            told = _read_with(fd, "=I4xQI", 0, *asked)
            offset, address, missed, cookie = struct.unpack_from("=IQQQ", told, 20)
            return {"kind": name, "function": _text(text), "offset": offset} | _if_set(
                address=address, missed=missed, cookie=cookie
            )
        case "tracepoint":
            told = _read_with(fd, "=I4xQI", 0, *asked)
            (cookie,) = struct.unpack_from("=Q", told, 24)
            return {"kind": name, "name": _text(text)} | _if_set(cookie=cookie)
        case _:
            config, event_type, cookie = struct.unpack_from("=QI4xQ", details, 8)
            return {"kind": name, "type": event_type, "config": config} | _if_set(cookie=cookie)


def _if_set(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


_READERS: Mapping[int, Callable[[int, bytes], dict[str, Any]]] = {
    LinkType.RAW_TRACEPOINT: _raw_tracepoint,
    LinkType.TRACING: _tracing,
    LinkType.CGROUP: _cgroup,
    LinkType.ITER: _iterator,
    LinkType.NETNS: _netns,
    LinkType.XDP: _xdp,
    LinkType.PERF_EVENT: _perf_event,
    LinkType.KPROBE_MULTI: _kprobe_multi,
    LinkType.STRUCT_OPS: _struct_ops,
    LinkType.NETFILTER: _netfilter,
    LinkType.TCX: _tcx,
    LinkType.UPROBE_MULTI: _uprobe_multi,
    LinkType.NETKIT: _tcx,
    LinkType.SOCKMAP: _sockmap,
}
