"""Roughly how long instructions and helpers take, to share a measured time out among them.

Only the proportions matter where a time was measured. They are those of an x86-64 processor of
these years with data in its first cache: a plain instruction takes a fraction of a ns, a helper the
path through its C code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from osmia.isa.forms import Form
from osmia.object.uapi import MapType

PLAIN: Final = 0.3
_FORMS: Mapping[Form, float] = {
    Form.SIGNED_DIVISION: 6.0,
    Form.LOAD: 0.5,
    Form.LOAD_SIGN_EXTENDED: 0.5,
    Form.STORE: 0.5,
    Form.STORE_IMMEDIATE: 0.5,
    Form.BRANCH: 0.4,
    Form.ATOMIC: 5.0,
    Form.ATOMIC_FETCH: 5.5,
    Form.EXCHANGE: 5.5,
    Form.COMPARE_EXCHANGE: 5.5,
    Form.LOAD_ABSOLUTE: 3.0,
    Form.LOAD_INDIRECT: 3.0,
    Form.GOTO_REGISTER: 1.5,
    Form.CALL: 1.5,
    Form.CALL_REGISTER: 2.0,
    Form.EXIT: 1.0,
}
"""ns of an instruction; a call's are those of getting there and back."""
OTHER_HELPER: Final = 15.0
_HELPERS: Mapping[str, float] = {
    "bpf_map_lookup_elem": 15.0,
    "bpf_map_update_elem": 50.0,
    "bpf_map_delete_elem": 40.0,
    "bpf_tail_call": 3.0,
    "bpf_ktime_get_ns": 20.0,
    "bpf_ktime_get_boot_ns": 20.0,
    "bpf_get_smp_processor_id": 1.0,
    "bpf_get_prandom_u32": 5.0,
    "bpf_get_current_pid_tgid": 2.0,
    "bpf_get_current_task": 1.0,
    "bpf_probe_read_kernel": 20.0,
    "bpf_probe_read_user": 40.0,
    "bpf_trace_printk": 1500.0,
    "bpf_perf_event_output": 200.0,
    "bpf_ringbuf_output": 80.0,
    "bpf_ringbuf_reserve": 50.0,
    "bpf_ringbuf_submit": 30.0,
    "bpf_get_stackid": 500.0,
    "bpf_get_stack": 500.0,
    "bpf_fib_lookup": 100.0,
    "bpf_csum_diff": 15.0,
    "bpf_xdp_adjust_head": 8.0,
    "bpf_loop": 5.0,
}
_ARRAYS = frozenset(
    (MapType.ARRAY, MapType.PERCPU_ARRAY, MapType.ARRAY_OF_MAPS, MapType.PROG_ARRAY)
)
_ARRAY_LOOKUP = 2.0
_SLOW_LOOKUPS: Mapping[MapType, float] = {
    MapType.LRU_HASH: 20.0,
    MapType.LRU_PERCPU_HASH: 20.0,
    MapType.LPM_TRIE: 60.0,
}


def instruction_ns(form: Form | None) -> float:
    """An instruction's, without what it calls."""
    return PLAIN if form is None else _FORMS.get(form, PLAIN)


def helper_ns(name: str, map_type: MapType | None) -> float:
    """A helper's or kfunc's; lookups depend on the map."""
    if name == "bpf_map_lookup_elem" and map_type is not None:
        if map_type in _ARRAYS:
            return _ARRAY_LOOKUP
        if map_type in _SLOW_LOOKUPS:
            return _SLOW_LOOKUPS[map_type]
    return _HELPERS.get(name, OTHER_HELPER)
