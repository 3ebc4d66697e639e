"""Helpers on sockets, as far as something can be said without any: numbers, maps, flags.

A socket in a map is a number. Each run has one socket, whose cookie is 1 unless a Python
callable for `get_socket_cookie` says another.
"""

from __future__ import annotations

import os

import osmia.vm.helpers.redirects  # noqa: F401  # record_redirect
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.layout import STATE_SCRATCH
from osmia.vm.maps.body import MapBody
from osmia.vm.maps.constants import E_INVAL, E_NOENT, M32, M64
from osmia.vm.maps.handles import handle_of

COOKIE = 1
_OPS = frozenset({ProgramType.SOCK_OPS})
_MSG = frozenset({ProgramType.SK_MSG})
_SKB = frozenset({ProgramType.SK_SKB})
_REUSEPORT = frozenset({ProgramType.SK_REUSEPORT})
_ARRAYS = (MapType.SOCKMAP, MapType.REUSEPORT_SOCKARRAY)
FULLSOCK, CB_FLAGS = 72, 84
"""Offsets in struct bpf_sock_ops (include/uapi/linux/bpf.h)."""
ALL_CB_FLAGS = 0x7F
DROP, PASS = 0, 1
INGRESS = 1


@helper("get_socket_cookie", Argument.ANY)
def get_socket_cookie(call: Invocation, ctx: int) -> int:
    """bpf_get_socket_cookie, since 4.12; of a socket that was looked up, its own."""
    found = call.vm.sockets.at(ctx) if call.vm.sockets is not None else None
    return found.cookie if found is not None else COOKIE


@helper("get_netns_cookie", Argument.ANY)
def get_netns_cookie(call: Invocation, ctx: int) -> int:
    """bpf_get_netns_cookie, since 5.7: as in the system's first namespace."""
    return COOKIE


@helper("get_socket_uid", Argument.CONTEXT)
def get_socket_uid(call: Invocation, ctx: int) -> int:
    """bpf_get_socket_uid, since 4.12: this process's owner; 0 where the system has none."""
    return os.getuid() if hasattr(os, "getuid") else 0


@helper("sk_release", Argument.ANY)
def sk_release(call: Invocation, socket: int) -> int:
    """bpf_sk_release, since 4.20, of a socket that was looked up, or a Python callable made up."""
    return 0


@helper("sock_ops_cb_flags_set", Argument.CONTEXT, Argument.ANY, types=_OPS)
def sock_ops_cb_flags_set(call: Invocation, ctx: int, flags: int) -> int:
    """bpf_sock_ops_cb_flags_set, since 4.16: they are in the context then; those that there are
    not are given back."""
    memory = call.vm.memory
    if not memory.load32(call.context + FULLSOCK):
        return E_INVAL
    memory.store32(call.context + CB_FLAGS, flags & ALL_CB_FLAGS)
    return flags & M32 & ~ALL_CB_FLAGS


def _sockets(call: Invocation, handle: int, *kinds: MapType) -> MapBody:
    target = call.vm.map_of(handle)
    if target is None or target.type not in kinds:
        raise ProgramFault(f"{handle:#x} is no map of sockets that this helper takes")
    return target


def _update(call: Invocation, ctx: int, target: MapBody, key: int, flags: int) -> int:
    cookie = call.ask("get_socket_cookie", ctx)
    number = COOKIE if cookie is None else cookie
    value = (number & (1 << 8 * target.value_size) - 1).to_bytes(target.value_size, "little")
    return -handle_of(target).update(call.read(key, target.key_size), value, flags) & M64


@helper("sock_map_update", Argument.CONTEXT, Argument.MAP, Argument.KEY, Argument.ANY, types=_OPS)
def sock_map_update(call: Invocation, ctx: int, handle: int, key: int, flags: int) -> int:
    """bpf_sock_map_update, since 4.14: the run's socket by its cookie."""
    return _update(call, ctx, _sockets(call, handle, MapType.SOCKMAP), key, flags)


@helper("sock_hash_update", Argument.CONTEXT, Argument.MAP, Argument.KEY, Argument.ANY, types=_OPS)
def sock_hash_update(call: Invocation, ctx: int, handle: int, key: int, flags: int) -> int:
    """bpf_sock_hash_update, since 4.18: the run's socket by its cookie."""
    return _update(call, ctx, _sockets(call, handle, MapType.SOCKHASH), key, flags)


def _redirect(call: Invocation, target: MapBody, key: bytes, flags: int) -> int:
    """Note the socket that data would go to, by its number."""
    number = _number(call, target, key)
    if flags & ~INGRESS or not number:
        return DROP
    call.vm.natives.call("record_redirect", call.frame, number, target.handle, flags)
    return PASS


def _number(call: Invocation, target: MapBody, key: bytes) -> int:
    """What a map of sockets has under a key, or 0."""
    memory, scratch = call.vm.memory, call.cpu.state + STATE_SCRATCH
    memory.write(scratch, key)
    place = call.vm.natives.call("map_lookup", target.header, scratch, 0)
    return memory.load64(place) if place else 0


@helper("sk_redirect_map", Argument.CONTEXT, Argument.MAP, Argument.ANY, Argument.ANY, types=_SKB)
@helper("msg_redirect_map", Argument.CONTEXT, Argument.MAP, Argument.ANY, Argument.ANY, types=_MSG)
def redirect_map(call: Invocation, ctx: int, handle: int, key: int, flags: int) -> int:
    """bpf_sk_redirect_map, since 4.14, and bpf_msg_redirect_map, since 4.17: recorded."""
    target = _sockets(call, handle, MapType.SOCKMAP)
    return _redirect(call, target, (key & M32).to_bytes(4, "little"), flags)


@helper("sk_redirect_hash", Argument.CONTEXT, Argument.MAP, Argument.KEY, Argument.ANY, types=_SKB)
@helper("msg_redirect_hash", Argument.CONTEXT, Argument.MAP, Argument.KEY, Argument.ANY, types=_MSG)
def redirect_hash(call: Invocation, ctx: int, handle: int, key: int, flags: int) -> int:
    """bpf_sk_redirect_hash and bpf_msg_redirect_hash, since 4.18: recorded."""
    target = _sockets(call, handle, MapType.SOCKHASH)
    return _redirect(call, target, call.read(key, target.key_size), flags)


@helper(
    "sk_select_reuseport",
    *(Argument.CONTEXT, Argument.MAP, Argument.KEY, Argument.ANY),
    types=_REUSEPORT,
)
def sk_select_reuseport(call: Invocation, ctx: int, handle: int, key: int, flags: int) -> int:
    """bpf_sk_select_reuseport, since 4.19: recorded as a redirect."""
    target = _sockets(call, handle, *_ARRAYS, MapType.SOCKHASH)
    if flags:
        return E_INVAL
    found = _redirect(call, target, call.read(key, target.key_size), 0)
    return 0 if found == PASS else E_NOENT
