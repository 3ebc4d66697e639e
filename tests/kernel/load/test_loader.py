"""Objects compiled, loaded into the kernel and run: what programs do to maps and data."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import osmia
from osmia.kernel.probes import features
from osmia.passes.running import running_version

pytestmark = pytest.mark.kernel

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""

COUNTER = (
    HEADERS
    + """
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

__u64 total;
const volatile __u32 rate = 3;
int limit = 5;

static __noinline int bump(__u32 key) {
    __u64 one = 1, *count = bpf_map_lookup_elem(&counts, &key);
    if (count) __sync_fetch_and_add(count, 1);
    else bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
    return limit;
}
__noinline int add(int x) { total += x; return x + rate; }

SEC("xdp") int entry(struct xdp_md *ctx) {
    return add(bump(ctx->data_end - ctx->data)) > 8 ? XDP_TX : XDP_PASS;
}
"""
)


@pytest.fixture(scope="module")
def counter() -> osmia.Object:
    return osmia.compile(COUNTER, name="counter.bpf.c")


def test_a_run_changes_maps_and_globals(counter: osmia.Object) -> None:
    with counter.load() as bpf:
        entry = bpf.programs["entry"]
        assert entry.run(bytes(64)).retval == 2
        assert entry.run(bytes(64)).retval == 2
        assert dict(bpf.maps["counts"]) == {64: 2}
        assert bpf.data["total"] == 10
        bpf.data["limit"] = 7
        assert entry.run(bytes(60)).retval == 3
        assert dict(bpf.maps["counts"]) == {64: 2, 60: 1}


def test_constants_are_set_before_load_and_not_after(counter: osmia.Object) -> None:
    changed = counter.copy()
    changed.data["rate"] = 100
    with changed.load() as bpf:
        assert bpf.programs["entry"].run(bytes(64)).retval == 3
        assert bpf.data["rate"] == 100
        with pytest.raises(osmia.OsmiaError, match="rate"):
            bpf.data["rate"] = 1


@pytest.mark.parametrize("engine", ["kernel", "vm"])
def test_a_wrong_name_is_answered_with_a_near_one(counter: osmia.Object, engine: str) -> None:
    with counter.load(engine) as bpf:
        with pytest.raises(KeyError, match="has no map 'count'; did you mean 'counts'"):
            bpf.maps["count"]
        with pytest.raises(KeyError, match="has no program 'nothing_like_it'"):
            bpf.programs["nothing_like_it"]


def test_everything_is_closed_when_a_program_is_rejected() -> None:
    obj = osmia.compile(
        HEADERS
        + 'int seen; SEC("xdp") int good(struct xdp_md *c) { seen++; return 0; }\n'
        + 'SEC("xdp") int bad(struct xdp_md *c) { return *(int *)(long)c->data; }\n',
        name="bad.bpf.c",
    )
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(osmia.VerifierError, match="'bad'") as caught:
        obj.load()
    assert "bad.bpf.c" in str(caught.value)
    assert caught.value.log
    del caught
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_programs_with_autoload_off_are_left_alone(counter: osmia.Object) -> None:
    quiet = counter.copy()
    quiet.programs["entry"] = replace(quiet.programs["entry"], autoload=False)
    with quiet.load() as bpf:
        assert not bpf.programs
        assert "counts" in bpf.maps


def test_an_unknown_section_is_an_error_at_load() -> None:
    obj = osmia.compile(HEADERS + 'SEC("xpd") int p(struct xdp_md *c) { return 0; }')
    with pytest.raises(osmia.ObjectFormatError, match="did you mean 'xdp'"):
        obj.load()


@pytest.mark.parametrize(
    ("section", "since"),
    [("fsession/bpf_fentry_test1", "7.0"), ("fentry.multi.s/bpf_fentry_test*", "7.1")],
)
def test_a_section_that_is_newer_than_the_kernel_says_since_when_it_is(
    section: str, since: str
) -> None:
    obj = osmia.compile(HEADERS + f'SEC("{section}") int p(void *ctx) {{ return 0; }}')
    if features.kernel_is_older_than(since):
        with pytest.raises(osmia.NotSupportedError, match=f"needs Linux {since} or newer"):
            obj.load()
    else:
        obj.load().close()


def test_maps_are_pinned_reused_and_compared(bpffs: Path) -> None:
    source = (
        HEADERS
        + """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, ENTRIES); __type(key, __u32);
         __type(value, __u64); __uint(pinning, LIBBPF_PIN_BY_NAME); } shared SEC(".maps");
SEC("xdp") int p(struct xdp_md *c) {
    __u32 zero = 0;
    __u64 *value = bpf_map_lookup_elem(&shared, &zero);
    if (value) (*value)++;
    return XDP_PASS;
}
"""
    )
    obj = osmia.compile(source, defines={"ENTRIES": 4})
    with obj.load(pin_root=bpffs) as first:
        first.programs["p"].run(bytes(64))
        with obj.load(pin_root=bpffs) as second:
            assert second.maps["shared"].id == first.maps["shared"].id
            assert second.maps["shared"][0] == 1
    assert (bpffs / "shared").exists()
    other = osmia.compile(source, defines={"ENTRIES": 8})
    with pytest.raises(osmia.MapMismatchError, match="max entries 8 in the object, 4"):
        other.load(pin_root=bpffs)


def test_a_failed_load_removes_the_pins_it_made(bpffs: Path) -> None:
    obj = osmia.compile(
        HEADERS
        + """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); __uint(pinning, LIBBPF_PIN_BY_NAME); } gone SEC(".maps");
SEC("xdp") int p(struct xdp_md *c) { return *(int *)(long)c->data + (long)&gone; }
"""
    )
    with pytest.raises(osmia.VerifierError):
        obj.load(pin_root=bpffs)
    assert list(bpffs.iterdir()) == []


def test_maps_in_maps_and_prog_arrays_are_filled() -> None:
    obj = osmia.compile(
        HEADERS
        + """
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
               __type(key, __u32); __type(value, __u32); } one SEC(".maps"), two SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, __u32);
         __array(values, struct inner); } outer SEC(".maps") = {
    .values = { [0] = &one, [1] = &two } };
SEC("xdp") int target(struct xdp_md *ctx) { return XDP_TX; }
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4);
         __array(values, int (void *)); } jumps SEC(".maps") = {
    .values = { [1] = (void *)&target } };
SEC("xdp") int entry(struct xdp_md *ctx) {
    __u32 zero = 0, one = 1, *value;
    void *inner = bpf_map_lookup_elem(&outer, &one);
    if (inner && (value = bpf_map_lookup_elem(inner, &zero))) *value = 42;
    bpf_tail_call(ctx, &jumps, 1);
    return XDP_ABORTED;
}
"""
    )
    with obj.load() as bpf:
        assert bpf.programs["entry"].run(bytes(64)).retval == 3
        assert bpf.maps["two"][0] == 42
        assert bpf.maps["one"][0] == 0


def test_externs_are_resolved_against_this_kernel() -> None:
    obj = osmia.compile(
        HEADERS
        + """
extern unsigned LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_NOT_THERE __kconfig __weak;
extern unsigned long long bpf_map_sum_nowhere(void) __ksym __weak;
extern const void bpf_nowhere __ksym __weak;
__u64 version, weak, address;
SEC("socket") int p(struct __sk_buff *ctx) {
    version = LINUX_KERNEL_VERSION;
    weak = CONFIG_NOT_THERE;
    address = (long)&bpf_nowhere;
    if (bpf_ksym_exists(bpf_map_sum_nowhere)) weak = bpf_map_sum_nowhere();
    return 0;
}
"""
    )
    with obj.load() as bpf:
        bpf.programs["p"].run(bytes(64))
        release = [int(part) for part in os.uname().release.split(".")[:2]]
        assert bpf.data["version"] >> 8 == release[0] << 8 | release[1]
        assert (bpf.data["weak"], bpf.data["address"]) == (0, 0)


def test_unresolved_externs_are_named_all_at_once() -> None:
    obj = osmia.compile(
        HEADERS
        + """
extern int CONFIG_NOWHERE __kconfig;
extern void bpf_nowhere(void) __ksym;
SEC("socket") int p(struct __sk_buff *ctx) { bpf_nowhere(); return CONFIG_NOWHERE; }
"""
    )
    with pytest.raises(osmia.RelocationError) as caught:
        obj.load()
    assert "CONFIG_NOWHERE" in str(caught.value)
    assert "bpf_nowhere" in str(caught.value)


def test_core_reads_this_kernels_types() -> None:
    obj = osmia.compile(
        """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char _license[] SEC("license") = "GPL";
struct task_struct___other { int pid; int nowhere; } __attribute__((preserve_access_index));
int tgid, exists, missing;
SEC("syscall") int p(void *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    tgid = BPF_CORE_READ(task, tgid);
    exists = bpf_core_field_exists(task->pid) + bpf_core_type_exists(struct sk_buff);
    missing = bpf_core_field_exists(((struct task_struct___other *)task)->nowhere);
    return 0;
}
"""
    )
    with obj.load() as bpf:
        bpf.programs["p"].run()
        assert bpf.data["tgid"] == os.getpid()
        assert (bpf.data["exists"], bpf.data["missing"]) == (2, 0)


@pytest.mark.one_at_a_time("congestion-control")
def test_struct_ops_register_and_unregister() -> None:
    obj = osmia.compile(
        """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char _license[] SEC("license") = "GPL";
SEC("struct_ops") __u32 BPF_PROG(osmia_ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(osmia_undo, struct sock *sk) { return 10; }
SEC("struct_ops") void BPF_PROG(osmia_avoid, struct sock *sk, __u32 ack, __u32 acked) { }
SEC(".struct_ops.link") struct tcp_congestion_ops osmia_cc = {
    .ssthresh = (void *)osmia_ssthresh,
    .undo_cwnd = (void *)osmia_undo,
    .cong_avoid = (void *)osmia_avoid,
    .name = "osmia_test",
};
"""
    )
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    with obj.load() as bpf:
        with bpf.attach_struct_ops("osmia_cc"):
            assert "osmia_test" in available.read_text()
        assert "osmia_test" not in available.read_text()


def test_a_field_that_the_kernel_lacks_is_named_where_it_is_read() -> None:
    obj = osmia.compile(
        HEADERS
        + """
#include <bpf/bpf_core_read.h>
struct task_struct { int tgid, warp; } __attribute__((preserve_access_index));
int seen;
SEC("raw_tp/sched_switch") int p(void *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    seen = BPF_CORE_READ(task, tgid);
    seen = BPF_CORE_READ(task, warp);
    return 0;
}
"""
    )
    with pytest.raises(osmia.VerifierError, match=r"the kernel's types have no task_struct\.warp"):
        obj.load()


def test_a_map_left_out_is_named_where_it_is_used(counter: osmia.Object) -> None:
    changed = counter.copy()
    changed.set_autocreate("counts", False)
    with pytest.raises(osmia.VerifierError, match="map 'counts' is used here, and autocreate"):
        changed.load()
    with pytest.raises(KeyError):
        changed.set_autocreate("nothing")


def test_autoload_is_switched_by_name(counter: osmia.Object) -> None:
    quiet = counter.copy()
    quiet.set_autoload("entry", False)
    with quiet.load() as bpf:
        assert not bpf.programs
    assert counter.programs["entry"].autoload


def test_the_verifiers_log_of_a_success_is_there_when_asked_for(counter: osmia.Object) -> None:
    with counter.load(log_level=4) as bpf:
        assert "processed" in bpf.programs["entry"].log


def test_an_exclusive_map_is_for_one_program() -> None:
    source = (
        HEADERS
        + """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); } mine SEC(".maps");
int calls;
static __noinline int count(int step) { calls += step; return calls; }
SEC("xdp") int owner(struct xdp_md *c) {
    __u32 zero = 0;
    return count(1) && bpf_map_lookup_elem(&mine, &zero) ? XDP_PASS : XDP_DROP;
}
SEC("?xdp") int other(struct xdp_md *c) {
    __u32 zero = 0;
    return bpf_map_lookup_elem(&mine, &zero) != 0;
}
"""
    )
    obj = osmia.compile(source)
    obj.maps["mine"] = replace(obj.maps["mine"], exclusive_to="owner")
    if running_version() < 6 << 16 | 18 << 8:
        pytest.skip("exclusive maps are since Linux 6.18")
    with obj.load() as bpf:
        assert bpf.programs["owner"].run(bytes(64)).retval == 2
    obj.set_autoload("other")
    with pytest.raises(osmia.OsmiaError, match="'other'"):
        obj.load()


def test_a_token_needs_a_delegating_bpffs(counter: osmia.Object, bpffs: Path) -> None:
    with pytest.raises(osmia.KernelError, match="token"):
        counter.load(token=bpffs)


ARENA = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
#define __arena __attribute__((address_space(1)))
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
         __uint(max_entries, 16); } arena SEC(".maps");
__u64 __arena total SEC(".addr_space.1") = 40;
__u32 __arena numbers[4] SEC(".addr_space.1") = { 1, 2 };
SEC("syscall") int p(void *ctx) { total += numbers[1]; numbers[3] = 7; return 0; }
"""


def test_an_arena_is_shared_memory_with_variables_in_it() -> None:
    if running_version() < 6 << 16 | 9 << 8:
        pytest.skip("arenas are since Linux 6.9")
    with osmia.compile(ARENA, cpu="v4").load() as bpf:
        bpf.programs["p"].run()
        assert (bpf.data["total"], bpf.data["numbers"]) == (42, (1, 2, 0, 7))
        bpf.data["total"] = 100
        bpf.programs["p"].run()
        view = bpf.maps["arena"].to_numpy("u8")
        assert 102 in view[:8]
        view[:8] = 0
        assert bpf.data["total"] == 0


def test_an_arena_that_is_given_keeps_what_is_in_it() -> None:
    if running_version() < 6 << 16 | 9 << 8:
        pytest.skip("arenas are since Linux 6.9")
    obj = osmia.compile(ARENA, cpu="v4")
    with obj.load() as first:
        first.data["total"] = 100
        with obj.load(maps={"arena": first.maps["arena"]}) as second:
            assert second.data["total"] == 100
            second.programs["p"].run()
            assert first.data["total"] == 102


BARE_ARENA = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
         __uint(max_entries, 4); } arena SEC(".maps");
void *bpf_arena_alloc_pages(void *map, void *at, __u32 count, int node, __u64 flags) __ksym __weak;
int got;
SEC("syscall") int p(void *ctx) {
    got = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0) != 0;
    /* r1 = addr_space_cast(r1, 1, 0): to an address of this process */
    asm volatile("r1 = 0; .8byte 0x00010000000111bf" ::: "r1");
    return 0;
}
"""


def test_an_arena_has_an_address_before_programs_are_verified() -> None:
    """Nobody has asked for its memory then, and there are no variables in it."""
    if running_version() < 6 << 16 | 9 << 8:
        pytest.skip("arenas are since Linux 6.9")
    obj = osmia.compile(BARE_ARENA)
    with obj.load() as bpf:
        bpf.programs["p"].run()
        assert bpf.data["got"] == 1
    with (
        osmia.Map.create(
            osmia.MapType.ARENA, max_entries=4, flags=osmia.MapFlag.MMAPABLE, name="mine"
        ) as mine,
        obj.load(maps={"arena": mine}) as bpf,
    ):
        bpf.programs["p"].run()
        assert bpf.maps["arena"].address == mine.address


def test_a_pinned_arena_that_nobody_mapped_gets_its_address(bpffs: Path) -> None:
    if running_version() < 6 << 16 | 9 << 8:
        pytest.skip("arenas are since Linux 6.9")
    obj = osmia.compile(BARE_ARENA)
    obj.maps["arena"] = replace(obj.maps["arena"], pin_path=str(bpffs / "arena"))
    with osmia.Map.create(
        osmia.MapType.ARENA, max_entries=4, flags=osmia.MapFlag.MMAPABLE, name="arena"
    ) as mine:
        mine.pin(bpffs / "arena")
    with obj.load() as first, obj.load() as second:
        first.programs["p"].run()
        second.programs["p"].run()
        assert (first.data["got"], second.data["got"]) == (1, 1)


STRUCT_OPS = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char _license[] SEC("license") = "GPL";
SEC("struct_ops") __u32 BPF_PROG(small, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(large, struct sock *sk) { return 200; }
SEC("struct_ops") __u32 BPF_PROG(undo, struct sock *sk) { return 10; }
SEC("struct_ops") void BPF_PROG(avoid, struct sock *sk, __u32 ack, __u32 acked) { }
SEC(".struct_ops") struct tcp_congestion_ops osmia_shadow = {
    .ssthresh = (void *)small, .undo_cwnd = (void *)undo, .cong_avoid = (void *)avoid,
    .name = "osmia_before" };
"""


@pytest.mark.one_at_a_time("congestion-control")
def test_a_struct_of_callbacks_is_changed_before_load() -> None:
    obj = osmia.compile(STRUCT_OPS)
    shadow = obj.data["osmia_shadow"].to_dict()
    obj.data["osmia_shadow"] = {**shadow, "name": "osmia_after"}
    obj.set_callback("osmia_shadow", "ssthresh", "large")
    with pytest.raises(KeyError):
        obj.set_callback("osmia_shadow", "nothing", None)
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    with obj.load() as bpf:
        assert bpf.programs.keys() == {"large", "undo", "avoid"}
        with bpf.attach_struct_ops("osmia_shadow"):
            assert "osmia_after" in available.read_text()
    assert "osmia_after" not in available.read_text()
