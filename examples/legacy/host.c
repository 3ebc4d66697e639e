/* The other direction of the example: counts what leaves, in the map that the first object
 * made or makes; whoever is loaded first pins it. */
#include "datapath.h"

SEC("classifier")
int to_container(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *v4 = data + sizeof(*eth);
	struct ipv6hdr *v6 = data + sizeof(*eth);

	if ((void *)(v4 + 1) > end)
		return TC_ACT_OK;
	if (eth->h_proto == bpf_htons(ETH_P_IP) && v4->protocol == IPPROTO_UDP)
		count(skb, LEFT_HOST, 4);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(v6 + 1) <= end &&
		 v6->nexthdr == IPPROTO_UDP)
		count(skb, LEFT_HOST, 6);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
