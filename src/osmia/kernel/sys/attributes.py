"""Memory layouts that bpf(2) and perf_event_open(2) read and write.

Source: include/uapi/linux/bpf.h and include/uapi/linux/perf_event.h as of Linux 6.18.
The number behind a field is its offset in bytes. Every 64-bit field is aligned to
8 bytes in the header, so ctypes' native layout is the kernel's on all 64-bit machines.

The kernel takes an attribute that is longer than the one it knows as long as the rest
is zero, so the newest layout serves old kernels too; a set field that they do not know
is E2BIG. Fields are named as in the header; where it nests a union, one struct here is
one use of it. Pointers are plain 64-bit numbers: whoever fills one keeps the memory.

What loads of programs need stands here; a class of `further_attributes` is made when it is asked
for, under its name here.
"""

from __future__ import annotations

from ctypes import Structure, c_char, c_int32, c_uint32, c_uint64

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.kernel.sys.further_attributes import *  # noqa: F403
else:
    __getattr__ = on_demand(
        __name__,
        {
            "osmia.kernel.sys.further_attributes": (
                "BtfInfo EnableStats GetInfo IterCgroupInfo IterCreate IterMapInfo IterTaskInfo "
                "LinkCreate LinkDetach LinkInfo LinkIterOptions LinkKprobeMultiOptions "
                "LinkNetfilterOptions LinkOrderOptions LinkPerfEventOptions LinkTargetBtfOptions "
                "LinkTracingMultiOptions LinkTracingOptions LinkUpdate LinkUprobeMultiOptions "
                "MapBatch MapInfo ObjPath ObjectId PerfEventAttr ProgAssocStructOps ProgAttach "
                "ProgInfo ProgQuery ProgStreamRead RawTracepointOpen TaskFdQuery TestRun "
                "TokenCreate TokenInfo"
            )
        },
    )


class MapCreate(Structure):
    """BPF_MAP_CREATE."""

    _fields_ = [
        ("map_type", c_uint32),  # 0
        ("key_size", c_uint32),  # 4
        ("value_size", c_uint32),  # 8
        ("max_entries", c_uint32),  # 12
        ("map_flags", c_uint32),  # 16
        ("inner_map_fd", c_uint32),  # 20, since 4.12
        ("numa_node", c_uint32),  # 24, since 4.14
        ("map_name", c_char * 16),  # 28, since 4.15
        ("map_ifindex", c_uint32),  # 44, since 4.16
        ("btf_fd", c_uint32),  # 48, since 4.18
        ("btf_key_type_id", c_uint32),  # 52
        ("btf_value_type_id", c_uint32),  # 56
        ("btf_vmlinux_value_type_id", c_uint32),  # 60, since 5.6
        ("map_extra", c_uint64),  # 64, since 5.16
        ("value_type_btf_obj_fd", c_int32),  # 72, since 6.9
        ("map_token_fd", c_int32),  # 76, since 6.9
        ("excl_prog_hash", c_uint64),  # 80, since 6.18
        ("excl_prog_hash_size", c_uint32),  # 88, since 6.18
    ]


class MapElement(Structure):
    """BPF_MAP_*_ELEM, BPF_MAP_GET_NEXT_KEY (whose next_key is `value`) and BPF_MAP_FREEZE."""

    _fields_ = [
        ("map_fd", c_uint32),  # 0
        ("key", c_uint64),  # 8
        ("value", c_uint64),  # 16
        ("flags", c_uint64),  # 24
    ]


class ProgLoad(Structure):
    """BPF_PROG_LOAD."""

    _fields_ = [
        ("prog_type", c_uint32),  # 0
        ("insn_cnt", c_uint32),  # 4
        ("insns", c_uint64),  # 8
        ("license", c_uint64),  # 16
        ("log_level", c_uint32),  # 24
        ("log_size", c_uint32),  # 28
        ("log_buf", c_uint64),  # 32
        ("kern_version", c_uint32),  # 40
        ("prog_flags", c_uint32),  # 44
        ("prog_name", c_char * 16),  # 48, since 4.15
        ("prog_ifindex", c_uint32),  # 64, since 4.15
        ("expected_attach_type", c_uint32),  # 68, since 4.17
        ("prog_btf_fd", c_uint32),  # 72, since 5.0
        ("func_info_rec_size", c_uint32),  # 76
        ("func_info", c_uint64),  # 80
        ("func_info_cnt", c_uint32),  # 88
        ("line_info_rec_size", c_uint32),  # 92, since 5.0
        ("line_info", c_uint64),  # 96
        ("line_info_cnt", c_uint32),  # 104
        ("attach_btf_id", c_uint32),  # 108, since 5.5
        ("attach_btf_obj_fd", c_uint32),  # 112, also attach_prog_fd, since 5.5
        ("core_relo_cnt", c_uint32),  # 116, since 5.17
        ("fd_array", c_uint64),  # 120, since 5.14
        ("core_relos", c_uint64),  # 128, since 5.17
        ("core_relo_rec_size", c_uint32),  # 136, since 5.17
        ("log_true_size", c_uint32),  # 140, written by the kernel since 6.4
        ("prog_token_fd", c_int32),  # 144, since 6.9
        ("fd_array_cnt", c_uint32),  # 148, since 6.14
        ("signature", c_uint64),  # 152, since 6.18
        ("signature_size", c_uint32),  # 160, since 6.18
        ("keyring_id", c_int32),  # 164, since 6.18
    ]


class BtfLoad(Structure):
    """BPF_BTF_LOAD, since 4.18."""

    _fields_ = [
        ("btf", c_uint64),  # 0
        ("btf_log_buf", c_uint64),  # 8
        ("btf_size", c_uint32),  # 16
        ("btf_log_size", c_uint32),  # 20
        ("btf_log_level", c_uint32),  # 24
        ("btf_log_true_size", c_uint32),  # 28, written by the kernel since 6.4
        ("btf_flags", c_uint32),  # 32, since 6.9
        ("btf_token_fd", c_int32),  # 36, since 6.9
    ]


class ProgBindMap(Structure):
    """BPF_PROG_BIND_MAP, since 5.10."""

    _fields_ = [("prog_fd", c_uint32), ("map_fd", c_uint32), ("flags", c_uint32)]
