"""Updates leave locks and timers of values alone, and empty slots are NULL, as in the kernel."""

from __future__ import annotations

from typing import Any

import pytest

import osmia

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct v { __u32 first; struct bpf_spin_lock l; __u64 n; };
#define MAP(NAME, TYPE, FLAGS) struct { __uint(type, TYPE); __type(key, __u32); \
	__type(value, struct v); __uint(max_entries, 4); __uint(map_flags, FLAGS); } NAME SEC(".maps")
MAP(array, BPF_MAP_TYPE_ARRAY, 0);
MAP(hash, BPF_MAP_TYPE_HASH, 0);
MAP(unallocated, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
#define TRY(NAME) SEC("tc") int on_##NAME(struct __sk_buff *s) \
{ \
	__u32 k = 1; struct v w = {.first = 3, .n = 5}, *f; long r = 0; \
	*((__u32 *)&w + 1) = 7; \
	for (int i = 0; i < 3; i++) { \
		r += bpf_map_update_elem(&NAME, &k, &w, i == 2 ? BPF_F_LOCK : 0); \
		f = bpf_map_lookup_elem(&NAME, &k); \
		if (!f) return 100; \
		bpf_spin_lock(&f->l); \
		r += f->first + f->n++; \
		bpf_spin_unlock(&f->l); \
	} \
	return r; \
}
TRY(array) TRY(hash) TRY(unallocated)
char L[] SEC("license") = "GPL";
"""


@pytest.mark.kernel
@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
@pytest.mark.parametrize("name", ["array", "hash", "unallocated"])
def test_the_bytes_of_a_lock_are_not_copied(name: str, executor: Any) -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        program = f"on_{name}"
        wanted = kernel.programs[program].run(bytes(64)).retval
        assert vm.programs[program].run(bytes(64), executor=executor).retval == wanted == 24
        value: Any = kernel.maps[name][1]
        mine: Any = vm.maps[name][1]
        assert (mine.first, mine.n) == (value.first, value.n)


VALUES = {
    "pointer": "struct task_struct __kptr *p;",
    "untrusted": "struct task_struct __kptr_untrusted *p;",
    "no_kernel_type": "struct nowhere __kptr *p;",
    "volatile": "struct task_struct __kptr *volatile p;",
    "timer": "struct bpf_timer t;",
    "work": "struct bpf_wq w;",
    "lock": "struct bpf_spin_lock l;",
    "lock_and_all": "struct bpf_spin_lock l; struct task_struct __kptr *p; struct bpf_timer t;",
    "by_typedef": "lock_t l;",
    "constant": "const struct bpf_spin_lock l;",
    "in_struct": "struct { __u64 c; struct bpf_spin_lock l; } s; __u32 d;",
    "in_typedef": "in_typedef_t s;",
    "in_anonymous_struct": "struct { __u64 c; struct bpf_spin_lock l; };",
    "in_union": "union { __u64 c; struct bpf_spin_lock l; };",
    "in_array_of_one": "struct { __u64 c; struct bpf_spin_lock l; } s[1]; __u32 d;",
    "array": "struct task_struct __kptr *p[2][2];",
    "in_array_of_structs": "struct { __u64 c; struct task_struct __kptr *p; } s[3];",
    "in_arrays_of_structs": (
        "struct { struct { __u64 c; struct task_struct __kptr *p; } s[2]; __u64 d; } s[2];"
    ),
    "locks_in_array": "struct { __u64 c; struct bpf_spin_lock l; } s[2];",
    "two_locks": "struct bpf_spin_lock l, m;",
    "eleven": "struct task_struct __kptr *p[11];",
    "too_many": "struct task_struct __kptr *p[12];",
    "beside_bits": "__u32 c : 3, d : 5; struct bpf_spin_lock l;",
    "beside_bytes_of_bits": "__u32 c : 8, d : 8; struct bpf_spin_lock l;",
}
KINDS = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct task_struct { int pid; } __attribute__((preserve_access_index));
typedef struct bpf_spin_lock lock_t;
typedef struct { __u64 c; struct bpf_spin_lock l; } in_typedef_t;
struct value { __u64 a; FIELDS __u64 b; };
#define MAP(NAME, TYPE) struct { __uint(type, BPF_MAP_TYPE_##TYPE); __type(key, __u32); \
	__type(value, struct value); __uint(max_entries, 3); } NAME SEC(".maps");
MAP(array, ARRAY) MAP(hash, HASH) MAP(lru, LRU_HASH) MAP(by_cpu, PERCPU_HASH)
MAP(array_by_cpu, PERCPU_ARRAY)
"""


def shown(raw: Any, *, update: int) -> list[Any]:
    """What Python reads of a value, after an update with flags."""
    size, key = raw.value_size, bytes(4)
    value = bytes([0x11] * size)
    if raw.cpus:
        value = value.ljust(-(-size // 8) * 8, b"\0") * raw.cpus
    found: list[Any] = [raw.update(key, value), raw.lookup(key), raw.update(key, value, update)]
    found += [b"".join(bytes(values) for _, values in raw.read())]
    found += [raw.take(key)]
    return [bytes(part)[:size] if isinstance(part, bytes | memoryview) else part for part in found]


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore")  # the kernel refuses the types of some, which is the point
@pytest.mark.parametrize("name", VALUES)
def test_python_reads_zeros_where_the_kernel_says_so(name: str) -> None:
    obj = osmia.compile(KINDS.replace("FIELDS", VALUES[name]))
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for held in kernel.maps:
            mine = shown(vm.maps[held].raw, update=4)
            assert (held, mine) == (held, shown(kernel.maps[held].raw, update=4))


KEPT = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct task_struct { int pid; } __attribute__((preserve_access_index));
struct pointers { __u64 a; struct { struct task_struct __kptr_untrusted *p; __u64 n; } s[2]; };
struct locked { __u32 n; struct bpf_spin_lock l; };
#define MAP(NAME, TYPE, VALUE, FLAGS) struct { __uint(type, BPF_MAP_TYPE_##TYPE); \
	__type(key, __u32); __type(value, struct VALUE); __uint(max_entries, 3); \
	__uint(map_flags, FLAGS); } NAME SEC(".maps");
#define POINTERS(NAME, TYPE, FLAGS) MAP(NAME, TYPE, pointers, FLAGS) \
SEC("tc") int pointers_in_##NAME(struct __sk_buff *skb) \
{ \
	__u32 k = 1; struct pointers *held, w = {.a = 1, .s = {{.n = 2}, {.n = 3}}}; \
	*(volatile __u64 *)&w.s[0].p = 7; *(volatile __u64 *)&w.s[1].p = 8; \
	bpf_map_update_elem(&NAME, &k, &w, 0); \
	bpf_map_update_elem(&NAME, &k, &w, 0); \
	if (!(held = bpf_map_lookup_elem(&NAME, &k))) return 1000; \
	return held->a + held->s[0].n * 10 + held->s[1].n * 100 \
		+ (held->s[0].p ? 1000 : 0) + (held->s[1].p ? 2000 : 0); \
}
#define LOCKED(NAME, TYPE, FLAGS) MAP(NAME, TYPE, locked, FLAGS) \
SEC("tc") int held_in_##NAME(struct __sk_buff *skb) \
{ \
	__u32 k = 1, n; struct locked *held, w = {.n = 1}; \
	bpf_map_update_elem(&NAME, &k, &w, 0); \
	if (!(held = bpf_map_lookup_elem(&NAME, &k))) return 1000; \
	w.n = 2; \
	bpf_map_update_elem(&NAME, &k, &w, BPF_F_LOCK); \
	bpf_spin_lock(&held->l); n = held->n; bpf_spin_unlock(&held->l); \
	return n; \
}
POINTERS(pointer_array, ARRAY, 0) POINTERS(pointer_hash, HASH, 0) POINTERS(pointer_lru, LRU_HASH, 0)
POINTERS(pointer_unallocated, HASH, 1)
LOCKED(array, ARRAY, 0) LOCKED(hash, HASH, 0) LOCKED(unallocated, HASH, 1)
"""


@pytest.mark.kernel
@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_pointers_are_not_copied_and_locked_updates_stay_in_place(executor: Any) -> None:
    obj = osmia.compile(KEPT)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for name, program in vm.programs.items():
            theirs = kernel.programs[name].run(bytes(64)).retval
            assert (name, program.run(bytes(64), executor=executor).retval) == (name, theirs)


def test_maps_in_maps_agree_in_their_special_fields(vm: Any) -> None:
    sizes: dict[str, Any] = {"value_size": 8}
    kind = osmia.MapType.ARRAY
    plain, locked = vm.create_map(kind, **sizes), vm.create_map(kind, lock_offset=4, **sizes)
    outer = vm.create_map(osmia.MapType.ARRAY_OF_MAPS, inner=locked)
    outer[0] = locked
    with pytest.raises(osmia.OsmiaError, match=r"EINVAL.*other locks"):
        outer[0] = plain


SLOTS = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define MAP(NAME, TYPE, SIZE) struct { __uint(type, TYPE); __uint(key_size, 4); \
	__uint(value_size, SIZE); __uint(max_entries, 4); } NAME SEC(".maps")
MAP(sockets, BPF_MAP_TYPE_XSKMAP, 4);
MAP(devices, BPF_MAP_TYPE_DEVMAP, 8);
MAP(hashed, BPF_MAP_TYPE_DEVMAP_HASH, 4);
#define TRY(NAME) SEC("xdp") int in_##NAME(struct xdp_md *c) \
{ __u32 k = 0; return bpf_map_lookup_elem(&NAME, &k) ? 1 : 0; }
TRY(sockets) TRY(devices) TRY(hashed)
char L[] SEC("license") = "GPL";
"""


@pytest.mark.kernel
@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_an_empty_slot_is_null(executor: Any) -> None:
    obj = osmia.compile(SLOTS)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for name, program in vm.programs.items():
            wanted = kernel.programs[name].run(bytes(64)).retval
            assert program.run(bytes(64), executor=executor).retval == wanted == 0
        devices: Any = vm.maps["devices"]
        assert list(devices.items()) == []
        devices[0] = (1).to_bytes(4, "little") + bytes(4)
        assert vm.programs["in_devices"].run(bytes(64), executor=executor).retval == 1


WEAK = r"""
struct task_struct;
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct task_struct *bpf_task_from_vpid(int pid) __ksym __weak;
void bpf_task_release(struct task_struct *task) __ksym __weak;
SEC("xdp") int there(struct xdp_md *ctx) { return bpf_ksym_exists(bpf_task_from_vpid) ? 1 : 2; }
SEC("xdp") int guarded(struct xdp_md *ctx)
{
	if (!bpf_ksym_exists(bpf_task_from_vpid))
		return 3;
	struct task_struct *task = bpf_task_from_vpid(1);
	if (task)
		bpf_task_release(task);
	return 4;
}
SEC("xdp") int careless(struct xdp_md *ctx) { return bpf_task_from_vpid(1) ? 1 : 2; }
char L[] SEC("license") = "GPL";
"""


@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_a_weak_kfunc_that_the_vm_lacks_is_nowhere(executor: Any) -> None:
    with osmia.compile(WEAK).load(engine="vm") as vm:
        run = {name: program.run for name, program in vm.programs.items()}
        assert run["there"](bytes(64), executor=executor).retval == 2
        assert run["guarded"](bytes(64), executor=executor).retval == 3
        with pytest.raises(osmia.OsmiaError, match="bpf_task_from_vpid"):
            run["careless"](bytes(64), executor=executor)
