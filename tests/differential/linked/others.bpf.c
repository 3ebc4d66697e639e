// Sections that no loader reads, tail by tail; a version that both have; a function without callers.
//// first
int __run_config SEC(".run_config") = 3;
__u32 _version SEC("version") = 0x60102;
SEC("xdp") int one(struct xdp_md *ctx) { return 1; }
//// second
long other_config SEC(".run_config") = 4;
__u32 _version SEC("version") = 0x60102;
__noinline int nobody_calls(int value) { return value; }
SEC("xdp") int two(struct xdp_md *ctx) { return 2; }
