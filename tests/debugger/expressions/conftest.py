"""A program with one of each kind of thing that expressions lead to."""

from __future__ import annotations

import pytest

from osmia.debugger import Session

from ..conftest import Begin, line_of

SOURCE = """
typedef unsigned short port_t;
enum colour { RED = 1, BLUE = 70000 };
struct leaf { __u32 len; struct leaf *next; char name[8]; };
struct bits { __u32 low : 3; __s32 high : 5; __u64 wide : 40; };
struct key { __u32 a; __u32 b; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, struct key); __type(value, struct leaf); } leaves SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
         __type(key, __u32); __type(value, __u64); } slots SEC(".maps");
struct leaf first = {.len = 7, .name = "ab"}, second = {.len = 9};
struct leaf *chain;
struct bits bits = {.low = 5, .high = -3, .wide = 1};
enum colour colour = BLUE;
port_t port = 0xffff;
__s8 small = -1;
__u8 byte = 200;
__u32 zero, numbers[4] = {10, 20, 30, 40};
__u32 *cursor;
const volatile int limit = 3;
static __attribute__((noinline)) int touch(void) { return zero; }
SEC("xdp") int prog(struct xdp_md *ctx)
{
	struct key key = {1, 2};
	__u32 one = 1;
	__u64 *slot = bpf_map_lookup_elem(&slots, &one);
	chain = &first;
	first.next = &second;
	cursor = &numbers[1];
	bpf_map_update_elem(&leaves, &key, &first, 0);
	if (slot)
		*slot = 1ull << 40;
	touch();
	return limit + colour + port + small + byte + bits.low;
}
"""


@pytest.fixture
def session(begin: Begin) -> Session:
    """Stands where all is set."""
    held = begin(SOURCE, bytes(range(64)))
    held.break_at(line_of(SOURCE, "return limit + colour"))
    held.continue_()
    return held
