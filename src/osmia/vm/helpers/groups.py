"""Helpers that ask about control groups: everything here is in one, the root, whose number is 1."""

from __future__ import annotations

from osmia.object.uapi import MapType, ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import LWT, TC, Argument, Invocation, helper
from osmia.vm.maps.constants import E_2BIG, E_AGAIN, M32
from osmia.vm.maps.handles import handle_of
from osmia.vm.maps.numbers import Groups

ROOT = 1
_OF_GROUP = frozenset({ProgramType.CGROUP_SKB})


def _is_under(call: Invocation, handle: int, index: int) -> int:
    """Whether the group under an index of a map is the root: 1 or 0."""
    target = call.vm.map_of(handle)
    if target is None or target.type is not MapType.CGROUP_ARRAY:
        raise ProgramFault(f"{handle:#x} is no map of control groups")
    index &= M32
    if index >= target.max_entries:
        return E_2BIG
    groups = handle_of(target)
    assert isinstance(groups, Groups)
    group = groups.group(index)
    return int(group == ROOT) if group else E_AGAIN


@helper("skb_under_cgroup", Argument.CONTEXT, Argument.MAP, Argument.ANY, types=TC | LWT)
def skb_under_cgroup(call: Invocation, ctx: int, handle: int, index: int) -> int:
    """bpf_skb_under_cgroup, since 4.8: whether the map has the root there."""
    return _is_under(call, handle, index)


@helper("current_task_under_cgroup", Argument.MAP, Argument.ANY)
def current_task_under_cgroup(call: Invocation, handle: int, index: int) -> int:
    """bpf_current_task_under_cgroup, since 4.9: whether the map has the root there."""
    return _is_under(call, handle, index)


@helper("sk_cgroup_id", Argument.ANY, types=_OF_GROUP)
@helper("skb_cgroup_id", Argument.CONTEXT, types=TC | _OF_GROUP)
def cgroup_id(call: Invocation, of: int) -> int:
    """bpf_skb_cgroup_id, since 4.18, and bpf_sk_cgroup_id, since 5.8."""
    return ROOT


@helper("sk_ancestor_cgroup_id", Argument.ANY, Argument.ANY, types=_OF_GROUP)
@helper("skb_ancestor_cgroup_id", Argument.CONTEXT, Argument.ANY, types=TC | _OF_GROUP)
def ancestor_cgroup_id(call: Invocation, of: int, level: int) -> int:
    """bpf_skb_ancestor_cgroup_id, since 4.19, and bpf_sk_ancestor_cgroup_id, since 5.8: there is
    nothing below the root, whose level is 0."""
    return 0 if level & M32 else ROOT


@helper("get_current_ancestor_cgroup_id", Argument.ANY)
def get_current_ancestor_cgroup_id(call: Invocation, level: int) -> int:
    """bpf_get_current_ancestor_cgroup_id, since 5.7."""
    return 0 if level & M32 else ROOT


@helper("skb_cgroup_classid", Argument.CONTEXT, types=TC)
def skb_cgroup_classid(call: Invocation, ctx: int) -> int:
    """bpf_skb_cgroup_classid, since 5.10: no socket has a class."""
    return 0
