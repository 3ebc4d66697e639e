/* Packets that come in must belong to a connection that was opened from here. */
#include "packet.h"

char LICENSE[] SEC("license") = "GPL";

SEC("xdp") int ingress(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct connection connection = {};

	if (!read_connection(data, end, INCOMING, &connection))
		return XDP_PASS;
	if (conntrack_known(&connection, end - data))
		return XDP_PASS;
	__sync_fetch_and_add(&refused, 1);
	return XDP_DROP;
}
