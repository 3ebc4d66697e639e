"""Test runs: BPF_PROG_TEST_RUN with the data and context that each program type takes."""

from __future__ import annotations

import ctypes
import errno
import mmap
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from osmia.arguments import names_wrong_arguments
from osmia.engine.results import RunResult, as_packet
from osmia.enums import IntFlag
from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.sys import syscall
from osmia.object.uapi import ProgramType
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.values import Codec

#: bytes that a program may add to a packet and still get all of it back.
_GROWTH = 64 << 10
#: bytes of an Ethernet header: the kernel wants at least that much packet.
_SHORTEST_PACKET = 14
_LARGEST_CONTEXT = 4096
#: bytes of a page that are no packet's: XDP_PACKET_HEADROOM and skb_shared_info.
_ROOM_AROUND = 256 + 320
#: Fields of a __sk_buff that a test run takes (convert___skb_to_skb).
_SETTABLE = frozenset(
    {
        "mark",
        "priority",
        "ingress_ifindex",
        "ifindex",
        "cb",
        "tstamp",
        "wire_len",
        "gso_segs",
        "gso_size",
        "hwtstamp",
    }
)


class RunFlag(IntFlag):
    """BPF_F_TEST_* flags of a test run."""

    ON_CPU = 1  # since 5.10: raw tracepoint programs run on the CPU `cpu`
    XDP_LIVE_FRAMES = 2  # since 5.18: verdicts are carried out, packets really sent
    SKB_CHECKSUM_COMPLETE = 4  # since 6.16


@dataclass(frozen=True, slots=True)
class _Kind:
    """How programs of one type run: with a packet or not, and with which context."""

    packet: bool = False
    context: str = ""  # the struct's name in the kernel's BTF
    context_back: bool = False


_SKB = _Kind(packet=True, context="__sk_buff", context_back=True)
_KINDS: Mapping[int, _Kind] = {
    ProgramType.XDP: _Kind(packet=True, context="xdp_md", context_back=True),
    ProgramType.SOCKET_FILTER: _SKB,
    ProgramType.SCHED_CLS: _SKB,
    ProgramType.SCHED_ACT: _SKB,
    ProgramType.CGROUP_SKB: _SKB,
    ProgramType.LWT_IN: _SKB,
    ProgramType.LWT_OUT: _SKB,
    ProgramType.LWT_XMIT: _SKB,
    ProgramType.LWT_SEG6LOCAL: _SKB,
    ProgramType.SK_SKB: _SKB,
    ProgramType.FLOW_DISSECTOR: _Kind(packet=True, context="bpf_flow_keys"),
    ProgramType.SK_LOOKUP: _Kind(context="bpf_sk_lookup", context_back=True),
    ProgramType.NETFILTER: _Kind(packet=True),
}
_PLAIN = _Kind()


@names_wrong_arguments
def run(
    fd: int,
    program_type: ProgramType | int,
    data: bytes | bytearray | memoryview = b"",
    *,
    ctx: Any = None,
    repeat: int = 1,
    flags: RunFlag | int = 0,
    cpu: int = 0,
    batch_size: int = 0,
    what: str = "run program",
) -> RunResult:
    """Run a program on `data`; see `Program.run`."""
    if repeat < 0 or repeat >> 32:
        raise ValueError(f"a program cannot run {repeat:,} times")
    kind = _KINDS.get(program_type, _PLAIN)
    data = as_packet(data)
    context = _encode_context(ctx, kind, program_type, len(data))
    live = bool(flags & RunFlag.XDP_LIVE_FRAMES)
    data_out = _room(len(data) + _GROWTH) if kind.packet and not live else None
    # XDP programs have no context to give back unless they got one (before 5.15 never).
    wants_context = kind.context_back and (context is not None or program_type != ProgramType.XDP)
    context_size = max(_LARGEST_CONTEXT, len(context or b""))
    ctx_out = _room(context_size) if wants_context and not live else None
    try:
        result = syscall.prog_test_run(
            fd,
            data=data or None,
            data_out=data_out,
            data_size_out=len(data_out) if data_out is not None else 0,
            ctx=context,
            ctx_out=ctx_out,
            ctx_size_out=len(ctx_out) if ctx_out is not None else 0,
            repeat=repeat if repeat != 1 else 0,  # types that run only once refuse even 1
            flags=flags,
            cpu=cpu,
            batch_size=batch_size,
            what=what,
        )
    except KernelError as error:
        raise _explained(error, kind, program_type, data, ctx) from None
    # Programs of type syscall get and leave their context in the same memory.
    left = bytes(context or b"") if ctx_out is None else _front(ctx_out, result.ctx_size)
    return RunResult(
        retval=result.retval,
        data=_front(data_out, result.data_size) if data_out is not None else b"",
        ctx_data=left,
        duration_ns=result.duration,
        _read_ctx=_context_reader(kind.context),
        _program_type=program_type,
    )


def _front(buffer: ctypes.Array[ctypes.c_char], size: int) -> bytes:
    return bytes(memoryview(buffer)[:size])


def _room(size: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(size)


def _context_codec(name: str) -> Codec:
    # Typed contexts alone need these two; a run on bytes does without the import.
    from osmia.btf import kernel_btf
    from osmia.values import codec

    btf = kernel_btf()
    type_id = btf.find(name)
    if not type_id:
        raise NotSupportedError(f"this kernel's BTF has no struct {name}")
    return codec(btf, type_id)


@cache
def _context_reader(name: str) -> Callable[[bytes], Any] | None:
    """What reads a context of the named type; None for no name."""
    return partial(_read_context, name) if name else None


def _read_context(name: str, data: bytes) -> Any:
    return _context_codec(name).decode(data)


def _encode_context(
    ctx: Any, kind: _Kind, program_type: ProgramType | int, data_size: int
) -> bytearray | None:
    """The context's bytes, in memory of our own: syscall programs write to it."""
    if ctx is None:
        return None
    if isinstance(ctx, bytes | bytearray | memoryview):
        return bytearray(ctx)
    if program_type == ProgramType.XDP and isinstance(ctx, Mapping):
        ctx = {"data_end": data_size, **ctx}  # the kernel wants the packet's bounds in it
    if kind.context:
        return bytearray(_context_codec(kind.context).encode(ctx))
    if isinstance(ctx, Sequence) and all(isinstance(word, int) for word in ctx):
        words = [word & 0xFFFF_FFFF_FFFF_FFFF for word in ctx]
        return bytearray(struct.pack(f"={len(words)}Q", *words))
    raise TypeError(
        f"a context for this program type is bytes or a sequence of numbers, not {type(ctx)}"
    )


def _explained(
    error: KernelError, kind: _Kind, program_type: ProgramType | int, data: bytes, ctx: Any
) -> KernelError | NotSupportedError:
    if error.errno == errno.EOPNOTSUPP:
        name = getattr(program_type, "name", str(program_type))
        return NotSupportedError(f"this kernel has no test runs of {name} programs")
    if error.errno == errno.EINVAL and kind.packet:
        error.hint = _packet_hint(kind, data, ctx)
    return error


def _packet_hint(kind: _Kind, data: bytes, ctx: Any) -> str:
    """What of a packet and its context the kernel refuses (net/bpf/test_run.c)."""
    if len(data) < _SHORTEST_PACKET:
        return f"the packet has {len(data)} bytes; an Ethernet header of 14 is the least"
    if kind is _SKB and isinstance(ctx, Mapping):
        fixed = [name for name, value in ctx.items() if value and name not in _SETTABLE]
        if fixed:
            return f"{', '.join(map(repr, fixed))} cannot be given: the kernel sets it on its own"
    if len(data) > mmap.PAGESIZE - _ROOM_AROUND:
        return (
            f"the packet has {len(data):,} bytes; a test run takes what fits a page of"
            f" {mmap.PAGESIZE:,}, with some room around it"
        )
    return ""
