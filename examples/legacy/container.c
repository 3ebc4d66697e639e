/* A datapath as they were built in 2018: what comes from a container's device is parsed by
 * a program for its address family, then judged by the policy program of the endpoint that
 * it is for. All these are tail calls; so is the notice of a packet that is dropped. */
#include "datapath.h"

MAP(calls) = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.size_key = sizeof(__u32),
	.size_value = sizeof(__u32),
	.max_elem = CALLS,
	.id = CALLS_ID,
	.pinning = PIN_GLOBAL_NS,
};

MAP(policy_calls) = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.size_key = sizeof(__u32),
	.size_value = sizeof(__u32),
	.max_elem = ENDPOINTS,
	.id = POLICY_CALLS_ID,
	.pinning = PIN_GLOBAL_NS,
};

struct address {
	__u32 words[4]; /* an IPv4 address in the first */
};

MAP(endpoints) = {
	.type = BPF_MAP_TYPE_HASH,
	.size_key = sizeof(struct address),
	.size_value = sizeof(__u32),
	.max_elem = 256,
	.pinning = PIN_GLOBAL_NS,
};
BPF_ANNOTATE_KV_PAIR(endpoints, struct address, __u32);

/* The ports that may be reached, by endpoint. */
MAP(policies) = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
	.size_key = sizeof(__u32),
	.size_value = sizeof(__u32),
	.max_elem = ENDPOINTS,
	.inner_id = POLICY_ID,
};

#define POLICY(endpoint)                                                       \
	MAP(policy_##endpoint) = {                                             \
		.type = BPF_MAP_TYPE_HASH,                                     \
		.size_key = sizeof(__u16),                                     \
		.size_value = sizeof(__u8),                                    \
		.max_elem = 128,                                               \
		.id = POLICY_ID,                                               \
		.inner_idx = endpoint,                                         \
		.pinning = PIN_GLOBAL_NS,                                      \
	}

POLICY(10);
POLICY(20);

MAP(events) = {
	.type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	.size_key = sizeof(__u32),
	.size_value = sizeof(__u32),
	.max_elem = 128,
	.pinning = PIN_GLOBAL_NS,
};

struct drop {
	__u32 reason;
	__u32 endpoint;
	__u32 port;
	__u32 length;
};

static __always_inline int drop(struct __sk_buff *skb, __u32 reason)
{
	skb->cb[CB_REASON] = reason;
	bpf_tail_call(skb, &calls, CALL_DROP_NOTIFY);
	return TC_ACT_SHOT;
}

SEC("1/0")
int drop_notify(struct __sk_buff *skb)
{
	struct drop notice = {
		.reason = skb->cb[CB_REASON],
		.endpoint = skb->cb[CB_ENDPOINT],
		.port = skb->cb[CB_PORT],
		.length = skb->len,
	};

	count(skb, notice.reason, notice.endpoint);
	bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU, &notice, sizeof(notice));
	return TC_ACT_SHOT;
}

/* One function for all endpoints' programs, in .text: a call, not inlined code. */
static __noinline int judge(struct __sk_buff *skb, __u32 endpoint)
{
	__u16 port = skb->cb[CB_PORT];
	void *policy = bpf_map_lookup_elem(&policies, &endpoint);
	__u8 *allowed = policy ? bpf_map_lookup_elem(policy, &port) : 0;

	return allowed && *allowed;
}

static __always_inline int verdict(struct __sk_buff *skb, __u32 endpoint)
{
	if (!judge(skb, endpoint))
		return drop(skb, DROP_POLICY);
	count(skb, FORWARDED, endpoint);
	return TC_ACT_OK;
}

SEC("2/10") int policy_of_10(struct __sk_buff *skb) { return verdict(skb, 10); }
SEC("2/20") int policy_of_20(struct __sk_buff *skb) { return verdict(skb, 20); }

static __always_inline int deliver(struct __sk_buff *skb, struct address *to, __u16 port)
{
	__u32 *endpoint = bpf_map_lookup_elem(&endpoints, to);

	skb->cb[CB_PORT] = bpf_ntohs(port);
	if (!endpoint)
		return drop(skb, DROP_NO_ENDPOINT);
	skb->cb[CB_ENDPOINT] = *endpoint;
	bpf_tail_call(skb, &policy_calls, *endpoint);
	return drop(skb, DROP_MISSED_CALL);
}

SEC("1/1")
int handle_ipv4(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct udphdr *udp = (void *)(ip + 1);
	struct address to = {};

	if ((void *)(udp + 1) > end)
		return drop(skb, DROP_MALFORMED);
	to.words[0] = ip->daddr;
	return deliver(skb, &to, udp->dest);
}

SEC("1/2")
int handle_ipv6(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);
	struct udphdr *udp = (void *)(ip + 1);
	struct address to;

	if ((void *)(udp + 1) > end)
		return drop(skb, DROP_MALFORMED);
	__builtin_memcpy(&to, &ip->daddr, sizeof(to));
	return deliver(skb, &to, udp->dest);
}

SEC("from-container")
int entry(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *v4 = data + sizeof(*eth);
	struct ipv6hdr *v6 = data + sizeof(*eth);

	skb->cb[CB_REASON] = skb->cb[CB_ENDPOINT] = skb->cb[CB_PORT] = 0;
	if ((void *)(v4 + 1) > end)
		return TC_ACT_OK;
	if (eth->h_proto == bpf_htons(ETH_P_IP) && v4->protocol == IPPROTO_UDP) {
		bpf_tail_call(skb, &calls, CALL_IPV4);
		return drop(skb, DROP_MISSED_CALL);
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(v6 + 1) <= end &&
	    v6->nexthdr == IPPROTO_UDP) {
		bpf_tail_call(skb, &calls, CALL_IPV6);
		return drop(skb, DROP_MISSED_CALL);
	}
	return TC_ACT_OK; /* ARP, neighbour discovery */
}

char _license[] SEC("license") = "GPL";
