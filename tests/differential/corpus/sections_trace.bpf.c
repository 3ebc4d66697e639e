// Sections: tracing by name, where loading needs no target.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 count;

#define PROGRAM(name, section) \
	SEC(section) int name(void *ctx) { __sync_fetch_and_add(&count, 1); return 0; }

PROGRAM(a, "kprobe/do_sys_openat2")
PROGRAM(b, "kretprobe/do_sys_openat2")
PROGRAM(c, "kprobe/vfs_read+0x4")
PROGRAM(d, "uprobe//bin/sh:main")
PROGRAM(e, "uretprobe/libc.so.6:malloc")
PROGRAM(f, "uprobe.s")
PROGRAM(g, "uretprobe.s")
PROGRAM(h, "ksyscall/nanosleep")
PROGRAM(i, "kretsyscall/nanosleep")
PROGRAM(j, "tp/syscalls/sys_enter_openat")
PROGRAM(k, "tracepoint/sched/sched_process_exec")
PROGRAM(l, "raw_tp/sched_process_exit")
PROGRAM(m, "raw_tracepoint/sched_process_fork")
PROGRAM(n, "raw_tp.w/bpf_test_finish")
PROGRAM(o, "perf_event")
PROGRAM(p, "usdt/libc.so.6:libc:setjmp")
PROGRAM(q, "kprobe")
PROGRAM(r, "raw_tp")
