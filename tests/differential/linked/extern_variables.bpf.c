// A variable in a section of its own that is declared extern before it is defined.
//// first
extern int there SEC(".data.own");
SEC("xdp") int one(struct xdp_md *ctx) { return there; }
//// second
int before SEC(".data.own") = 6;
int there SEC(".data.own") = 7;
SEC("xdp") int two(struct xdp_md *ctx) { return before + there; }
