// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A connection from its first state to its last. Packets that arrive change states, too, whoever runs
 * at that time: a socket's process is the one that connects or closes it.
 */
#include "tcp_states.bpf.h"

struct tcp_sock {
	__u64 bytes_acked, bytes_received;
} __attribute__((preserve_access_index));

struct life {
	__u64 started, duration, sent, got;
	__u32 pid;
	__u16 port, to;
	char process[16];
	__u8 local[16], remote[16];
};

EVENTS_ARE(struct life);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); /* socket */
	__type(value, struct life);
} lives SEC(".maps");

const volatile __u32 only_pid;
const volatile __u16 only_port; /* on either side */

static void send(struct trace_event_raw_inet_sock_set_state *ctx, struct life *life)
{
	struct tcp_sock *socket = (void *) ctx->skaddr;

	life->duration = bpf_ktime_get_ns() - life->started;
	life->sent = BPF_CORE_READ(socket, bytes_acked);
	life->got = BPF_CORE_READ(socket, bytes_received);
	life->port = ctx->sport;
	life->to = ctx->dport;
	bpf_core_read(life->local, sizeof(life->local), &ctx->saddr_v6);
	bpf_core_read(life->remote, sizeof(life->remote), &ctx->daddr_v6);
	if (bpf_ringbuf_output(&events, life, sizeof(*life), 0))
		__sync_fetch_and_add(&lost, 1);
}

SEC("tp/sock/inet_sock_set_state")
int changed(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u64 key = (__u64) ctx->skaddr;
	struct life *life, new = {.started = bpf_ktime_get_ns()};
	int state = ctx->newstate;

	if (ctx->protocol != TCP ||
	    (only_port && ctx->sport != only_port && ctx->dport != only_port))
		return 0;
	if (state == SYN_SENT || state == ESTABLISHED)
		bpf_map_update_elem(&lives, &key, &new, BPF_NOEXIST);
	life = bpf_map_lookup_elem(&lives, &key);
	if (!life)
		return 0; /* it was there before this program */
	if (!life->pid && (state == SYN_SENT || state == FIN_WAIT1 || state == LAST_ACK)) {
		life->pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(life->process, sizeof(life->process));
	}
	if (state == CLOSE) {
		if (!only_pid || life->pid == only_pid)
			send(ctx, life);
		bpf_map_delete_elem(&lives, &key);
	}
	return 0;
}
