/* A struct for each meaning, of members that have it; and members that look alike and have none. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef long long ktime_t;
typedef unsigned short __be16;
typedef unsigned int __be32;
typedef unsigned long long __be64;
typedef __be32 vip_t;
typedef u8 mac_addr_t[6];
typedef __u32 in_addr_t;
typedef u16 in_port_t;

struct in_addr {
	in_addr_t s_addr;
};

struct in6_addr {
	union {
		u8 u6_addr8[16];
		__be16 u6_addr16[8];
		__be32 u6_addr32[4];
	} in6_u;
};

struct ipv4 {
	__be32 saddr;
	__be32 tun_dst;
	__be32 netmask;
	const volatile __be32 anything;
	vip_t of_typedef;
	struct in_addr sin_addr;
	in_addr_t libc;
	u8 ip[4];
	u8 ipv4[4];
	u8 dst_addr[4];
	u8 v4[4];
};

struct ipv6 {
	struct in6_addr anything;
	u8 saddr_v6[16];
	u8 ip6[16];
	u8 addr6[16];
	u8 in6[16];
	u8 daddr[16];
	u8 source[16];
	__be32 daddr_v6[4];
	__be32 ipv6_src[4];
};

struct port {
	__be16 port;
	__be16 sport;
	const __be16 dstPort;
	in_port_t sin_port;
	__be16 uh_dport;
};

struct be {
	__be16 h_proto;
	__be32 seq;
	__be32 ack_seq;
	__be32 spi;
	__be32 vni;
	__be64 tun_id;
	__be64 anything;
};

struct mac {
	u8 h_source[6];
	unsigned char h_dest[6];
	u8 smac[6];
	u8 mac[6];
	u8 eth_dst[6];
	u8 hwaddr[6];
	mac_addr_t anything;
};

struct text {
	char anything[3];
	char comm[16];
	u8 comm_bytes[16];
};

struct ktime {
	ktime_t anything;
	__u64 ts_ns;
	__u64 start_time_ns;
	__u64 startNs;
	__u64 ktime;
	__u64 last_seen_ns;
};

struct nothing {
	__u32 saddr;
	u16 dport;
	u8 six[6];
	u8 uuid[16];
	u8 flags[4];
	__u32 ipv6[4];
	__be32 addrs[3];
	__u64 ts;
	__u64 timestamp;
	__u64 ts_us;
	__u64 delta_ns;
	__u64 total_time_ns;
	__u64 wait_start_ns;
	__u64 ns;
	ktime_t latency;
	__be16 bits : 4;
	__u32 ts_ns;
};

struct flow {
	__be32 saddr;
	__be16 sport;
	u8 smac[6];
	struct in6_addr next_hop;
	__be32 addrs[2];
	__u64 ts_ns;
	struct {
		__be32 daddr;
	} inner;
	char comm[16];
};

struct v4_key {
	__u32 prefixlen;
	__be32 addr;
};

struct v6_key {
	__u32 prefixlen;
	u8 data[16];
};

struct host_key {
	__u32 prefixlen;
	struct in_addr addr;
};

struct name_key {
	__u32 prefixlen;
	char name[16];
};

struct two_key {
	__u32 prefixlen;
	u16 vrf;
	u16 zone;
};

struct union_key {
	__u32 prefixlen;
	union {
		__be32 v4;
		u8 v6[16];
	};
};

struct tail {
	__u32 count;
	__be32 hops[];
};

struct text_tail {
	__u32 count;
	char rest[];
};

#define USE(type) struct type a_##type
USE(ipv4); USE(ipv6); USE(port); USE(be); USE(mac); USE(text); USE(ktime); USE(nothing); USE(flow);
USE(v4_key); USE(v6_key); USE(host_key); USE(name_key); USE(two_key); USE(union_key);
USE(tail); USE(text_tail);
