"""Objects loaded in other ways than by default: osmia and libbpf must still agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.btf import BTFBuilder

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

#: Case: what is not to be made or loaded.
WITHOUT = {
    "many_programs": ["map_3", "program_3", "map_19", "program_19"],
    "maps_kinds": ["hash", "queue", "routes"],
    "struct_ops_link": ["osmia_first"],
    "struct_ops_tcp": ["osmia_corpus"],
    "tool_opens": ["enter"],
}


@pytest.mark.parametrize("case", WITHOUT)
def test_what_is_left_out_changes_the_rest_alike(
    case: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
) -> None:
    path = corpus_object(case)
    mine = by_osmia(path, bpffs, without=WITHOUT[case])
    assert mine == peers["libbpf"].see(path, bpffs, without=WITHOUT[case])
    assert not mine.programs.keys() & set(WITHOUT[case])


def test_a_map_that_is_not_made_poisons_what_nobody_reaches(
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    compile_text: Callable[..., Path],
    bpffs: Path,
) -> None:
    path = compile_text("""
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); } first SEC(".maps"), missing SEC(".maps");
const volatile int use_it = 0;
SEC("xdp") int p(struct xdp_md *ctx) {
    __u32 key = 0;
    if (use_it) return bpf_map_lookup_elem(&missing, &key) != 0;
    return bpf_map_lookup_elem(&first, &key) != 0;
}
""")
    mine = by_osmia(path, bpffs, without=["missing"])
    assert mine == peers["libbpf"].see(path, bpffs, without=["missing"])


def other_kernel(directory: Path) -> Path:
    """The types of a kernel that never was, as a file."""
    builder = BTFBuilder()
    number = builder.add_int("int", 4, 1)
    letter = builder.add_int("char", 1, 1)
    long = builder.add_int("unsigned long", 8)
    name = builder.add_array(letter, number, 24)
    pointer = name + 2  # added behind the struct
    task = builder.add_struct(
        "task_struct",
        4096,
        [
            ("pid", number, 8 * 64),
            ("comm", name, 8 * 100),
            ("in_execve", number, 8 * 512 + 11, 3),
            ("real_parent", pointer, 8 * 1024),
            ("tgid", long, 8 * 2048),
        ],
    )
    assert builder.add_ptr(task) == pointer
    types = [("BPF_MAP_TYPE_HASH", 77), ("BPF_MAP_TYPE_LRU_HASH", 5)]
    builder.add_enum("bpf_map_type", types)
    path = directory / "vmlinux.btf"
    path.write_bytes(builder.build().to_bytes())
    return path


@pytest.mark.parametrize("peer", ["libbpf", "newer bpftool"])
def test_types_of_another_kernel_give_the_same_code(
    peer: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    compile_text: Callable[..., Path],
    bpffs: Path,
    tmp_path: Path,
) -> None:
    path = compile_text("""
#include <bpf/bpf_core_read.h>
struct task_struct { char comm[16]; int tgid, pid; struct task_struct *real_parent;
                     int in_execve : 1; } __attribute__((preserve_access_index));
enum bpf_map_type___mine { BPF_MAP_TYPE_HASH___mine = 1, BPF_MAP_TYPE_NONE___mine = 2,
                           BPF_MAP_TYPE_LRU_HASH___mine = 3 };
__u64 out[12];
SEC("raw_tp/sched_switch") int p(void *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    out[0] = BPF_CORE_READ(task, tgid);
    out[1] = BPF_CORE_READ(task, real_parent, real_parent, pid);
    out[2] = bpf_core_field_size(task->comm);
    out[3] = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
    out[4] = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_HASH___mine);
    out[5] = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_NONE___mine);
    out[6] = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_LRU_HASH___mine);
    out[7] = bpf_core_type_size(struct task_struct);
    out[8] = bpf_core_type_id_kernel(struct task_struct);
    return 0;
}
""")
    btf = other_kernel(tmp_path)
    mine = by_osmia(path, bpffs, btf=btf)
    assert mine == peers[peer].see(path, bpffs, btf=btf)
    (bpffs / "here").mkdir()
    assert by_osmia(path, bpffs / "here").programs["p"].tag != mine.programs["p"].tag
