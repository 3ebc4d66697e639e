// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A connection from its first state to its last. Packets that arrive change states, too, whoever runs
 * at that time: a socket's process is the one that connects or closes it.
 */
#include "tcp_states.bpf.h"
#include <bpf/bpf_core_read.h>

struct tcp_sock {
	__u64 bytes_acked;
	__u64 bytes_received;
} __attribute__((preserve_access_index));

struct life {
	__u64 started;
	__u32 pid;
	char process[16];
};

struct ended {
	struct life life;
	__u64 duration;
	__u64 sent;
	__u64 received;
	__u16 local_port;
	__u16 remote_port;
	__u8 local[16];
	__u8 remote[16];
};

EVENTS_ARE(struct ended);

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
	struct ended *event = NEW_EVENT(struct ended);

	if (!event)
		return;
	event->life = *life;
	event->duration = bpf_ktime_get_ns() - life->started;
	event->sent = BPF_CORE_READ(socket, bytes_acked);
	event->received = BPF_CORE_READ(socket, bytes_received);
	event->local_port = ctx->sport;
	event->remote_port = ctx->dport;
	bpf_core_read(event->local, sizeof(event->local), &ctx->saddr_v6);
	bpf_core_read(event->remote, sizeof(event->remote), &ctx->daddr_v6);
	bpf_ringbuf_submit(event, 0);
}

SEC("tp/sock/inet_sock_set_state")
int changed(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u64 key = (__u64) ctx->skaddr;
	int state = ctx->newstate;

	if (ctx->protocol != TCP)
		return 0;
	if (only_port && ctx->sport != only_port && ctx->dport != only_port)
		return 0;
	struct life *life = bpf_map_lookup_elem(&lives, &key), new = {};
	if (!life && (state == SYN_SENT || state == ESTABLISHED)) {
		new.started = bpf_ktime_get_ns();
		bpf_map_update_elem(&lives, &key, &new, BPF_ANY);
		life = bpf_map_lookup_elem(&lives, &key);
	}
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
