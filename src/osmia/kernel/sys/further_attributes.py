"""Memory layouts beyond those that loads of programs need: see `attributes`, which has them all."""

from __future__ import annotations

from ctypes import Structure, c_char, c_int32, c_uint8, c_uint16, c_uint32, c_uint64


class MapBatch(Structure):
    """BPF_MAP_*_BATCH, since 5.6."""

    _fields_ = [
        ("in_batch", c_uint64),  # 0
        ("out_batch", c_uint64),  # 8
        ("keys", c_uint64),  # 16
        ("values", c_uint64),  # 24
        ("count", c_uint32),  # 32
        ("map_fd", c_uint32),  # 36
        ("elem_flags", c_uint64),  # 40
        ("flags", c_uint64),  # 48
    ]


class ObjPath(Structure):
    """BPF_OBJ_PIN and BPF_OBJ_GET."""

    _fields_ = [
        ("pathname", c_uint64),  # 0
        ("bpf_fd", c_uint32),  # 8
        ("file_flags", c_uint32),  # 12, since 4.15
        ("path_fd", c_int32),  # 16, since 6.5
    ]


class ProgAttach(Structure):
    """BPF_PROG_ATTACH and BPF_PROG_DETACH."""

    _fields_ = [
        ("target_fd", c_uint32),  # 0, also target_ifindex
        ("attach_bpf_fd", c_uint32),  # 4
        ("attach_type", c_uint32),  # 8
        ("attach_flags", c_uint32),  # 12
        ("replace_bpf_fd", c_uint32),  # 16, since 5.6
        ("relative_fd", c_uint32),  # 20, also relative_id, since 6.6
        ("expected_revision", c_uint64),  # 24, since 6.6
    ]


class TestRun(Structure):
    """BPF_PROG_TEST_RUN, since 4.12."""

    __test__ = False  # not a test class, whatever its name looks like to pytest

    _fields_ = [
        ("prog_fd", c_uint32),  # 0
        ("retval", c_uint32),  # 4
        ("data_size_in", c_uint32),  # 8
        ("data_size_out", c_uint32),  # 12
        ("data_in", c_uint64),  # 16
        ("data_out", c_uint64),  # 24
        ("repeat", c_uint32),  # 32
        ("duration", c_uint32),  # 36
        ("ctx_size_in", c_uint32),  # 40, since 5.2
        ("ctx_size_out", c_uint32),  # 44
        ("ctx_in", c_uint64),  # 48
        ("ctx_out", c_uint64),  # 56
        ("flags", c_uint32),  # 64, since 5.10
        ("cpu", c_uint32),  # 68, since 5.10
        ("batch_size", c_uint32),  # 72, since 5.18
    ]


class ObjectId(Structure):
    """BPF_*_GET_NEXT_ID and BPF_*_GET_FD_BY_ID."""

    _fields_ = [
        ("id", c_uint32),  # 0: start_id, prog_id, map_id, btf_id or link_id
        ("next_id", c_uint32),  # 4
        ("open_flags", c_uint32),  # 8
        ("fd_by_id_token_fd", c_int32),  # 12, since 6.16
    ]


class GetInfo(Structure):
    """BPF_OBJ_GET_INFO_BY_FD."""

    _fields_ = [
        ("bpf_fd", c_uint32),  # 0
        ("info_len", c_uint32),  # 4
        ("info", c_uint64),  # 8
    ]


class ProgQuery(Structure):
    """BPF_PROG_QUERY, since 4.15."""

    _fields_ = [
        ("target_fd", c_uint32),  # 0, also target_ifindex
        ("attach_type", c_uint32),  # 4
        ("query_flags", c_uint32),  # 8
        ("attach_flags", c_uint32),  # 12
        ("prog_ids", c_uint64),  # 16
        ("count", c_uint32),  # 24
        ("prog_attach_flags", c_uint64),  # 32, since 6.0
        ("link_ids", c_uint64),  # 40, since 6.6
        ("link_attach_flags", c_uint64),  # 48, since 6.6
        ("revision", c_uint64),  # 56, since 6.6
    ]


class RawTracepointOpen(Structure):
    """BPF_RAW_TRACEPOINT_OPEN, since 4.17."""

    _fields_ = [
        ("name", c_uint64),  # 0
        ("prog_fd", c_uint32),  # 8
        ("cookie", c_uint64),  # 16, since 6.10
    ]


class TaskFdQuery(Structure):
    """BPF_TASK_FD_QUERY, since 4.18."""

    _fields_ = [
        ("pid", c_uint32),  # 0
        ("fd", c_uint32),  # 4
        ("flags", c_uint32),  # 8
        ("buf_len", c_uint32),  # 12
        ("buf", c_uint64),  # 16
        ("prog_id", c_uint32),  # 24
        ("fd_type", c_uint32),  # 28
        ("probe_offset", c_uint64),  # 32
        ("probe_addr", c_uint64),  # 40
    ]


class LinkCreate(Structure):
    """BPF_LINK_CREATE, since 5.7. `options` is the union: one of the Link…Options below."""

    _fields_ = [
        ("prog_fd", c_uint32),  # 0, also map_fd (struct_ops)
        ("target_fd", c_uint32),  # 4, also target_ifindex
        ("attach_type", c_uint32),  # 8
        ("flags", c_uint32),  # 12
        ("options", c_uint8 * 48),  # 16
    ]


class LinkIterOptions(Structure):
    """BPF_TRACE_ITER: `iter_info` is the address of a union bpf_iter_link_info; since 5.8."""

    _fields_ = [("iter_info", c_uint64), ("iter_info_len", c_uint32)]


class LinkTargetBtfOptions(Structure):
    """BPF_PROG_TYPE_EXT without a cookie: the BTF id of what it replaces; since 5.10."""

    _fields_ = [("target_btf_id", c_uint32)]


class LinkPerfEventOptions(Structure):
    """BPF_PERF_EVENT; since 5.15."""

    _fields_ = [("bpf_cookie", c_uint64)]


class LinkKprobeMultiOptions(Structure):
    """BPF_TRACE_KPROBE_MULTI and _SESSION; since 5.18."""

    _fields_ = [
        ("flags", c_uint32),
        ("cnt", c_uint32),
        ("syms", c_uint64),
        ("addrs", c_uint64),
        ("cookies", c_uint64),
    ]


class LinkTracingOptions(Structure):
    """fentry, fexit, fmod_ret, LSM, tp_btf, freplace; since 5.19."""

    _fields_ = [("target_btf_id", c_uint32), ("cookie", c_uint64)]


class LinkTracingMultiOptions(Structure):
    """BPF_TRACE_FENTRY_MULTI, FEXIT_MULTI and FSESSION_MULTI; since 7.1."""

    _fields_ = [("ids", c_uint64), ("cookies", c_uint64), ("cnt", c_uint32)]


class LinkNetfilterOptions(Structure):
    """BPF_NETFILTER; since 6.4."""

    _fields_ = [
        ("pf", c_uint32),
        ("hooknum", c_uint32),
        ("priority", c_int32),
        ("flags", c_uint32),
    ]


class LinkOrderOptions(Structure):
    """tcx (since 6.6), netkit (since 6.7), cgroup (since 6.17): the place among others."""

    _fields_ = [("relative_fd", c_uint32), ("expected_revision", c_uint64)]


class LinkUprobeMultiOptions(Structure):
    """BPF_TRACE_UPROBE_MULTI and _SESSION; since 6.6."""

    _fields_ = [
        ("path", c_uint64),
        ("offsets", c_uint64),
        ("ref_ctr_offsets", c_uint64),
        ("cookies", c_uint64),
        ("cnt", c_uint32),
        ("flags", c_uint32),
        ("pid", c_uint32),
    ]


class IterMapInfo(Structure):
    """union bpf_iter_link_info, map element iterators."""

    _fields_ = [("map_fd", c_uint32)]


class IterCgroupInfo(Structure):
    """union bpf_iter_link_info, cgroup iterators; since 6.1."""

    _fields_ = [("order", c_uint32), ("cgroup_fd", c_uint32), ("cgroup_id", c_uint64)]


class IterTaskInfo(Structure):
    """union bpf_iter_link_info, task iterators; since 6.1."""

    _fields_ = [("tid", c_uint32), ("pid", c_uint32), ("pid_fd", c_uint32)]


class LinkUpdate(Structure):
    """BPF_LINK_UPDATE, since 5.7; the fds are maps' for struct_ops links (since 6.4)."""

    _fields_ = [
        ("link_fd", c_uint32),  # 0
        ("new_prog_fd", c_uint32),  # 4
        ("flags", c_uint32),  # 8
        ("old_prog_fd", c_uint32),  # 12
    ]


class LinkDetach(Structure):
    """BPF_LINK_DETACH, since 5.9."""

    _fields_ = [("link_fd", c_uint32)]


class EnableStats(Structure):
    """BPF_ENABLE_STATS, since 5.8."""

    _fields_ = [("type", c_uint32)]


class IterCreate(Structure):
    """BPF_ITER_CREATE, since 5.8."""

    _fields_ = [("link_fd", c_uint32), ("flags", c_uint32)]


class TokenCreate(Structure):
    """BPF_TOKEN_CREATE, since 6.9."""

    _fields_ = [("flags", c_uint32), ("bpffs_fd", c_uint32)]


class ProgStreamRead(Structure):
    """BPF_PROG_STREAM_READ_BY_FD, since 6.17."""

    _fields_ = [
        ("stream_buf", c_uint64),  # 0
        ("stream_buf_len", c_uint32),  # 8
        ("stream_id", c_uint32),  # 12
        ("prog_fd", c_uint32),  # 16
    ]


class ProgAssocStructOps(Structure):
    """BPF_PROG_ASSOC_STRUCT_OPS, since 7.0."""

    _fields_ = [
        ("map_fd", c_uint32),  # 0
        ("prog_fd", c_uint32),  # 4
        ("flags", c_uint32),  # 8
    ]


class MapInfo(Structure):
    """struct bpf_map_info."""

    _fields_ = [
        ("type", c_uint32),  # 0
        ("id", c_uint32),  # 4
        ("key_size", c_uint32),  # 8
        ("value_size", c_uint32),  # 12
        ("max_entries", c_uint32),  # 16
        ("map_flags", c_uint32),  # 20
        ("name", c_char * 16),  # 24, since 4.15
        ("ifindex", c_uint32),  # 40, since 4.16
        ("btf_vmlinux_value_type_id", c_uint32),  # 44, since 5.6
        ("netns_dev", c_uint64),  # 48
        ("netns_ino", c_uint64),  # 56
        ("btf_id", c_uint32),  # 64, since 4.18
        ("btf_key_type_id", c_uint32),  # 68
        ("btf_value_type_id", c_uint32),  # 72
        ("btf_vmlinux_id", c_uint32),  # 76, since 6.9
        ("map_extra", c_uint64),  # 80, since 5.16
        ("hash", c_uint64),  # 88, since 6.18
        ("hash_size", c_uint32),  # 96, since 6.18
    ]


class BtfInfo(Structure):
    """struct bpf_btf_info."""

    _fields_ = [
        ("btf", c_uint64),  # 0
        ("btf_size", c_uint32),  # 8
        ("id", c_uint32),  # 12
        ("name", c_uint64),  # 16, since 5.11
        ("name_len", c_uint32),  # 24
        ("kernel_btf", c_uint32),  # 28, since 5.11
    ]


class ProgInfo(Structure):
    """struct bpf_prog_info."""

    _fields_ = [
        ("type", c_uint32),  # 0
        ("id", c_uint32),  # 4
        ("tag", c_uint8 * 8),  # 8
        ("jited_prog_len", c_uint32),  # 16
        ("xlated_prog_len", c_uint32),  # 20
        ("jited_prog_insns", c_uint64),  # 24
        ("xlated_prog_insns", c_uint64),  # 32
        ("load_time", c_uint64),  # 40, ns since boot
        ("created_by_uid", c_uint32),  # 48
        ("nr_map_ids", c_uint32),  # 52
        ("map_ids", c_uint64),  # 56
        ("name", c_char * 16),  # 64
        ("ifindex", c_uint32),  # 80
        ("gpl_compatible", c_uint32),  # 84: bit 0 only
        ("netns_dev", c_uint64),  # 88
        ("netns_ino", c_uint64),  # 96
        ("nr_jited_ksyms", c_uint32),  # 104
        ("nr_jited_func_lens", c_uint32),  # 108
        ("jited_ksyms", c_uint64),  # 112
        ("jited_func_lens", c_uint64),  # 120
        ("btf_id", c_uint32),  # 128
        ("func_info_rec_size", c_uint32),  # 132
        ("func_info", c_uint64),  # 136
        ("nr_func_info", c_uint32),  # 144
        ("nr_line_info", c_uint32),  # 148
        ("line_info", c_uint64),  # 152
        ("jited_line_info", c_uint64),  # 160
        ("nr_jited_line_info", c_uint32),  # 168
        ("line_info_rec_size", c_uint32),  # 172
        ("jited_line_info_rec_size", c_uint32),  # 176
        ("nr_prog_tags", c_uint32),  # 180
        ("prog_tags", c_uint64),  # 184
        ("run_time_ns", c_uint64),  # 192, since 5.1
        ("run_cnt", c_uint64),  # 200, since 5.1
        ("recursion_misses", c_uint64),  # 208, since 5.12
        ("verified_insns", c_uint32),  # 216, since 5.16
        ("attach_btf_obj_id", c_uint32),  # 220, since 6.0
        ("attach_btf_id", c_uint32),  # 224, since 6.0
    ]


class LinkInfo(Structure):
    """struct bpf_link_info; `details` is the union, starting at offset 16."""

    _fields_ = [
        ("type", c_uint32),  # 0
        ("id", c_uint32),  # 4
        ("prog_id", c_uint32),  # 8
        ("details", c_uint64 * 6),  # 16
    ]


class TokenInfo(Structure):
    """struct bpf_token_info, since 6.17: bit n allows the command or type n."""

    _fields_ = [
        ("allowed_cmds", c_uint64),  # 0
        ("allowed_maps", c_uint64),  # 8
        ("allowed_progs", c_uint64),  # 16
        ("allowed_attachs", c_uint64),  # 24
    ]


class PerfEventAttr(Structure):
    """struct perf_event_attr, the first 112 bytes (PERF_ATTR_SIZE_VER5, since 4.1)."""

    _fields_ = [
        ("type", c_uint32),  # 0
        ("size", c_uint32),  # 4
        ("config", c_uint64),  # 8
        ("sample_period", c_uint64),  # 16, also sample_freq
        ("sample_type", c_uint64),  # 24
        ("read_format", c_uint64),  # 32
        ("flags", c_uint64),  # 40: the bit fields, see perf_events.PerfFlag
        ("wakeup_events", c_uint32),  # 48, also wakeup_watermark
        ("bp_type", c_uint32),  # 52
        ("config1", c_uint64),  # 56, also kprobe_func, uprobe_path
        ("config2", c_uint64),  # 64, also kprobe_addr, probe_offset
        ("branch_sample_type", c_uint64),  # 72
        ("sample_regs_user", c_uint64),  # 80
        ("sample_stack_user", c_uint32),  # 88
        ("clockid", c_int32),  # 92
        ("sample_regs_intr", c_uint64),  # 96
        ("aux_watermark", c_uint32),  # 104
        ("sample_max_stack", c_uint16),  # 108
        ("reserved", c_uint16),  # 110
    ]
