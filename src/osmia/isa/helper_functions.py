"""The kernel's BPF helper functions: number, C signature, first kernel, one line of meaning.

Numbers are those of `enum bpf_func_id` (include/uapi/linux/bpf.h), which has been
closed since 6.2: newer functions are kfuncs, found through BTF and not by number.
Signatures are those of the documentation in that header, with the context types as
programs see them (`struct __sk_buff`, `struct xdp_md`). "Since" is the first release
of Linus' tree that has the number; a distribution may have backported it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property

from osmia.arguments import names_wrong_arguments
from osmia.records import dataclass

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

# One helper a pair of lines: number, C prototype without the "bpf_" prefix; then
# what it does. A line "since X" holds for what follows it: the enum only grows.
_TABLE: Final = """
since 3.19
1 void *map_lookup_elem(struct bpf_map *map, const void *key)
    The value stored under key, or NULL.
2 long map_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
    Add or replace the value under key, as flags (BPF_ANY, BPF_NOEXIST, BPF_EXIST) allow.
3 long map_delete_elem(struct bpf_map *map, const void *key)
    Remove key and its value.
since 4.1
4 long probe_read(void *dst, u32 size, const void *unsafe_ptr)
    Copy from any address; fails instead of faulting. Use the _user or _kernel form.
5 u64 ktime_get_ns(void)
    Nanoseconds since boot, without time spent suspended.
6 long trace_printk(const char *fmt, u32 fmt_size, ...)
    Write a line to the trace pipe; at most three arguments.
7 u32 get_prandom_u32(void)
    A pseudo-random number, of no cryptographic strength.
8 u32 get_smp_processor_id(void)
    The number of the CPU that runs the program.
9 long skb_store_bytes(struct __sk_buff *skb, u32 offset, const void *from, u32 len, u64 flags)
    Write bytes into the packet; earlier checked packet pointers become invalid.
10 long l3_csum_replace(struct __sk_buff *skb, u32 offset, u64 from, u64 to, u64 size)
    Update a network-layer checksum for a field that changed.
11 long l4_csum_replace(struct __sk_buff *skb, u32 offset, u64 from, u64 to, u64 flags)
    Update a transport-layer checksum for a field that changed.
since 4.2
12 long tail_call(void *ctx, struct bpf_map *prog_array_map, u32 index)
    Continue in another program of a program array; returns only when it cannot.
13 long clone_redirect(struct __sk_buff *skb, u32 ifindex, u64 flags)
    Send a copy of the packet to another interface.
14 u64 get_current_pid_tgid(void)
    Thread group id (process) in the upper 32 bits, thread id in the lower.
15 u64 get_current_uid_gid(void)
    Group id in the upper 32 bits, user id in the lower.
16 long get_current_comm(void *buf, u32 size_of_buf)
    Copy the current task's command name.
since 4.3
17 u32 get_cgroup_classid(struct __sk_buff *skb)
    The net_cls class of the task that sends the packet, or 0.
18 long skb_vlan_push(struct __sk_buff *skb, __be16 vlan_proto, u16 vlan_tci)
    Put a VLAN tag on the packet.
19 long skb_vlan_pop(struct __sk_buff *skb)
    Take the outermost VLAN tag off the packet.
20 long skb_get_tunnel_key(struct __sk_buff *skb, struct bpf_tunnel_key *key, u32 size, u64 flags)
    Read the tunnel metadata that came with the packet.
21 long skb_set_tunnel_key(struct __sk_buff *skb, struct bpf_tunnel_key *key, u32 size, u64 flags)
    Set the tunnel metadata with which the packet is encapsulated.
22 u64 perf_event_read(struct bpf_map *map, u64 flags)
    Read a perf counter; errors look like counts, so prefer perf_event_read_value.
since 4.4
23 long redirect(u32 ifindex, u64 flags)
    Send the packet to another interface once the program returns.
24 u32 get_route_realm(struct __sk_buff *skb)
    The realm of the packet's route, or 0.
25 long perf_event_output(void *ctx, struct bpf_map *map, u64 flags, void *data, u64 size)
    Write a record to a perf event ring, as a raw sample.
since 4.5
26 long skb_load_bytes(const void *skb, u32 offset, void *to, u32 len)
    Copy bytes out of the packet, also from its non-linear part.
since 4.6
27 long get_stackid(void *ctx, struct bpf_map *map, u64 flags)
    Store the stack trace in a map; returns its id there.
28 s64 csum_diff(__be32 *from, u32 from_size, __be32 *to, u32 to_size, __wsum seed)
    The checksum's change when one block is replaced by another.
29 long skb_get_tunnel_opt(struct __sk_buff *skb, void *opt, u32 size)
    Read the tunnel's option bytes (Geneve, VXLAN).
30 long skb_set_tunnel_opt(struct __sk_buff *skb, void *opt, u32 size)
    Set the tunnel's option bytes.
since 4.8
31 long skb_change_proto(struct __sk_buff *skb, __be16 proto, u64 flags)
    Turn an IPv4 packet into an IPv6 one or back; headers are the caller's to fill.
32 long skb_change_type(struct __sk_buff *skb, u32 type)
    Change the packet type (to host, broadcast, multicast, other host).
33 long skb_under_cgroup(struct __sk_buff *skb, struct bpf_map *map, u32 index)
    Whether the packet's socket is below the cgroup at index.
34 u32 get_hash_recalc(struct __sk_buff *skb)
    The packet's flow hash, computed when not known yet.
35 u64 get_current_task(void)
    The address of the current struct task_struct, as a number.
36 long probe_write_user(void *dst, const void *src, u32 len)
    Write to the current task's memory; for experiments, warns in the kernel log.
since 4.9
37 long current_task_under_cgroup(struct bpf_map *map, u32 index)
    Whether the current task is below the cgroup at index.
38 long skb_change_tail(struct __sk_buff *skb, u32 len, u64 flags)
    Make the packet len bytes long.
39 long skb_pull_data(struct __sk_buff *skb, u32 len)
    Make the first len bytes linear, for direct access.
40 s64 csum_update(struct __sk_buff *skb, __wsum csum)
    Add to the packet's complete checksum.
41 void set_hash_invalid(struct __sk_buff *skb)
    Forget the packet's flow hash.
since 4.10
42 long get_numa_node_id(void)
    The NUMA node of the current CPU.
43 long skb_change_head(struct __sk_buff *skb, u32 len, u64 flags)
    Grow the packet at its front by len bytes.
44 long xdp_adjust_head(struct xdp_md *xdp_md, int delta)
    Move the start of the packet by delta bytes.
since 4.11
45 long probe_read_str(void *dst, u32 size, const void *unsafe_ptr)
    Copy a string from any address. Use the _user or _kernel form.
since 4.12
46 u64 get_socket_cookie(void *ctx)
    A number that identifies the socket for the time the system runs.
47 u32 get_socket_uid(struct __sk_buff *skb)
    The user id that owns the packet's socket.
since 4.13
48 long set_hash(struct __sk_buff *skb, u32 hash)
    Set the packet's flow hash.
49 long setsockopt(void *bpf_socket, int level, int optname, void *optval, int optlen)
    Set a socket option.
50 long skb_adjust_room(struct __sk_buff *skb, s32 len_diff, u32 mode, u64 flags)
    Make or remove room between two header layers.
since 4.14
51 long redirect_map(struct bpf_map *map, u64 key, u64 flags)
    Send the packet to the target that the map holds under key.
52 long sk_redirect_map(struct __sk_buff *skb, struct bpf_map *map, u32 key, u64 flags)
    Send the packet to a socket of a sockmap.
53 long sock_map_update(struct bpf_sock_ops *skops, struct bpf_map *map, void *key, u64 flags)
    Put the socket into a sockmap.
since 4.15
54 long xdp_adjust_meta(struct xdp_md *xdp_md, int delta)
    Move the start of the metadata before the packet by delta bytes.
55 long perf_event_read_value(struct bpf_map *map, u64 flags, struct bpf_perf_event_value *buf, \
u32 buf_size)
    Read a perf counter with its enabled and running times.
56 long perf_prog_read_value(struct bpf_perf_event_data *ctx, struct bpf_perf_event_value *buf, \
u32 buf_size)
    Read the counter of the perf event that runs the program.
57 long getsockopt(void *bpf_socket, int level, int optname, void *optval, int optlen)
    Read a socket option.
since 4.16
58 long override_return(struct pt_regs *regs, u64 rc)
    Skip the probed function and return rc from it, where error injection is allowed.
59 long sock_ops_cb_flags_set(struct bpf_sock_ops *bpf_sock, int argval)
    Choose which TCP events call the program.
since 4.17
60 long msg_redirect_map(struct sk_msg_md *msg, struct bpf_map *map, u32 key, u64 flags)
    Send the message to a socket of a sockmap.
61 long msg_apply_bytes(struct sk_msg_md *msg, u32 bytes)
    Let the verdict hold for the next bytes, also beyond this message.
62 long msg_cork_bytes(struct sk_msg_md *msg, u32 bytes)
    Do not run again until that many bytes have come together.
63 long msg_pull_data(struct sk_msg_md *msg, u32 start, u32 end, u64 flags)
    Make a range of the message linear, for direct access.
64 long bind(struct bpf_sock_addr *ctx, struct sockaddr *addr, int addr_len)
    Bind the socket to an address before it connects.
since 4.18
65 long xdp_adjust_tail(struct xdp_md *xdp_md, int delta)
    Move the end of the packet by delta bytes.
66 long skb_get_xfrm_state(struct __sk_buff *skb, u32 index, struct bpf_xfrm_state *xfrm_state, \
u32 size, u64 flags)
    Read an IPsec state of the packet's security path.
67 long get_stack(void *ctx, void *buf, u32 size, u64 flags)
    Copy the stack trace; returns its size in bytes.
68 long skb_load_bytes_relative(const void *skb, u32 offset, void *to, u32 len, u32 start_header)
    Copy bytes out of the packet, counted from the link or network header.
69 long fib_lookup(void *ctx, struct bpf_fib_lookup *params, int plen, u32 flags)
    Look up the route and the neighbour's address.
70 long sock_hash_update(struct bpf_sock_ops *skops, struct bpf_map *map, void *key, u64 flags)
    Put the socket into a sockhash.
71 long msg_redirect_hash(struct sk_msg_md *msg, struct bpf_map *map, void *key, u64 flags)
    Send the message to a socket of a sockhash.
72 long sk_redirect_hash(struct __sk_buff *skb, struct bpf_map *map, void *key, u64 flags)
    Send the packet to a socket of a sockhash.
73 long lwt_push_encap(struct __sk_buff *skb, u32 type, void *hdr, u32 len)
    Put an outer header (SRv6 or IP) on the packet.
74 long lwt_seg6_store_bytes(struct __sk_buff *skb, u32 offset, const void *from, u32 len)
    Write into the outer segment routing header.
75 long lwt_seg6_adjust_srh(struct __sk_buff *skb, u32 offset, s32 delta)
    Grow or shrink the TLVs of the segment routing header.
76 long lwt_seg6_action(struct __sk_buff *skb, u32 action, void *param, u32 param_len)
    Apply an SRv6 action.
77 long rc_repeat(void *ctx)
    Report that the last remote-control key is held down.
78 long rc_keydown(void *ctx, u32 protocol, u64 scancode, u32 toggle)
    Report a remote-control key.
79 u64 skb_cgroup_id(struct __sk_buff *skb)
    The cgroup v2 id of the packet's socket.
80 u64 get_current_cgroup_id(void)
    The cgroup v2 id of the current task.
since 4.19
81 void *get_local_storage(void *map, u64 flags)
    The storage of this program's attachment to a cgroup.
82 long sk_select_reuseport(struct sk_reuseport_md *reuse, struct bpf_map *map, void *key, \
u64 flags)
    Choose the socket of a SO_REUSEPORT group.
83 u64 skb_ancestor_cgroup_id(struct __sk_buff *skb, int ancestor_level)
    The id of an ancestor of the packet's cgroup; level 0 is the root.
since 4.20
84 struct bpf_sock *sk_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, u32 tuple_size, \
u64 netns, u64 flags)
    Find a TCP socket; release it with sk_release.
85 struct bpf_sock *sk_lookup_udp(void *ctx, struct bpf_sock_tuple *tuple, u32 tuple_size, \
u64 netns, u64 flags)
    Find a UDP socket; release it with sk_release.
86 long sk_release(void *sock)
    Give back a socket that a lookup returned.
87 long map_push_elem(struct bpf_map *map, const void *value, u64 flags)
    Add to a queue, stack or bloom filter.
88 long map_pop_elem(struct bpf_map *map, void *value)
    Take from a queue or stack.
89 long map_peek_elem(struct bpf_map *map, void *value)
    Read the next of a queue or stack; ask a bloom filter.
90 long msg_push_data(struct sk_msg_md *msg, u32 start, u32 len, u64 flags)
    Insert room into the message.
since 5.0
91 long msg_pop_data(struct sk_msg_md *msg, u32 start, u32 len, u64 flags)
    Remove bytes from the message.
92 long rc_pointer_rel(void *ctx, s32 rel_x, s32 rel_y)
    Report a remote control's pointer movement.
since 5.1
93 long spin_lock(struct bpf_spin_lock *lock)
    Take the lock in a map value.
94 long spin_unlock(struct bpf_spin_lock *lock)
    Release the lock in a map value.
95 struct bpf_sock *sk_fullsock(struct bpf_sock *sk)
    The full socket of this one, or NULL.
96 struct bpf_tcp_sock *tcp_sock(struct bpf_sock *sk)
    The TCP fields of the socket, or NULL.
97 long skb_ecn_set_ce(struct __sk_buff *skb)
    Mark the packet as having met congestion.
98 struct bpf_sock *get_listener_sock(struct bpf_sock *sk)
    The listening socket of this one, or NULL.
since 5.2
99 struct bpf_sock *skc_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, u32 tuple_size, \
u64 netns, u64 flags)
    Find a TCP socket, also a request or time-wait one.
100 long tcp_check_syncookie(void *sk, void *iph, u32 iph_len, struct tcphdr *th, u32 th_len)
    Whether the segment carries a valid SYN cookie.
101 long sysctl_get_name(struct bpf_sysctl *ctx, char *buf, size_t buf_len, u64 flags)
    Copy the sysctl's name.
102 long sysctl_get_current_value(struct bpf_sysctl *ctx, char *buf, size_t buf_len)
    Copy the sysctl's value.
103 long sysctl_get_new_value(struct bpf_sysctl *ctx, char *buf, size_t buf_len)
    Copy the value being written.
104 long sysctl_set_new_value(struct bpf_sysctl *ctx, const char *buf, size_t buf_len)
    Replace the value being written.
105 long strtol(const char *buf, size_t buf_len, u64 flags, long *res)
    Parse a signed number; returns the characters used.
106 long strtoul(const char *buf, size_t buf_len, u64 flags, unsigned long *res)
    Parse an unsigned number; returns the characters used.
107 void *sk_storage_get(struct bpf_map *map, void *sk, void *value, u64 flags)
    The socket's entry in a storage map, made when flags say so.
108 long sk_storage_delete(struct bpf_map *map, void *sk)
    Remove the socket's entry in a storage map.
since 5.3
109 long send_signal(u32 sig)
    Send a signal to the current process.
since 5.4
110 s64 tcp_gen_syncookie(void *sk, void *iph, u32 iph_len, struct tcphdr *th, u32 th_len)
    Make a SYN cookie: the cookie and, above bit 32, the segment size.
since 5.5
111 long skb_output(void *ctx, struct bpf_map *map, u64 flags, void *data, u64 size)
    Write a record and a packet's bytes to a perf event ring, from tracing.
112 long probe_read_user(void *dst, u32 size, const void *unsafe_ptr)
    Copy from the current task's memory; fails instead of faulting.
113 long probe_read_kernel(void *dst, u32 size, const void *unsafe_ptr)
    Copy from kernel memory; fails instead of faulting.
114 long probe_read_user_str(void *dst, u32 size, const void *unsafe_ptr)
    Copy a string from the current task's memory; returns its size with the NUL.
115 long probe_read_kernel_str(void *dst, u32 size, const void *unsafe_ptr)
    Copy a string from kernel memory; returns its size with the NUL.
since 5.6
116 long tcp_send_ack(void *tp, u32 rcv_nxt)
    Send an ACK, from a congestion control program.
117 long send_signal_thread(u32 sig)
    Send a signal to the current thread.
118 u64 jiffies64(void)
    The kernel's tick counter.
since 5.7
119 long read_branch_records(struct bpf_perf_event_data *ctx, void *buf, u32 size, u64 flags)
    Copy the branch records of the perf event.
120 long get_ns_current_pid_tgid(u64 dev, u64 ino, struct bpf_pidns_info *nsdata, u32 size)
    Process and thread id as seen in a pid namespace.
121 long xdp_output(void *ctx, struct bpf_map *map, u64 flags, void *data, u64 size)
    Write a record and a packet's bytes to a perf event ring, from tracing.
122 u64 get_netns_cookie(void *ctx)
    A number that identifies the network namespace.
123 u64 get_current_ancestor_cgroup_id(int ancestor_level)
    The id of an ancestor of the current task's cgroup; level 0 is the root.
124 long sk_assign(void *ctx, void *sk, u64 flags)
    Choose the socket that receives the packet.
since 5.8
125 u64 ktime_get_boot_ns(void)
    Nanoseconds since boot, with time spent suspended.
126 long seq_printf(struct seq_file *m, const char *fmt, u32 fmt_size, const void *data, \
u32 data_len)
    Print into an iterator's output.
127 long seq_write(struct seq_file *m, const void *data, u32 len)
    Write bytes into an iterator's output.
128 u64 sk_cgroup_id(void *sk)
    The cgroup v2 id of the socket.
129 u64 sk_ancestor_cgroup_id(void *sk, int ancestor_level)
    The id of an ancestor of the socket's cgroup; level 0 is the root.
130 long ringbuf_output(void *ringbuf, void *data, u64 size, u64 flags)
    Copy a record into a ring buffer.
131 void *ringbuf_reserve(void *ringbuf, u64 size, u64 flags)
    Room for a record in a ring buffer, or NULL; submit or discard it.
132 void ringbuf_submit(void *data, u64 flags)
    Hand the reserved record to the reader.
133 void ringbuf_discard(void *data, u64 flags)
    Drop the reserved record.
134 u64 ringbuf_query(void *ringbuf, u64 flags)
    A ring buffer's unread bytes, size or positions.
135 long csum_level(struct __sk_buff *skb, u64 level)
    Change or ask how many checksums were verified.
since 5.9
136 struct tcp6_sock *skc_to_tcp6_sock(void *sk)
    The socket as a tcp6_sock, or NULL.
137 struct tcp_sock *skc_to_tcp_sock(void *sk)
    The socket as a tcp_sock, or NULL.
138 struct tcp_timewait_sock *skc_to_tcp_timewait_sock(void *sk)
    The socket as a tcp_timewait_sock, or NULL.
139 struct tcp_request_sock *skc_to_tcp_request_sock(void *sk)
    The socket as a tcp_request_sock, or NULL.
140 struct udp6_sock *skc_to_udp6_sock(void *sk)
    The socket as a udp6_sock, or NULL.
141 long get_task_stack(struct task_struct *task, void *buf, u32 size, u64 flags)
    Copy a task's stack trace; returns its size in bytes.
since 5.10
142 long load_hdr_opt(struct bpf_sock_ops *skops, void *searchby_res, u32 len, u64 flags)
    Find and copy a TCP header option.
143 long store_hdr_opt(struct bpf_sock_ops *skops, const void *from, u32 len, u64 flags)
    Write a TCP header option.
144 long reserve_hdr_opt(struct bpf_sock_ops *skops, u32 len, u64 flags)
    Reserve room for TCP header options.
145 void *inode_storage_get(struct bpf_map *map, void *inode, void *value, u64 flags)
    The inode's entry in a storage map, made when flags say so.
146 int inode_storage_delete(struct bpf_map *map, void *inode)
    Remove the inode's entry in a storage map.
147 long d_path(const struct path *path, char *buf, u32 sz)
    Copy a file's full path.
148 long copy_from_user(void *dst, u32 size, const void *user_ptr)
    Copy from the current task's memory; may sleep to page it in.
149 long snprintf_btf(char *str, u32 str_size, struct btf_ptr *ptr, u32 btf_ptr_size, u64 flags)
    Print a kernel object by its type.
150 long seq_printf_btf(struct seq_file *m, struct btf_ptr *ptr, u32 ptr_size, u64 flags)
    Print a kernel object by its type into an iterator's output.
151 u64 skb_cgroup_classid(struct __sk_buff *skb)
    The net_cls class of the packet's socket.
152 long redirect_neigh(u32 ifindex, struct bpf_redir_neigh *params, int plen, u64 flags)
    Send the packet to another interface and let the kernel fill its Ethernet header.
153 void *per_cpu_ptr(const void *percpu_ptr, u32 cpu)
    A per-CPU kernel variable on the given CPU, or NULL.
154 void *this_cpu_ptr(const void *percpu_ptr)
    A per-CPU kernel variable on this CPU.
155 long redirect_peer(u32 ifindex, u64 flags)
    Send the packet to the peer of a device in another network namespace.
since 5.11
156 void *task_storage_get(struct bpf_map *map, struct task_struct *task, void *value, u64 flags)
    The task's entry in a storage map, made when flags say so.
157 long task_storage_delete(struct bpf_map *map, struct task_struct *task)
    Remove the task's entry in a storage map.
158 struct task_struct *get_current_task_btf(void)
    The current task, as a pointer that can be followed.
159 long bprm_opts_set(struct linux_binprm *bprm, u64 flags)
    Set options of a program about to be executed.
160 u64 ktime_get_coarse_ns(void)
    Nanoseconds since boot at the last tick: cheap, coarse.
161 long ima_inode_hash(struct inode *inode, void *dst, u32 size)
    Copy the inode's stored IMA hash.
162 struct socket *sock_from_file(struct file *file)
    The socket of a file, or NULL.
since 5.12
163 long check_mtu(void *ctx, u32 ifindex, u32 *mtu_len, s32 len_diff, u64 flags)
    Whether the packet, changed by len_diff bytes, fits the interface.
since 5.13
164 long for_each_map_elem(struct bpf_map *map, void *callback_fn, void *callback_ctx, u64 flags)
    Call a function for each entry of a map.
165 long snprintf(char *str, u32 str_size, const char *fmt, u64 *data, u32 data_len)
    Print into a buffer; returns the size the whole text needs.
since 5.14
166 long sys_bpf(u32 cmd, void *attr, u32 attr_size)
    The bpf system call, for programs of type syscall.
167 long btf_find_by_name_kind(char *name, int name_sz, u32 kind, int flags)
    A kernel type's BTF id by name and kind.
168 long sys_close(u32 fd)
    Close a descriptor, for programs of type syscall.
since 5.15
169 long timer_init(struct bpf_timer *timer, struct bpf_map *map, u64 flags)
    Prepare the timer in a map value.
170 long timer_set_callback(struct bpf_timer *timer, void *callback_fn)
    Choose what the timer calls.
171 long timer_start(struct bpf_timer *timer, u64 nsecs, u64 flags)
    Start the timer, nsecs nanoseconds from now.
172 long timer_cancel(struct bpf_timer *timer)
    Stop the timer and wait for its callback.
173 u64 get_func_ip(void *ctx)
    The address of the traced function.
174 u64 get_attach_cookie(void *ctx)
    The number given when this program was attached.
175 long task_pt_regs(struct task_struct *task)
    The address of the task's saved user registers.
since 5.16
176 long get_branch_snapshot(void *entries, u32 size, u64 flags)
    Copy the CPU's last branch records.
177 long trace_vprintk(const char *fmt, u32 fmt_size, const void *data, u32 data_len)
    Write a line to the trace pipe, with any number of arguments.
178 struct unix_sock *skc_to_unix_sock(void *sk)
    The socket as a unix_sock, or NULL.
179 long kallsyms_lookup_name(const char *name, int name_sz, int flags, u64 *res)
    A kernel symbol's address, for programs of type syscall.
since 5.17
180 long find_vma(struct task_struct *task, u64 addr, void *callback_fn, void *callback_ctx, \
u64 flags)
    Call a function with the memory area that holds the address.
181 long loop(u32 nr_loops, void *callback_fn, void *callback_ctx, u64 flags)
    Call a function nr_loops times, or until it returns 1.
182 long strncmp(const char *s1, u32 s1_sz, const char *s2)
    Compare with a constant string, as strncmp(3).
183 long get_func_arg(void *ctx, u32 n, u64 *value)
    Argument n of the traced function.
184 long get_func_ret(void *ctx, u64 *value)
    The traced function's return value.
185 long get_func_arg_cnt(void *ctx)
    How many arguments the traced function has.
since 5.18
186 int get_retval(void)
    What the system call will return, in a cgroup program.
187 int set_retval(int retval)
    Set what the system call will return, in a cgroup program.
188 u64 xdp_get_buff_len(struct xdp_md *xdp_md)
    The packet's size with all its fragments.
189 long xdp_load_bytes(struct xdp_md *xdp_md, u32 offset, void *buf, u32 len)
    Copy bytes out of the packet, also from its fragments.
190 long xdp_store_bytes(struct xdp_md *xdp_md, u32 offset, void *buf, u32 len)
    Write bytes into the packet, also into its fragments.
191 long copy_from_user_task(void *dst, u32 size, const void *user_ptr, struct task_struct *tsk, \
u64 flags)
    Copy from another task's memory; may sleep.
192 long skb_set_tstamp(struct __sk_buff *skb, u64 tstamp, u32 tstamp_type)
    Set the packet's time stamp and its clock.
193 long ima_file_hash(struct file *file, void *dst, u32 size)
    Compute and copy the file's IMA hash.
since 5.19
194 void *kptr_xchg(void *dst, void *ptr)
    Exchange the kernel pointer in a map value; returns the old one.
195 void *map_lookup_percpu_elem(struct bpf_map *map, const void *key, u32 cpu)
    The value under key on the given CPU, or NULL.
196 struct mptcp_sock *skc_to_mptcp_sock(void *sk)
    The socket as an mptcp_sock, or NULL.
197 long dynptr_from_mem(void *data, u64 size, u64 flags, struct bpf_dynptr *ptr)
    Make a dynamic pointer to a map value's memory.
198 long ringbuf_reserve_dynptr(void *ringbuf, u32 size, u64 flags, struct bpf_dynptr *ptr)
    Reserve a ring buffer record of a size known at run time.
199 void ringbuf_submit_dynptr(struct bpf_dynptr *ptr, u64 flags)
    Hand the reserved record to the reader.
200 void ringbuf_discard_dynptr(struct bpf_dynptr *ptr, u64 flags)
    Drop the reserved record.
201 long dynptr_read(void *dst, u64 len, const struct bpf_dynptr *src, u64 offset, u64 flags)
    Copy out of a dynamic pointer.
202 long dynptr_write(const struct bpf_dynptr *dst, u64 offset, void *src, u64 len, u64 flags)
    Copy into a dynamic pointer.
203 void *dynptr_data(const struct bpf_dynptr *ptr, u64 offset, u64 len)
    A plain pointer to a part of a dynamic pointer's memory, or NULL.
since 6.0
204 s64 tcp_raw_gen_syncookie_ipv4(struct iphdr *iph, struct tcphdr *th, u32 th_len)
    Make a SYN cookie without a listening socket, IPv4.
205 s64 tcp_raw_gen_syncookie_ipv6(struct ipv6hdr *iph, struct tcphdr *th, u32 th_len)
    Make a SYN cookie without a listening socket, IPv6.
206 long tcp_raw_check_syncookie_ipv4(struct iphdr *iph, struct tcphdr *th)
    Check a SYN cookie without a listening socket, IPv4.
207 long tcp_raw_check_syncookie_ipv6(struct ipv6hdr *iph, struct tcphdr *th)
    Check a SYN cookie without a listening socket, IPv6.
since 6.1
208 u64 ktime_get_tai_ns(void)
    International Atomic Time in nanoseconds.
209 long user_ringbuf_drain(struct bpf_map *map, void *callback_fn, void *ctx, u64 flags)
    Call a function for each record that user space put into a ring buffer.
since 6.2
210 void *cgrp_storage_get(struct bpf_map *map, struct cgroup *cgroup, void *value, u64 flags)
    The cgroup's entry in a storage map, made when flags say so.
211 long cgrp_storage_delete(struct bpf_map *map, struct cgroup *cgroup)
    Remove the cgroup's entry in a storage map.
"""


@dataclass(frozen=True, slots=True)
class HelperFunction:
    """One helper: `name` is as C calls it, "bpf_map_lookup_elem".

    `arguments` are (C type, name) pairs; a variadic helper's last pair is ("...", "").
    `since` is the first kernel release that knows `id`.
    """

    id: int
    name: str
    returns: str
    arguments: tuple[tuple[str, str], ...]
    since: str
    doc: str


def _prototype(text: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Split "long f(u32 a, void *b)" into name, return type and arguments."""
    head, _, rest = text.partition("(")
    returns, name = _declaration(head)
    parameters = rest.removesuffix(")")
    if parameters == "void":
        return name, returns, ()
    return name, returns, tuple(_declaration(one) for one in parameters.split(", "))


def _declaration(text: str) -> tuple[str, str]:
    """Split "const void *key" into ("const void *", "key")."""
    if text == "...":
        return text, ""
    cut = max(text.rfind(" "), text.rfind("*")) + 1
    return text[:cut].rstrip(), text[cut:]


class _Helpers(Mapping[int, HelperFunction]):
    """The table's helpers by number; a line is read when its helper is asked for."""

    def __init__(self) -> None:
        self._read: dict[int, HelperFunction] = {}

    @cached_property
    def _lines(self) -> dict[int, tuple[str, str, str]]:
        """By number: prototype, since which kernel, what it does."""
        found, since = {}, ""
        lines = iter(_TABLE.strip().split("\n"))
        for line in lines:
            number, _, rest = line.partition(" ")
            if number == "since":
                since = rest
            else:
                found[int(number)] = rest, since, next(lines).strip()
        return found

    def __getitem__(self, number: int) -> HelperFunction:
        held = self._read.get(number)
        if held is None:
            prototype, since, doc = self._lines[number]
            name, returns, arguments = _prototype(prototype)
            held = HelperFunction(number, f"bpf_{name}", returns, arguments, since, doc)
            self._read[number] = held
        return held

    def __iter__(self) -> Iterator[int]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"<{len(self)} BPF helpers by number>"


HELPERS: Final[Mapping[int, HelperFunction]] = _Helpers()
"""All helpers by number."""


@cache
def _ids() -> dict[str, int]:
    return {helper.name: helper.id for helper in HELPERS.values()}


@names_wrong_arguments
def helper_id(name: str) -> int:
    """The number of a helper, named with or without "bpf_"; 0 when there is none of that name."""
    ids = _ids()
    return ids.get(name, 0) or ids.get(f"bpf_{name}", 0)


def helper_name(number: int) -> str | None:
    """The name that the kernel's verifier prints for a helper, or None for an unknown number."""
    helper = HELPERS.get(number)
    return helper.name if helper else None
