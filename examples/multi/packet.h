/* The connection that a packet belongs to: UDP and TCP over IPv4, without options. */
#ifndef PACKET_H
#define PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>

#include "conntrack.h"

struct headers {
	struct ethhdr ethernet;
	struct iphdr ip;
	__be16 source, destination;  /* ports */
} __attribute__((packed));

static __always_inline int read_connection(void *data, void *end, enum direction direction,
					   struct connection *connection)
{
	struct headers *packet = data;

	if ((void *)(packet + 1) > end || packet->ethernet.h_proto != bpf_htons(ETH_P_IP))
		return 0;
	if (packet->ip.ihl != 5)
		return 0;
	if (packet->ip.protocol != IPPROTO_UDP && packet->ip.protocol != IPPROTO_TCP)
		return 0;
	connection->protocol = packet->ip.protocol;
	if (direction == OUTGOING) {
		connection->local = packet->ip.saddr;
		connection->remote = packet->ip.daddr;
		connection->local_port = packet->source;
		connection->remote_port = packet->destination;
	} else {
		connection->local = packet->ip.daddr;
		connection->remote = packet->ip.saddr;
		connection->local_port = packet->destination;
		connection->remote_port = packet->source;
	}
	return 1;
}

#endif
