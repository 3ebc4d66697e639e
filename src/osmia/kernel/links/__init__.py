"""Attaching programs: one function a kind of hook, each giving a Link; `attach` picks one."""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.engine.link import Link
    from osmia.kernel.links.cgroup import attach_cgroup
    from osmia.kernel.links.clsact import attach_clsact
    from osmia.kernel.links.info import LinkInfo
    from osmia.kernel.links.iterators import IteratorLink, attach_iterator
    from osmia.kernel.links.kinds import attach
    from osmia.kernel.links.link import HookLink, KernelLink, LinkGroup
    from osmia.kernel.links.multi import attach_kprobe_multi, attach_uprobe_multi
    from osmia.kernel.links.netfilter import attach_netfilter
    from osmia.kernel.links.order import LinkId, Place, ProgramId
    from osmia.kernel.links.perf import (
        HardwareEvent,
        PerfType,
        SoftwareEvent,
        attach_perf_event,
        attach_tracepoint,
    )
    from osmia.kernel.links.probes import attach_kprobe, attach_uprobe, syscall_function
    from osmia.kernel.links.sockets import (
        attach_netns,
        attach_reuseport,
        attach_socket_filter,
        attach_sockmap,
    )
    from osmia.kernel.links.struct_ops import StructOpsLink, attach_struct_ops, register_struct_ops
    from osmia.kernel.links.symbols import SymbolNotFoundError
    from osmia.kernel.links.tcx import attach_netkit, attach_tcx, attached_tcx
    from osmia.kernel.links.tracing import attach_freplace, attach_raw_tracepoint, attach_tracing
    from osmia.kernel.links.tracing_multi import attach_tracing_multi
    from osmia.kernel.links.usdt import UsdtLink, attach_usdt
    from osmia.kernel.links.xdp import attach_xdp

__all__ = [
    "HardwareEvent",
    "HookLink",
    "IteratorLink",
    "KernelLink",
    "Link",
    "LinkGroup",
    "LinkId",
    "LinkInfo",
    "PerfType",
    "Place",
    "ProgramId",
    "SoftwareEvent",
    "StructOpsLink",
    "SymbolNotFoundError",
    "UsdtLink",
    "attach",
    "attach_cgroup",
    "attach_clsact",
    "attach_freplace",
    "attach_iterator",
    "attach_kprobe",
    "attach_kprobe_multi",
    "attach_netfilter",
    "attach_netkit",
    "attach_netns",
    "attach_perf_event",
    "attach_raw_tracepoint",
    "attach_reuseport",
    "attach_socket_filter",
    "attach_sockmap",
    "attach_struct_ops",
    "attach_tcx",
    "attach_tracepoint",
    "attach_tracing",
    "attach_tracing_multi",
    "attach_uprobe",
    "attach_uprobe_multi",
    "attach_usdt",
    "attach_xdp",
    "attached_tcx",
    "register_struct_ops",
    "syscall_function",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            "osmia.engine.link": "Link",
            ".kinds": "attach",
            ".cgroup": "attach_cgroup",
            ".clsact": "attach_clsact",
            ".info": "LinkInfo",
            ".iterators": "IteratorLink attach_iterator",
            ".link": "HookLink KernelLink LinkGroup",
            ".multi": "attach_kprobe_multi attach_uprobe_multi",
            ".netfilter": "attach_netfilter",
            ".order": "LinkId Place ProgramId",
            ".perf": "HardwareEvent PerfType SoftwareEvent attach_perf_event attach_tracepoint",
            ".probes": "attach_kprobe attach_uprobe syscall_function",
            ".sockets": "attach_netns attach_reuseport attach_socket_filter attach_sockmap",
            ".struct_ops": "StructOpsLink attach_struct_ops register_struct_ops",
            ".symbols": "SymbolNotFoundError",
            ".tcx": "attach_netkit attach_tcx attached_tcx",
            ".tracing": "attach_freplace attach_raw_tracepoint attach_tracing",
            ".tracing_multi": "attach_tracing_multi",
            ".usdt": "UsdtLink attach_usdt",
            ".xdp": "attach_xdp",
        },
    )
