"""Links as bpftool's JSON has them: its names for what the kernel tells of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

from osmia.cli.output import enum_name
from osmia.kernel.links import LinkInfo
from osmia.object.uapi import LinkType

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

#: What bpftool calls details that have another name here.
_NAMES = {
    "interface_index": "ifindex",
    "netns_inode": "netns_ino",
    "target_object_id": "target_obj_id",
    "family": "pf",
    "priority": "prio",
}
_NAMES_BY_TYPE: dict[int, dict[str, str]] = {
    LinkType.RAW_TRACEPOINT: {"name": "tp_name"},
    LinkType.ITER: {"name": "target_name"},
    LinkType.PERF_EVENT: {
        "name": "tracepoint",
        "function": "func",
        "path": "file",
        "address": "addr",
        "type": "event_type",
        "config": "event_config",
    },
}
#: Details that are told as 0 where the kernel tells none.
_DEFAULTS: dict[int, tuple[str, ...]] = {
    LinkType.RAW_TRACEPOINT: ("cookie",),
    LinkType.TRACING: ("cookie",),
    LinkType.PERF_EVENT: ("cookie",),
    LinkType.UPROBE_MULTI: ("pid",),
    LinkType.KPROBE_MULTI: ("missed",),
}
#: BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN
_RETURN = 1


def described_link(info: LinkInfo) -> dict[str, Any]:
    """A link under bpftool's names, with what else is known; without the interface's name."""
    described: dict[str, Any] = {"id": info.id, "type": enum_name(info.type)}
    described["prog_id"] = info.program_id
    names = _NAMES | _NAMES_BY_TYPE.get(info.type, {})
    for name, value in info.details.items():
        described[names.get(name, name)] = enum_name(value) if isinstance(value, IntEnum) else value
        if name == "interface_index":
            described["devname"] = ""
    told = _of_probe(info.details) if info.type == LinkType.PERF_EVENT else {}
    if info.type == LinkType.UPROBE_MULTI:
        told = _of_several(info.details, list(_uprobes(info.details)))
    elif info.type == LinkType.KPROBE_MULTI:
        told = _of_several(info.details, list(_kprobes(info.details)))
    elif info.type == LinkType.TRACING:
        told = _of_tracing(info.program_id)
    defaults = dict.fromkeys(_DEFAULTS.get(info.type, ()), 0)
    return defaults | described | told


def _of_probe(details: Mapping[str, Any]) -> dict[str, Any]:
    kind = details.get("kind", "")
    if not kind.endswith("probe"):
        return {}
    told: dict[str, Any] = {"retprobe": kind in ("uretprobe", "kretprobe")}
    if kind.startswith("u"):
        return told | {"ref_ctr_offset": details.get("reference_counter", 0)}
    return told | {"addr": details.get("address", 0), "missed": details.get("missed", 0)}


def _of_several(details: Mapping[str, Any], functions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "retprobe": bool(details["flags"] & _RETURN),
        "func_cnt": details["count"],
        "funcs": functions,
    }


def _uprobes(details: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    offsets = details["offsets"]
    none = (0,) * len(offsets)
    counters = details.get("reference_counters") or none
    for each in zip(offsets, counters, details.get("cookies") or none, strict=True):
        yield dict(zip(("offset", "ref_ctr_offset", "cookie"), each, strict=True))


def _kprobes(details: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    addresses = details["functions"]
    names = _kernel_names(set(addresses))
    cookies = details.get("cookies") or (0,) * len(addresses)
    for address, cookie in sorted(zip(addresses, cookies, strict=True)):
        name, module = names.get(address, ("", None))
        yield {"addr": address, "func": name, "module": module, "cookie": cookie}


def _kernel_names(addresses: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    from osmia.kernel.inventory.code_listing import kernel_names

    return kernel_names(addresses)


def _of_tracing(program_id: int) -> dict[str, Any]:
    from osmia.errors import KernelError
    from osmia.kernel.programs.program import KernelProgram

    try:
        with KernelProgram.from_id(program_id) as program:
            return {"prog_type": enum_name(program.info.type)}
    except KernelError:
        return {}
