/* What conntrack.bpf.c defines, for the objects that are linked against it. */
#ifndef CONNTRACK_H
#define CONNTRACK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum direction { OUTGOING, INCOMING };

struct connection {
	__be32 local, remote;
	__be16 local_port, remote_port;
	__u32 protocol;
};

struct traffic {
	__u64 packets[2];  /* by direction */
	__u64 bytes[2];
};

struct connections {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct connection);
	__type(value, struct traffic);
};

extern struct connections connections SEC(".maps");

/* How many connections were opened, and how many packets belonged to none. */
extern __u64 opened;
extern __u64 refused;

/* Both count a packet of `length` bytes; they say whether the connection is known, and
 * `conntrack_open` makes it so where it is not. */
extern int conntrack_open(struct connection *connection, __u32 length);
extern int conntrack_known(struct connection *connection, __u32 length);

#endif
