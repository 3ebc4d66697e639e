"""Objects as people publish them: C sources made from a seed, by what they are for.

Each family is a program type's usual job with the helpers and maps that go with it; a seed
chooses the kinds of maps, their sizes, how events leave, and what else is asked on the way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from string import Template

_HEAD = """\
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define TC_ACT_OK 0
#define TC_ACT_SHOT 2
#define ETH_P_IP 0x0800

char LICENSE[] SEC("license") = "GPL";

struct event { __u64 when, key; __u32 number, size; char comm[16]; };

struct { __uint(type, BPF_MAP_TYPE_$counts); __uint(max_entries, $entries);
         __type(key, __u32); __type(value, __u64); } counts SEC(".maps");

static __always_inline void count(__u32 key)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(&counts, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
}

$output
"""

_OUTPUTS = {
    "ring": """
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096 * 4); } events SEC(".maps");

static __always_inline void send(void *ctx, __u64 key, __u32 number)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return;
	__builtin_memset(e, 0, sizeof(*e));
	e->when = bpf_ktime_get_ns(), e->key = key, e->number = number;
	bpf_ringbuf_submit(e, 0);
}
""",
    "perf": """
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
         __uint(value_size, 4); } events SEC(".maps");

static __always_inline void send(void *ctx, __u64 key, __u32 number)
{
	struct event e = { .when = bpf_ktime_get_ns(), .key = key, .number = number };
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &e, sizeof(e));
}
""",
    "map": """
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 1024);
         __type(key, __u64); __type(value, struct event); } events SEC(".maps");

static __always_inline void send(void *ctx, __u64 key, __u32 number)
{
	struct event e = { .when = bpf_ktime_get_ns(), .key = key, .number = number };
	bpf_map_update_elem(&events, &key, &e, BPF_ANY);
}
""",
}

_TASK = "bpf_get_current_pid_tgid() >> 32"
FAMILIES: dict[str, str] = {
    "profiler": """
struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(key_size, 4);
         __uint(value_size, 127 * 8); __uint(max_entries, $entries); } stacks SEC(".maps");
SEC("perf_event") int sample(struct bpf_perf_event_data *ctx)
{
	long kernel = bpf_get_stackid(ctx, &stacks, 0);
	long user = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	count(kernel);
	send(ctx, user, bpf_get_smp_processor_id());
	return 0;
}
""",
    "stacks": """
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
         __type(key, __u32); __type(value, __u64[64]); } scratch SEC(".maps");
SEC("kprobe/vfs_read") int on_read(struct pt_regs *ctx)
{
	__u32 zero = 0;
	__u64 *stack = bpf_map_lookup_elem(&scratch, &zero);
	if (stack)
		count(bpf_get_stack(ctx, stack, 64 * 8, BPF_F_USER_STACK));
	return 0;
}
""",
    "exec": """
SEC("tp/sched/sched_process_exec") int on_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	char comm[16];
	bpf_get_current_comm(comm, sizeof(comm));
	send(ctx, BPF_CORE_READ(task, real_parent, tgid), comm[0]);
	count(bpf_get_current_uid_gid());
	return 0;
}
""",
    "opensnoop": """
SEC("tp/syscalls/sys_enter_openat") int on_open(struct trace_event_raw_sys_enter *ctx)
{
	char name[64] = {};
	bpf_probe_read_user_str(name, sizeof(name), (void *)ctx->args[1]);
	count(name[0]);
	send(ctx, bpf_get_current_cgroup_id(), ctx->args[2]);
	return 0;
}
""",
    "latency": """
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, $entries);
         __type(key, __u32); __type(value, __u64); } starts SEC(".maps");
SEC("kprobe/do_nanosleep") int BPF_KPROBE(enter)
{
	__u32 who = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns();
	bpf_map_update_elem(&starts, &who, &now, BPF_ANY);
	return 0;
}
SEC("kretprobe/do_nanosleep") int BPF_KRETPROBE(leave)
{
	__u32 who = bpf_get_current_pid_tgid();
	__u64 *then = bpf_map_lookup_elem(&starts, &who);
	if (then)
		count((bpf_ktime_get_ns() - *then) >> 20);
	bpf_map_delete_elem(&starts, &who);
	return 0;
}
""",
    "old_reads": """
SEC("kprobe/tcp_v4_connect") int on_connect(struct pt_regs *ctx)
{
	struct sock *sk = (void *)PT_REGS_PARM1(ctx);
	__u16 port = 0;
	char name[16] = {};
	bpf_probe_read(&port, sizeof(port), &sk->__sk_common.skc_dport);
	bpf_probe_read_str(name, sizeof(name), (void *)PT_REGS_PARM2(ctx));
	count(port + name[0]);
	return 0;
}
""",
    "uprobe": """
SEC("uprobe") int BPF_UPROBE(on_call, void *text)
{
	char line[80];
	long size = bpf_probe_read_user(line, sizeof(line), text);
	send(ctx, bpf_get_attach_cookie(ctx), size);
	count(bpf_get_func_ip(ctx));
	return 0;
}
""",
    "inject": """
SEC("kprobe/__x64_sys_mkdir") int refuse(struct pt_regs *ctx)
{
	count(1);
	bpf_override_return(ctx, -12);
	return 0;
}
""",
    "fentry": """
SEC("fentry/vfs_unlink") int BPF_PROG(on_unlink, void *idmap, struct inode *dir)
{
	__u64 first = 0;
	bpf_get_func_arg(ctx, 1, &first);
	send(ctx, first, bpf_get_func_arg_cnt(ctx));
	count($task);
	return 0;
}
SEC("fexit/vfs_unlink") int BPF_PROG(after_unlink)
{
	__u64 result = 0;
	bpf_get_func_ret(ctx, &result);
	count(result);
	return 0;
}
""",
    "task_storage": """
struct { __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC);
         __type(key, int); __type(value, __u64); } spent SEC(".maps");
SEC("tp_btf/sched_switch") int BPF_PROG(on_switch, bool preempt, struct task_struct *prev)
{
	__u64 *t = bpf_task_storage_get(&spent, bpf_get_current_task_btf(), 0,
					BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (t)
		*t += bpf_ktime_get_ns();
	count(2);
	return 0;
}
""",
    "lsm": """
struct { __uint(type, BPF_MAP_TYPE_INODE_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC);
         __type(key, int); __type(value, __u64); } marks SEC(".maps");
SEC("lsm/file_open") int BPF_PROG(on_open, struct file *file)
{
	char path[64];
	__u64 *mark = bpf_inode_storage_get(&marks, file->f_inode, 0, 1);
	if (mark && *mark)
		return -1;
	bpf_d_path(&file->f_path, path, sizeof(path));
	send(ctx, $task, path[0]);
	return 0;
}
""",
    "counters": """
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
         __uint(value_size, 4); } cycles SEC(".maps");
SEC("raw_tp/sched_switch") int on_switch(void *ctx)
{
	struct bpf_perf_event_value value = {};
	count(bpf_perf_event_read(&cycles, BPF_F_CURRENT_CPU));
	bpf_perf_event_read_value(&cycles, BPF_F_CURRENT_CPU, &value, sizeof(value));
	send(ctx, value.counter, 0);
	return 0;
}
""",
    "iterator": """
SEC("iter/task") int tasks(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	if (ctx->task)
		BPF_SEQ_PRINTF(seq, "%d %d\\n", ctx->task->tgid, ctx->task->pid);
	return 0;
}
""",
    "router": """
struct { __uint(type, BPF_MAP_TYPE_$devices); __uint(max_entries, 64);
         __type(key, __u32); __type(value, __u32); } ports SEC(".maps");
SEC("xdp") int route(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct bpf_fib_lookup fib = { .family = 2, .ifindex = ctx->ingress_ifindex };
	if (data + sizeof(*eth) + sizeof(*ip) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	fib.ipv4_src = ip->saddr, fib.ipv4_dst = ip->daddr;
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0))
		return XDP_PASS;
	__builtin_memcpy(eth->h_dest, fib.dmac, 6);
	count(fib.ifindex);
	return bpf_redirect_map(&ports, fib.ifindex, 0);
}
""",
    "firewall": """
struct prefix { __u32 bits, address; };
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(map_flags, BPF_F_NO_PREALLOC);
         __uint(max_entries, $entries); __type(key, struct prefix); __type(value, __u32);
} denied SEC(".maps");
SEC("xdp") int filter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + 14;
	struct prefix key = { 32 };
	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	key.address = ip->saddr;
	if (!bpf_map_lookup_elem(&denied, &key))
		return XDP_PASS;
	send(ctx, ip->saddr, ip->protocol);
	return XDP_DROP;
}
""",
    "balancer": """
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16);
               __type(key, __u32); __type(value, __u32); };
struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 8); __type(key, __u32);
         __array(values, struct inner); } services SEC(".maps");
SEC("xdp") int balance(struct xdp_md *ctx)
{
	__u32 port = 80, which = bpf_get_prandom_u32() & 15;
	void *backends = bpf_map_lookup_elem(&services, &port);
	__u32 *one = backends ? bpf_map_lookup_elem(backends, &which) : 0;
	if (!one || bpf_xdp_adjust_head(ctx, -20))
		return XDP_DROP;
	count(*one);
	return XDP_TX;
}
""",
    "conntrack": """
struct bpf_ct_opts___x { __s32 netns_id; __s32 error; __u8 l4proto, dir, reserved[2]; };
struct nf_conn *bpf_$where_ct_lookup(struct $context *, struct bpf_sock_tuple *, __u32,
					struct bpf_ct_opts___x *, __u32) __ksym;
void bpf_ct_release(struct nf_conn *) __ksym;
SEC("$section") int track(struct $context *ctx)
{
	struct bpf_sock_tuple tuple = { .ipv4.dport = bpf_htons(80) };
	struct bpf_ct_opts___x opts = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *ct = bpf_$where_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	if (ct)
		bpf_ct_release(ct);
	count(opts.error);
	return $verdict;
}
""",
    "tunnel": """
SEC("tc") int encapsulate(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = { .tunnel_id = 7, .remote_ipv4 = 0x0a000001, .tunnel_ttl = 64 };
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return TC_ACT_SHOT;
	count(skb->len);
	return bpf_redirect(5, 0);
}
SEC("tc") int decapsulate(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {};
	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
		return TC_ACT_OK;
	send(skb, key.tunnel_id, key.remote_ipv4);
	return TC_ACT_OK;
}
""",
    "cookies": """
SEC("tc") int by_socket(struct __sk_buff *skb)
{
	count(bpf_get_socket_cookie(skb));
	send(skb, bpf_get_netns_cookie(skb), bpf_get_socket_uid(skb));
	return bpf_skb_cgroup_id(skb) == 1 ? TC_ACT_OK : TC_ACT_SHOT;
}
""",
    "lookup": """
SEC("tc") int steer(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = { .ipv4.dport = bpf_htons(443) };
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, 0);
	if (!sk)
		return TC_ACT_OK;
	count(sk->mark);
	bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return TC_ACT_OK;
}
""",
    "sockops": """
struct { __uint(type, BPF_MAP_TYPE_$sockets); __uint(max_entries, $entries);
         __type(key, __u32); __type(value, __u64); } sockets SEC(".maps");
SEC("sockops") int established(struct bpf_sock_ops *ops)
{
	__u32 key = ops->local_port & 63;
	if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		bpf_$update(ops, &sockets, &key, BPF_ANY);
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_RTT_CB_FLAG);
	}
	count(ops->op);
	return 1;
}
SEC("sk_msg") int shortcut(struct sk_msg_md *msg)
{
	__u32 key = msg->local_port & 63;
	return bpf_$redirect(msg, &sockets, $key, BPF_F_INGRESS);
}
""",
    "reuseport": """
struct { __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY); __uint(max_entries, $entries);
         __type(key, __u32); __type(value, __u64); } listeners SEC(".maps");
SEC("sk_reuseport") int choose(struct sk_reuseport_md *md)
{
	__u32 key = md->hash & 3;
	count(key);
	return bpf_sk_select_reuseport(md, &listeners, &key, 0) ? SK_DROP : SK_PASS;
}
""",
    "sk_lookup": """
struct { __uint(type, BPF_MAP_TYPE_SOCKMAP); __uint(max_entries, $entries);
         __type(key, __u32); __type(value, __u64); } servers SEC(".maps");
SEC("sk_lookup") int dispatch(struct bpf_sk_lookup *ctx)
{
	__u32 zero = 0;
	struct bpf_sock *sk = bpf_map_lookup_elem(&servers, &zero);
	long error;
	if (!sk)
		return SK_DROP;
	error = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	count(error);
	return error ? SK_DROP : SK_PASS;
}
""",
    "connect": """
struct { __uint(type, BPF_MAP_TYPE_SK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC);
         __type(key, int); __type(value, __u64); } opened SEC(".maps");
SEC("cgroup/connect4") int translate(struct bpf_sock_addr *ctx)
{
	__u64 *when = bpf_sk_storage_get(&opened, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	int one = 1;
	if (when)
		*when = bpf_ktime_get_ns();
	bpf_setsockopt(ctx, 1, 9, &one, sizeof(one));
	ctx->user_port = bpf_htons(8080);
	count($task);
	return 1;
}
""",
    "sysctl": """
SEC("cgroup/sysctl") int deny(struct bpf_sysctl *ctx)
{
	char name[32] = {}, value[16] = {};
	bpf_sysctl_get_name(ctx, name, sizeof(name), 0);
	bpf_sysctl_get_new_value(ctx, value, sizeof(value));
	count(name[0] + value[0]);
	return !ctx->write;
}
""",
    "in_group": """
struct { __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY); __uint(key_size, 4); __uint(value_size, 4);
         __uint(max_entries, 8); } groups SEC(".maps");
SEC("tc") int of_group(struct __sk_buff *skb)
{
	count(skb->mark);
	return bpf_skb_under_cgroup(skb, &groups, 0) == 1 ? TC_ACT_OK : TC_ACT_SHOT;
}
SEC("kprobe/do_exit") int of_task(struct pt_regs *ctx)
{
	count(bpf_current_task_under_cgroup(&groups, 1));
	return 0;
}
""",
    "timer": """
struct slot { struct bpf_timer timer; __u64 ticks; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
         __type(key, __u32); __type(value, struct slot); } timers SEC(".maps");
static int tick(void *map, __u32 *key, struct slot *slot) { slot->ticks++; return 0; }
SEC("tc") int arm(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct slot *slot = bpf_map_lookup_elem(&timers, &zero);
	if (!slot)
		return TC_ACT_OK;
	bpf_timer_init(&slot->timer, &timers, 1);
	bpf_timer_set_callback(&slot->timer, tick);
	bpf_timer_start(&slot->timer, 1000000, 0);
	return TC_ACT_OK;
}
""",
    "tail_calls": """
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8); __uint(key_size, 4);
         __uint(value_size, 4); } stages SEC(".maps");
SEC("tc") int entry(struct __sk_buff *skb)
{
	count(skb->protocol);
	bpf_tail_call(skb, &stages, 1);
	return TC_ACT_SHOT;
}
SEC("tc") int last(struct __sk_buff *skb)
{
	send(skb, skb->hash, skb->len);
	return TC_ACT_OK;
}
""",
    "control": """
struct { __uint(type, BPF_MAP_TYPE_USER_RINGBUF); __uint(max_entries, 4096); } orders SEC(".maps");
static long apply(struct bpf_dynptr *order, void *ctx)
{
	__u32 what = 0;
	bpf_dynptr_read(&what, sizeof(what), order, 0, 0);
	count(what);
	return 0;
}
SEC("syscall") int drain(void *ctx)
{
	return bpf_user_ringbuf_drain(&orders, apply, 0, 0);
}
""",
    "chooser": """
static __attribute__((noinline)) int slow(int n) { count(n); return n / 3; }
static __attribute__((noinline)) int fast(int n) { count(n + 1); return n * 3; }
SEC("xdp") int choose(struct xdp_md *ctx)
{
	int (*way)(int) = ctx->rx_queue_index & 1 ? slow : fast;
	return way(ctx->ingress_ifindex) & 3;
}
""",
}


def source(family: str, seed: int) -> str:
    """The C source of one object."""
    chosen = random.Random(f"{family} {seed}")
    hashed = chosen.choice((True, False))
    in_xdp = chosen.choice((True, False))
    words = {
        "counts": chosen.choice(("HASH", "ARRAY", "LRU_HASH", "PERCPU_HASH", "PERCPU_ARRAY")),
        "entries": chosen.choice(("16", "64", "1024", "4096")),
        "devices": chosen.choice(("DEVMAP", "DEVMAP_HASH")),
        "sockets": "SOCKHASH" if hashed else "SOCKMAP",
        "update": "sock_hash_update" if hashed else "sock_map_update",
        "redirect": "msg_redirect_hash" if hashed else "msg_redirect_map",
        "key": "&key" if hashed else "key",
        "where": "xdp" if in_xdp else "skb",
        "context": "xdp_md" if in_xdp else "__sk_buff",
        "section": "xdp" if in_xdp else "tc",
        "verdict": "XDP_PASS" if in_xdp else "TC_ACT_OK",
        "task": _TASK,
    }
    head = Template(_HEAD).substitute(words, output=_OUTPUTS[chosen.choice(sorted(_OUTPUTS))])
    return head + Template(FAMILIES[family].replace("$where_ct", "${where}_ct")).substitute(words)


def sources(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """As many objects: their names and C sources, each family in turn."""
    families = sorted(FAMILIES)
    for number in range(count):
        family, round_ = families[number % len(families)], number // len(families)
        yield f"{family}_{round_}", source(family, seed + round_)
