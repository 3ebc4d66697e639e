"""What registers point to: followed, not guessed from numbers."""

from __future__ import annotations

from osmia.debugger import Session

from .conftest import Begin, line_of

SOURCE = """
struct entry { __u64 count; __u32 mark; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4);
         __type(key, __u32); __type(value, struct entry); } entries SEC(".maps");
volatile __u64 number;
static __attribute__((noinline)) __u64 read(__u8 *at, __u64 other)
{
	return *(volatile __u8 *)at + other;
}
SEC("xdp") int look(struct xdp_md *ctx)
{
	__u8 *volatile kept = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 other = number;
	__u32 key = 7;
	struct entry first = {1, 2}, *found;
	bpf_map_update_elem(&entries, &key, &first, 0);
	found = bpf_map_lookup_elem(&entries, &key);
	if (!found || (void *)(long)ctx->data + 14 > end)
		return XDP_ABORTED;
	found->mark = 3;
	return read((void *)(long)ctx->data + 4, other) & 1 ? XDP_PASS : XDP_DROP;
}
"""


def pointers(session: Session) -> dict[str, str]:
    """What registers of the innermost function point to."""
    return {name: str(each.pointer) for name, each in session.registers.items() if each.pointer}


def test_arguments_keep_what_they_point_to_and_numbers_are_none(begin: Begin) -> None:
    session = begin(SOURCE)
    assert pointers(session) == {"r1": "context, struct xdp_md *", "r10": "stack of look+0"}
    session.data["number"] = session.ctx.data + 8  # an address by chance
    session.break_at(function="read")
    session.continue_()
    told = pointers(session)
    assert told.pop("r10") == "stack of read+0"
    assert told == {"r1": "packet+4"}
    assert session.registers["r2"].value == session.data["number"]


def test_pointers_come_back_from_the_stack(begin: Begin) -> None:
    session = begin(SOURCE)
    start = session.ctx.data
    session.until(line_of(SOURCE, "__u64 other = number"))
    (place,) = (
        address
        for address in session.machine.tracking.spilled
        if session.evaluate(f"u64({address})") == start
    )
    assert session.frames[0].pointer - 512 <= place < session.frames[0].pointer


def test_values_of_maps_have_their_key_and_type(begin: Begin) -> None:
    session = begin(SOURCE)
    session.break_at(line_of(SOURCE, "found->mark"))
    session.continue_()
    assert "value of entries[7], struct entry *" in pointers(session).values()
    value = next(r for r in session.registers.values() if "entries" in str(r.pointer))
    assert value.pointer is not None and value.pointer.key == 7
    session.back()
    session.step()
    assert "value of entries[7], struct entry *" in pointers(session).values()


def test_a_register_that_is_assigned_points_where_it_leads(begin: Begin) -> None:
    session = begin(SOURCE)
    session.registers["r5"] = session.ctx.data + 2
    session.registers["r1"] = 5
    assert pointers(session)["r5"] == "packet+2" and "r1" not in pointers(session)


def test_sums_of_pointers_are_pointers_and_their_distance_is_not(begin: Begin) -> None:
    source = """
    SEC("xdp") int size(struct xdp_md *ctx)
    {
        return ctx->data_end - ctx->data;
    }
    """
    session = begin(source)
    while session.step(instruction=True).result is None:
        last = session.registers["r0"]
    assert last.value == 64 and last.pointer is None
