// since: 6.10
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_experimental.h>

struct node {
	struct bpf_list_node link;
	__u64 number;
};

#define together SEC(".data.nodes") __attribute__((aligned(8)))
static struct bpf_spin_lock lock together;
static struct bpf_list_head head together __attribute__((btf_decl_tag("contains:node:link")));

extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node,
				    void *meta, __u64 offset) __ksym;

SEC("tc") int program(struct __sk_buff *ctx)
{
	struct node *node = bpf_obj_new(struct node);

	if (!node)
		return 0;
#ifdef FIXED
	bpf_spin_lock(&lock);
#endif
	bpf_list_push_front_impl(&head, &node->link, 0, 0);
#ifdef FIXED
	bpf_spin_unlock(&lock);
#endif
	return 0;
}
