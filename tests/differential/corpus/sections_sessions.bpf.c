// Sections: sessions, one program on the way in and out, and many functions at once.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("kprobe.multi/vfs_*") int a(void *ctx) { return 0; }
SEC("kretprobe.multi/vfs_*") int b(void *ctx) { return 0; }
SEC("kprobe.session/vfs_read") int c(void *ctx) { return 0; }
SEC("uprobe.session//bin/sh:main") int d(void *ctx) { return 0; }
SEC("uprobe.session.s//bin/sh:main") int e(void *ctx) { return 0; }
