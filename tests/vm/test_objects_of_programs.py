"""Objects that programs allocate: in lists and trees, in maps, counted, and gone when dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import osmia
from osmia.vm.errors import ProgramFault

PROGRAMS = r"""
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_experimental.h>

char LICENSE[] SEC("license") = "GPL";

#define __contains(kind, field) __attribute__((btf_decl_tag("contains:" #kind ":" #field)))
#define private(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))

extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *object, void *meta) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node,
					void *meta, __u64 offset) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node,
					void *meta, __u64 offset) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
				bool (*less)(struct bpf_rb_node *, const struct bpf_rb_node *),
				void *meta, __u64 offset) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root,
						struct bpf_rb_node *node) __ksym;

#ifdef bpf_obj_drop
#undef bpf_obj_drop
#endif
#define bpf_obj_drop(object) bpf_obj_drop_impl(object, NULL)

struct element { struct bpf_list_node link; __u64 value; };
struct leaf { __u64 key; struct bpf_rb_node node; struct bpf_refcount references; };
struct thing { __u64 value; };
struct holder { struct thing __kptr *thing; };

private(list) struct bpf_spin_lock list_lock;
private(list) struct bpf_list_head list __contains(element, link);
private(tree) struct bpf_spin_lock tree_lock;
private(tree) struct bpf_rb_root tree __contains(leaf, node);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct holder);
} holders SEC(".maps");

__u64 value, popped, behind, from_back;

SEC("tc") int push(struct __sk_buff *ctx)
{
	struct element *element = bpf_obj_new(struct element);

	if (!element)
		return 1;
	element->value = value;
	bpf_spin_lock(&list_lock);
	if (behind)
		bpf_list_push_back_impl(&list, &element->link, NULL, 0);
	else
		bpf_list_push_front_impl(&list, &element->link, NULL, 0);
	bpf_spin_unlock(&list_lock);
	return 0;
}

SEC("tc") int pop(struct __sk_buff *ctx)
{
	struct bpf_list_node *node;
	struct element *element;

	bpf_spin_lock(&list_lock);
	node = from_back ? bpf_list_pop_back(&list) : bpf_list_pop_front(&list);
	bpf_spin_unlock(&list_lock);
	if (!node)
		return 1;
	element = container_of(node, struct element, link);
	popped = element->value;
	bpf_obj_drop(element);
	return 0;
}

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct leaf, node)->key < container_of(b, struct leaf, node)->key;
}

SEC("tc") int insert(struct __sk_buff *ctx)
{
	struct leaf *leaf = bpf_obj_new(struct leaf), *other;

	if (!leaf)
		return 1;
	leaf->key = value;
	other = bpf_refcount_acquire_impl(leaf, NULL);
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&tree, &leaf->node, less, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	if (other)
		bpf_obj_drop(other);
	return 0;
}

SEC("tc") int take_first(struct __sk_buff *ctx)
{
	struct bpf_rb_node *node;
	struct leaf *leaf;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&tree);
	if (node)
		node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&tree_lock);
	if (!node)
		return 1;
	leaf = container_of(node, struct leaf, node);
	popped = leaf->key;
	bpf_obj_drop(leaf);
	return 0;
}

SEC("tc") int keep(struct __sk_buff *ctx)
{
	struct thing *thing = bpf_obj_new(struct thing), *old;
	struct holder *holder;
	__u32 zero = 0;

	if (!thing)
		return 1;
	thing->value = value;
	holder = bpf_map_lookup_elem(&holders, &zero);
	if (!holder) {
		bpf_obj_drop(thing);
		return 1;
	}
	old = bpf_kptr_xchg(&holder->thing, thing);
	popped = 0;
	if (old) {
		popped = old->value;
		bpf_obj_drop(old);
	}
	return 0;
}

SEC("?tc") int careless(struct __sk_buff *ctx)
{
	struct thing *thing = bpf_obj_new(struct thing);

	if (!thing)
		return 1;
	bpf_obj_drop(thing);
	return *(volatile __u64 *)&thing->value;
}
"""


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


def run(bpf: Any, name: str, executor: str, **given: int) -> int | None:
    """What a program took out of something; None where there was nothing."""
    for variable, value in given.items():
        bpf.data[variable] = value
    result = bpf.programs[name].run(bytes(64), executor=executor)
    return None if result.retval else int(bpf.data["popped"])


def test_a_list_has_two_ends(bpf: Any, executor: str) -> None:
    for value, behind in ((2, 0), (1, 0), (3, 1), (4, 1)):
        run(bpf, "push", executor, value=value, behind=behind)
    taken = [run(bpf, "pop", executor, from_back=end) for end in (0, 1, 0, 1, 0, 1)]
    assert taken == [1, 4, 2, 3, None, None]
    assert not bpf.vm.objects


def test_a_tree_is_in_order(bpf: Any, executor: str) -> None:
    for value in (5, 1, 4, 1, 9, 0, 7):
        run(bpf, "insert", executor, value=value)
    assert len(bpf.vm.objects) == 7
    taken = [run(bpf, "take_first", executor) for _ in range(8)]
    assert taken == [0, 1, 1, 4, 5, 7, 9, None]
    assert not bpf.vm.objects


def test_executors_share_lists_and_trees(bpf: Any) -> None:
    names = ("interpreter", "generated", "jit")
    for number, executor in enumerate(names * 2):
        run(bpf, "push", executor, value=number, behind=1)
        run(bpf, "insert", executor, value=10 - number)
    assert [run(bpf, "pop", executor) for executor in names * 2] == list(range(6))
    assert [run(bpf, "take_first", executor) for executor in names * 2] == list(range(5, 11))


def test_a_map_keeps_an_object(bpf: Any, executor: str) -> None:
    assert [run(bpf, "keep", executor, value=value) for value in (5, 6, 7)] == [0, 5, 6]
    assert len(bpf.vm.objects) == 1
    assert not any(bytes(bpf.maps["holders"][0]))


def test_memory_of_dropped_objects_is_used_again(bpf: Any, executor: str) -> None:
    run(bpf, "push", executor, value=1)
    run(bpf, "pop", executor)
    free = list(bpf.vm.memory.region._free)
    for _ in range(50):
        run(bpf, "push", executor, value=1)
        run(bpf, "pop", executor)
    assert bpf.vm.memory.region._free == free


def test_what_was_dropped_may_not_be_used(compiled: osmia.Object) -> None:
    compiled = compiled.copy()
    compiled.programs["careless"] = replace(compiled.programs["careless"], autoload=True)
    with compiled.load(engine="vm") as bpf, pytest.raises(ProgramFault, match="belongs to nothing"):
        bpf.programs["careless"].run(bytes(64), executor="interpreter")


@pytest.mark.kernel
def test_the_kernel_does_the_same(compiled: osmia.Object) -> None:
    seen = []
    for engine in ("kernel", "vm"):
        with compiled.load(engine=engine) as loaded:
            results: list[Any] = []
            for program, value in (("push", 3), ("pop", 0), ("pop", 0), ("insert", 5)):
                loaded.data["value"] = value
                results.append(loaded.programs[program].run(bytes(64)).retval)
            loaded.data["value"] = 2
            results += [loaded.programs["insert"].run(bytes(64)).retval]
            for program in ("take_first", "take_first", "take_first", "keep", "keep"):
                results.append(loaded.programs[program].run(bytes(64)).retval)
                results.append(loaded.data["popped"])
            seen.append(results)
    assert seen[0] == seen[1]


def test_there_may_be_no_room(bpf: Any, executor: str) -> None:
    bpf.vm.helpers["bpf_obj_new_impl"] = lambda: 0
    assert run(bpf, "push", executor) is None
