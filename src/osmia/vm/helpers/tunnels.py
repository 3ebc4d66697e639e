"""Helpers on tunnels: what a packet is to be encapsulated with (net/core/filter.c).

No packet comes from a tunnel here: what a program reads is what one set in the same run. A
Python callable in their place tells another.
"""

from __future__ import annotations

import struct

from osmia.vm.helpers.table import SENDERS, Argument, Invocation, helper
from osmia.vm.layout import STATE_TUNNEL, STATE_TUNNEL_KEY
from osmia.vm.maps.constants import E_INVAL, E_NOENT, E_NOMEM, M32, failure

KEY_SIZE = 44
"""Of struct bpf_tunnel_key (include/uapi/linux/bpf.h), now."""
_OLDER_SIZES = (8, 22, 24, 28)
_KEY = struct.Struct("<I16sBBHI16s")
_KEPT = struct.Struct("<II44s")  # the flags it was set with, the options' length, the key
OPTIONS = STATE_TUNNEL_KEY + _KEPT.size
LARGEST_OPTIONS = 255

IPV6 = 1
_ZERO_CHECKSUM, _DONT_FRAGMENT, _SEQUENCE, _NO_KEY = 2, 4, 8, 16
_SET_FLAGS = IPV6 | _ZERO_CHECKSUM | _DONT_FRAGMENT | _SEQUENCE | _NO_KEY
_WANTS_FLAGS = 16
_CHECKSUM, _HAS_KEY, _HAS_SEQUENCE, _NO_FRAGMENTS = 0x1, 0x4, 0x8, 0x100
_NO_CACHE, _HAS_OPTIONS = 0x2000, 0x5800
FLOW_LABEL = 0xFFFFF
E_PROTO = failure(71)


def _kept(call: Invocation) -> tuple[int, int, bytes] | None:
    """What was set: flags, the options' length, the key; None for nothing."""
    memory, state = call.vm.memory, call.cpu.state
    if not memory.load32(state + STATE_TUNNEL):
        return None
    flags, length, key = _KEPT.unpack(memory.read(state + STATE_TUNNEL_KEY, _KEPT.size))
    return flags, length, key


def _keep(call: Invocation, flags: int, length: int, key: bytes) -> None:
    memory, state = call.vm.memory, call.cpu.state
    memory.write(state + STATE_TUNNEL_KEY, _KEPT.pack(flags, length, key))
    memory.store32(state + STATE_TUNNEL, 1)


_IN = (Argument.CONTEXT, Argument.READ, Argument.SIZE)
_OUT = (Argument.CONTEXT, Argument.WRITE, Argument.SIZE)


@helper("skb_set_tunnel_key", *_IN, Argument.ANY, types=SENDERS)
def skb_set_tunnel_key(call: Invocation, ctx: int, place: int, size: int, flags: int) -> int:
    """bpf_skb_set_tunnel_key, since 4.3."""
    size &= M32
    if flags & ~_SET_FLAGS or size not in (KEY_SIZE, *_OLDER_SIZES):
        return E_INVAL
    key = call.read(place, size).ljust(KEY_SIZE, b"\0")
    *_, rest, label, _ = _KEY.unpack(key)
    if rest or (label and not flags & IPV6):
        return E_INVAL
    _keep(call, flags, 0, key)
    return 0


@helper("skb_get_tunnel_key", *_OUT, Argument.ANY, types=SENDERS)
def skb_get_tunnel_key(call: Invocation, ctx: int, place: int, size: int, flags: int) -> int:
    """bpf_skb_get_tunnel_key, since 4.3. A failure leaves zeros."""
    size &= M32
    kept = _kept(call)
    error = 0
    if kept is None or flags & ~(IPV6 | _WANTS_FLAGS):
        error = E_INVAL
    elif (kept[0] ^ flags) & IPV6:
        error = E_PROTO
    elif size not in (KEY_SIZE, *_OLDER_SIZES) or (size == 8 and flags & IPV6):
        error = E_INVAL
    if error or kept is None:
        call.zero(place, size)
        return error
    call.write(place, _told(kept[0], kept[1], kept[2], flags)[:size])
    return 0


def _told(given: int, options: int, key: bytes, flags: int) -> bytes:
    """A key that was set as it is read: where it goes to is where it would come from."""
    number, remote, tos, ttl, _, label, local = _KEY.unpack(key)
    if not flags & IPV6:
        remote, local, label = remote[:4].ljust(16, b"\0"), local[:4].ljust(16, b"\0"), 0
    told = int.from_bytes(struct.pack(">H", _tunnel_flags(given, options)), "little")
    told = told if flags & _WANTS_FLAGS else 0
    return _KEY.pack(number, local, tos, ttl, told, label & FLOW_LABEL, remote)


def _tunnel_flags(given: int, options: int) -> int:
    """The kernel's flags of a tunnel (TUNNEL_*) for those that the key was set with."""
    found = _HAS_KEY | _CHECKSUM | _NO_CACHE
    if given & _DONT_FRAGMENT:
        found |= _NO_FRAGMENTS
    if given & _ZERO_CHECKSUM:
        found &= ~_CHECKSUM
    if given & _SEQUENCE:
        found |= _HAS_SEQUENCE
    if given & _NO_KEY:
        found &= ~_HAS_KEY
    return found | (_HAS_OPTIONS if options else 0)


@helper("skb_set_tunnel_opt", *_IN, types=SENDERS)
def skb_set_tunnel_opt(call: Invocation, ctx: int, place: int, size: int) -> int:
    """bpf_skb_set_tunnel_opt, since 4.6: of a key that was set."""
    size &= M32
    kept = _kept(call)
    if kept is None or size % 4:
        return E_INVAL
    if size > LARGEST_OPTIONS:
        return E_NOMEM
    call.vm.memory.write(call.cpu.state + OPTIONS, call.read(place, size))
    _keep(call, kept[0], size, kept[2])
    return 0


@helper("skb_get_tunnel_opt", *_OUT, types=SENDERS)
def skb_get_tunnel_opt(call: Invocation, ctx: int, place: int, size: int) -> int:
    """bpf_skb_get_tunnel_opt, since 4.6: how many bytes there are. A failure leaves zeros."""
    size &= M32
    kept = _kept(call)
    if kept is None or not kept[1] or size < kept[1]:
        call.zero(place, size)
        return E_NOENT if kept is None or not kept[1] else E_NOMEM
    options = call.vm.memory.read(call.cpu.state + OPTIONS, kept[1])
    call.write(place, options.ljust(size, b"\0"))
    return kept[1]
