// Kernel structures in maps: linked lists and trees of objects that the program owns.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_experimental.h>

char LICENSE[] SEC("license") = "GPL";

#define __contains(kind, field) __attribute__((btf_decl_tag("contains:" #kind ":" #field)))
#define private(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))

struct element {
	struct bpf_list_node link;
	__u64 value;
};

struct leaf {
	struct bpf_rb_node node;
	__u64 key;
};

private(list) struct bpf_spin_lock list_lock;
private(list) struct bpf_list_head list __contains(element, link);
private(tree) struct bpf_spin_lock tree_lock;
private(tree) struct bpf_rb_root tree __contains(leaf, node);

extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node,
				    void *meta, __u64 offset) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool (*less)(struct bpf_rb_node *, const struct bpf_rb_node *),
			       void *meta, __u64 offset) __ksym;

__u64 popped;

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct leaf, node)->key < container_of(b, struct leaf, node)->key;
}

SEC("tc")
int push(struct __sk_buff *ctx)
{
	struct element *element = bpf_obj_new(struct element);
	struct bpf_list_node *node;

	if (!element)
		return 0;
	element->value = ctx->len;
	bpf_spin_lock(&list_lock);
	bpf_list_push_front_impl(&list, &element->link, NULL, 0);
	node = bpf_list_pop_front(&list);
	bpf_spin_unlock(&list_lock);
	if (node) {
		element = container_of(node, struct element, link);
		popped = element->value;
		bpf_obj_drop(element);
	}
	return 0;
}

SEC("tc")
int insert(struct __sk_buff *ctx)
{
	struct leaf *leaf = bpf_obj_new(struct leaf);

	if (!leaf)
		return 0;
	leaf->key = ctx->mark;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&tree, &leaf->node, less, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return 0;
}
