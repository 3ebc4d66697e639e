"""The only door to the kernel: bpf(2), netlink, perf events, and what they are given."""
