"""Lists and trees of objects: struct bpf_list_head and bpf_rb_root, and the nodes in them.

A head has the first node and the last; a node the next one, the one before, and its head. A tree
is a list in order: what programs can ask of it is the same, and adding takes longer.
"""

from __future__ import annotations

from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.loops import may_call_back, pay
from osmia.vm.helpers.table import Argument, Calls, Invocation, calling_helper, native_helper
from osmia.vm.maps.constants import E_INVAL, M32
from osmia.vm.native import call_function, interrupted, load64, native, reachable, store64

HEAD_SIZE = 16
NODE_SIZE = 24
LAST = 8
BEFORE = 8
OWNER = 16


@native
def graph_link(frame: int, head: int, node: int, after: int) -> int:
    """Put a node behind another one, 0 for the front."""
    following = load64(head)
    if after != 0:
        place = reachable(frame, after, NODE_SIZE)
        following = load64(place)
        store64(place, node)
    else:
        store64(head, node)
    if following != 0:
        place = reachable(frame, following, NODE_SIZE)
        store64(place + BEFORE, node)
    else:
        store64(head + LAST, node)
    store64(node, following)
    store64(node + BEFORE, after)
    store64(node + OWNER, head)
    return 0


@native
def graph_unlink(frame: int, head: int, node: int) -> int:
    """Take a node out; its address."""
    following = load64(node)
    before = load64(node + BEFORE)
    if before != 0:
        place = reachable(frame, before, NODE_SIZE)
        store64(place, following)
    else:
        store64(head, following)
    if following != 0:
        place = reachable(frame, following, NODE_SIZE)
        store64(place + BEFORE, before)
    else:
        store64(head + LAST, before)
    store64(node, 0)
    store64(node + BEFORE, 0)
    store64(node + OWNER, 0)
    return node


@native
def graph_push(frame: int, head: int, node: int, behind: int) -> int:
    """Put a node to the front or the end; a failure where it is in something already."""
    top = reachable(frame, head, HEAD_SIZE)
    new = reachable(frame, node, NODE_SIZE)
    if top == 0 or new == 0 or load64(new + OWNER) != 0:
        return E_INVAL
    return graph_link(frame, top, new, load64(top + LAST) if behind else 0)


@native
def helper_list_push_front_impl(frame: int, head: int, node: int, meta: int, offset: int) -> int:
    """bpf_list_push_front, since 6.2."""
    return graph_push(frame, head, node, 0)


@native
def helper_list_push_back_impl(frame: int, head: int, node: int, meta: int, offset: int) -> int:
    """bpf_list_push_back, since 6.2."""
    return graph_push(frame, head, node, 1)


@native
def graph_end(frame: int, head: int, offset: int, takes: int) -> int:
    """The node at an end of a list, taken out if that is wanted; 0 for none."""
    top = reachable(frame, head, HEAD_SIZE)
    if top == 0:
        return 0
    found = load64(top + offset)
    if found == 0:
        return 0
    node = reachable(frame, found, NODE_SIZE)
    if node == 0:
        return 0
    if takes:
        graph_unlink(frame, top, node)
    return node


@native
def helper_list_pop_front(frame: int, head: int) -> int:
    """bpf_list_pop_front, since 6.2."""
    return graph_end(frame, head, 0, 1)


@native
def helper_list_pop_back(frame: int, head: int) -> int:
    """bpf_list_pop_back, since 6.2."""
    return graph_end(frame, head, LAST, 1)


@native
def helper_list_front(frame: int, head: int) -> int:
    """bpf_list_front, since 6.16, and bpf_rbtree_first, since 6.3."""
    return graph_end(frame, head, 0, 0)


@native
def helper_list_back(frame: int, head: int) -> int:
    """bpf_list_back, since 6.16."""
    return graph_end(frame, head, LAST, 0)


@native
def helper_rbtree_remove(frame: int, root: int, node: int) -> int:
    """bpf_rbtree_remove, since 6.3: the node, or 0 where it is in another tree or none."""
    top = reachable(frame, root, HEAD_SIZE)
    place = reachable(frame, node, NODE_SIZE)
    if top == 0 or place == 0 or load64(place + OWNER) != top:
        return 0
    return graph_unlink(frame, top, place)


@native
def helper_rbtree_add_impl(
    frame: int, root: int, node: int, less: int, meta: int, offset: int
) -> int:
    """bpf_rbtree_add, since 6.3: before the first node that it is less than."""
    top = reachable(frame, root, HEAD_SIZE)
    new = reachable(frame, node, NODE_SIZE)
    if top == 0 or new == 0 or load64(new + OWNER) != 0:
        return E_INVAL
    if may_call_back(frame) == 0:
        return 0
    after = 0
    current = load64(top)
    while current != 0:
        if pay(frame, 8) == 0:
            return 0
        found = call_function(frame, less, new, current, 0, 0) & M32
        if interrupted(frame):
            return 0
        if found != 0:
            break
        after = current
        place = reachable(frame, current, NODE_SIZE)
        if place == 0:
            return 0
        current = load64(place)
    return graph_link(frame, top, new, after)


for _name in ("list_push_front_impl", "list_push_back_impl"):
    native_helper(_name, *[Argument.ANY] * 4)
for _name in ("list_pop_front", "list_pop_back", "list_front", "list_back"):
    native_helper(_name, Argument.ANY)
native_helper("rbtree_first", Argument.ANY, function="helper_list_front")
native_helper("rbtree_remove", Argument.ANY, Argument.ANY)


@calling_helper(
    "rbtree_add_impl",
    *(Argument.ANY, Argument.ANY, Argument.CALLBACK, Argument.ANY, Argument.ANY),
    native="helper_rbtree_add_impl",
)
def rbtree_add_impl(
    call: Invocation, root: int, node: int, less: int, meta: int, offset: int
) -> Calls:
    """bpf_rbtree_add of an interpreted program."""
    memory = call.vm.memory
    top, new = call.vm.reachable(root, HEAD_SIZE), call.vm.reachable(node, NODE_SIZE)
    if memory.load64(new + OWNER):
        return E_INVAL
    after, current, seen = 0, memory.load64(top), 0
    while current and not (yield less, new, current) & M32:
        after, current = current, memory.load64(call.vm.reachable(current, NODE_SIZE))
        seen += 1
        if seen > memory.size // NODE_SIZE:
            raise ProgramFault("a tree without an end")
    return int(call.vm.natives.call("graph_link", call.frame, top, new, after))
