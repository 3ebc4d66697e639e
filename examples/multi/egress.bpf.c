/* Packets that leave open connections. */
#include <linux/pkt_cls.h>

#include "packet.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tc/egress") int egress(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct connection connection = {};

	if (read_connection(data, end, OUTGOING, &connection))
		conntrack_open(&connection, skb->len);
	return TC_ACT_OK;
}
