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
@pytest.mark.parametrize("executor", ["interpreter", "jit"])
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
@pytest.mark.parametrize("executor", ["interpreter", "jit"])
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
struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
void bpf_task_release(struct task_struct *task) __ksym __weak;
SEC("xdp") int there(struct xdp_md *ctx) { return bpf_ksym_exists(bpf_task_from_pid) ? 1 : 2; }
SEC("xdp") int guarded(struct xdp_md *ctx)
{
	if (!bpf_ksym_exists(bpf_task_from_pid))
		return 3;
	struct task_struct *task = bpf_task_from_pid(1);
	if (task)
		bpf_task_release(task);
	return 4;
}
SEC("xdp") int careless(struct xdp_md *ctx) { return bpf_task_from_pid(1) ? 1 : 2; }
char L[] SEC("license") = "GPL";
"""


@pytest.mark.parametrize("executor", ["interpreter", "jit"])
def test_a_weak_kfunc_that_the_vm_lacks_is_nowhere(executor: Any) -> None:
    with osmia.compile(WEAK).load(engine="vm") as vm:
        run = {name: program.run for name, program in vm.programs.items()}
        assert run["there"](bytes(64), executor=executor).retval == 2
        assert run["guarded"](bytes(64), executor=executor).retval == 3
        with pytest.raises(osmia.OsmiaError, match="bpf_task_from_pid"):
            run["careless"](bytes(64), executor=executor)
