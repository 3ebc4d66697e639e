"""A datapath with a dozen features that settings turn on: C source for benches and tests.

The entry program looks at each feature in turn. One that is on counts in maps of its own and
some of them go on in programs of their own, by tail calls; every program ends with a verdict
that tells what was done.
"""

from __future__ import annotations

FEATURES = 12
#: Features whose work is a program by tail call, with how many programs it takes: 19 in all.
PROGRAMS = {0: 3, 1: 1, 2: 2, 3: 1, 4: 4, 5: 1, 6: 2, 7: 1, 8: 3, 9: 1}
#: Maps of each feature: 30 with the prog array.
MAPS = (3, 2, 3, 2, 3, 2, 2, 2, 3, 2, 3, 2)

_HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ARRAY(name) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1024); \\
    __type(key, __u32); __type(value, __u64[4]); } name SEC(".maps")

struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 64); __type(key, __u32);
    __type(value, __u32); } stages SEC(".maps");

static __attribute__((noinline)) __u64 count(void *map, __u32 key, __u64 by)
{
    __u64 *value = bpf_map_lookup_elem(map, &key);
    if (!value)
        return 0;
    value[0] += by;
    value[1] ^= value[0] * 31;
    return value[1];
}
"""


def source() -> str:
    """The C source. Settings are `feature_0` to `feature_11`, all on (1)."""
    parts = [_HEAD]
    for feature, maps in enumerate(MAPS):
        parts += [f"ARRAY(map_{feature}_{number});" for number in range(maps)]
        parts.append(f"const volatile int feature_{feature} = 1;")
    for feature, maps in enumerate(MAPS):
        counts = "\n".join(
            f"    sum += count(&map_{feature}_{number}, length & 63, {feature + number + 1});"
            for number in range(maps)
        )
        parts.append(
            f"static __attribute__((noinline)) __u64 work_{feature}(__u32 length)\n"
            f"{{\n    __u64 sum = {feature};\n{counts}\n    return sum;\n}}"
        )
    slot = 1
    starts: dict[int, int] = {}
    for feature, programs in PROGRAMS.items():
        starts[feature] = slot
        for number in range(programs):
            following = (
                f"    bpf_tail_call(ctx, &stages, {slot + 1});\n" if number + 1 < programs else ""
            )
            parts.append(
                f'SEC("xdp") __tail(stages, {slot})\n'
                f"int stage_{feature}_{number}(struct xdp_md *ctx)\n"
                f"{{\n    __u32 length = ctx->data_end - ctx->data;\n"
                f"    __u64 sum = work_{feature}(length + {number});\n{following}"
                f"    return (sum + {slot}) & 0xffff;\n}}"
            )
            slot += 1
    body = []
    for feature in range(FEATURES):
        if feature in PROGRAMS:
            body.append(
                f"    if (feature_{feature} && length % {FEATURES} == {feature})\n"
                f"        bpf_tail_call(ctx, &stages, {starts[feature]});"
            )
        else:
            body.append(f"    if (feature_{feature})\n        sum += work_{feature}(length);")
    lines = "\n".join(body)
    parts.append(
        'SEC("xdp") int entry(struct xdp_md *ctx)\n{\n'
        "    __u32 length = ctx->data_end - ctx->data;\n    __u64 sum = length;\n"
        f"{lines}\n    return sum & 0xffff;\n}}"
    )
    parts.append('char LICENSE[] SEC("license") = "GPL";')
    return "\n\n".join(parts) + "\n"
