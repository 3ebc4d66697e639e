"""Attaching programs: one function a kind of hook, each giving a Link; `attach` picks one."""

from osmia.engine.link import Link
from osmia.kernel.links.attach import attach
from osmia.kernel.links.cgroup import attach_cgroup
from osmia.kernel.links.clsact import attach_clsact
from osmia.kernel.links.info import LinkInfo
from osmia.kernel.links.iterators import IteratorLink, attach_iterator
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
