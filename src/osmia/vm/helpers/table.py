"""The table of helpers: each one's arguments, and the native or Python function behind it.

The modules of this package register what they have when they are imported, which is when a
program that is loaded calls one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping

from osmia.enums import IntEnum
from osmia.object.uapi import ProgramType
from osmia.on_demand import imported
from osmia.protocols import Protocol
from osmia.records import dataclass
from osmia.vm import layout
from osmia.vm.errors import ProgramFault, describe_call

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, TypeVar

    from osmia.vm.access import Access
    from osmia.vm.code import Code
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.execution import Execution
    from osmia.vm.programs import VmProgram

    _Function = TypeVar("_Function", bound=Callable[..., Any])


class HelperFrame(Protocol):
    """The function that calls a helper."""

    @property
    def code(self) -> Code:
        """Its program's code."""

    @property
    def pointer(self) -> int:
        """Its frame pointer."""


class HelperCaller(Protocol):
    """What runs a program in Python, as helpers know it."""

    execution: Execution

    @property
    def frame(self) -> HelperFrame:
        """The function that calls."""

    @property
    def access(self) -> Access:
        """What strict mode is told of what helpers write."""

    def call_function(self, slot: int, *arguments: int) -> int:
        """Call a function of the running program."""


class Argument(IntEnum):
    """What a helper's argument is, as far as strict mode checks it."""

    ANY = 1
    OPTIONAL = 2  # of a variadic helper: may be missing
    CONTEXT = 3
    MAP = 4
    KEY = 5  # reads the map's key size
    VALUE = 6  # reads the map's value size
    RESULT = 7  # writes the map's value size
    INITIAL = 8  # may be 0; else reads the map's value size
    READ = 9  # reads as many bytes as the next argument says
    WRITE = 10  # writes as many bytes as the next argument says
    MEMORY = 11  # reads or writes as many bytes as the next argument says, or both
    BUFFER = 12  # may be 0; else writes as many bytes as the next argument says
    SIZE = 13
    STRING = 14  # reads up to a NUL
    READ4 = 15  # reads 4 bytes
    READ8 = 16
    WRITE8 = 17
    DYNPTR = 18  # reads and writes 16 bytes of stack
    NEW_DYNPTR = 19  # writes 16 bytes of stack
    CALLBACK = 20


@dataclass(slots=True)
class Invocation:
    """A call of a Python helper: where it came from. Memory is `vm.memory`, by address.

    `interpreter` is set when a program calls that Python runs, `caller` by compiled code.
    """

    vm: Vm
    cpu: Cpu
    frame: int
    interpreter: HelperCaller | None = None
    caller: int = 0

    def program(self) -> VmProgram:
        """The program whose function calls; of helpers that are told (`Helper.tells_program`)."""
        programs = self.vm.lifetimes.programs
        if self.interpreter is None:
            return programs[self.caller]
        code = self.interpreter.frame.code
        return next(each for each in programs.values() if each.code is code)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the program's memory; raises ProgramFault when they are not all there."""
        return self.vm.memory.read(self.vm.reachable(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        """Write to the program's memory; raises ProgramFault when it is not all there."""
        self.vm.memory.write(self.vm.reachable(address, len(data)), data)
        if self.interpreter is not None:
            self.interpreter.access.stack.wrote(address, len(data))

    def zero(self, address: int, size: int) -> None:
        """Set bytes of the program's memory to 0; raises ProgramFault as above."""
        self.vm.memory.zero(self.vm.reachable(address, size), size)

    def ask(self, name: str, *values: int) -> int | None:
        """What the Python callable in a helper's place answers; None where there is none."""
        given = self.vm.helpers.get(name)
        if given is None:
            return None
        from osmia.vm.helpers.mocks import answer

        return answer(given, self, values)

    def string(self, address: int, limit: int = 4096) -> bytes:
        """The bytes from an address up to the first NUL, at most `limit`."""
        start = self.vm.reachable(address, 1)
        end = min(start + limit, self.vm.memory.size)
        parts = []
        for at in range(start, end, 4096):  # a limit that a program made up costs nothing
            part, found, _ = self.vm.memory.read(at, min(4096, end - at)).partition(b"\0")
            parts.append(part)
            if found:
                break
        return b"".join(parts)

    @property
    def has_packet(self) -> bool:
        """Whether the run is one on a packet."""
        where = self.vm.memory.load32(self.cpu.state + layout.STATE_DATA)
        return where != layout.NO_PACKET

    def packet(self, size: int) -> bytes:
        """The first `size` bytes of the run's packet, as far as there are any."""
        bounds = self.vm.packet_bounds(self.cpu)
        return self.vm.memory.read(bounds[0], min(size, bounds[1] - bounds[0])) if size else b""

    def state(self, offset: int) -> int:
        """A u64 of the CPU's state."""
        return self.vm.memory.load64(self.cpu.state + offset)

    @property
    def context(self) -> int:
        """The address of the run's context."""
        return self.state(layout.STATE_CONTEXT)


KFUNCS = frozenset(
    {
        *("iter_num_new", "iter_num_next", "iter_num_destroy"),
        *("dynptr_from_xdp", "dynptr_from_skb", "dynptr_slice", "dynptr_slice_rdwr"),
        *("dynptr_size", "dynptr_adjust", "dynptr_is_null", "dynptr_is_rdonly"),
        *("rcu_read_lock", "rcu_read_unlock", "preempt_disable", "preempt_enable"),
        *("iter_task_new", "iter_task_next", "iter_task_destroy"),
        *("iter_css_new", "iter_css_next", "iter_css_destroy"),
        *("iter_css_task_new", "iter_css_task_next", "iter_css_task_destroy"),
        *("iter_task_vma_new", "iter_task_vma_next", "iter_task_vma_destroy"),
        *("iter_kmem_cache_new", "iter_kmem_cache_next", "iter_kmem_cache_destroy"),
        *("iter_bits_new", "iter_bits_next", "iter_bits_destroy"),
        *("arena_alloc_pages", "arena_free_pages", "arena_reserve_pages"),
        *("throw", "obj_new_impl", "obj_drop_impl", "refcount_acquire_impl"),
        *("list_push_front_impl", "list_push_back_impl", "list_pop_front", "list_pop_back"),
        *("list_front", "list_back", "rbtree_add_impl", "rbtree_remove", "rbtree_first"),
        *("task_acquire", "task_release", "task_from_pid", "cgroup_acquire", "cgroup_release"),
        *("wq_init", "wq_start", "wq_set_callback", "wq_set_callback_impl"),
    }
)
"""The kfuncs that the vm has, without "bpf_"; they are in the table like helpers."""

TC = frozenset({ProgramType.SCHED_CLS, ProgramType.SCHED_ACT})
LWT = frozenset({ProgramType.LWT_IN, ProgramType.LWT_OUT, ProgramType.LWT_XMIT})
SENDERS = TC | {ProgramType.LWT_XMIT}
XDP = frozenset({ProgramType.XDP})
GROUPS = frozenset(t for t in ProgramType if t.name.startswith("CGROUP_"))
"""Program types that have helpers in common."""

PythonHelper = Callable[..., int]
Calls = Generator[tuple[int, ...], int, int]
"""What a helper calls back, one after the other: a function's handle and its arguments; it is sent
what each returned, and returns the helper's own value."""


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper. `native` names the native function: it takes the frame, then as many
    arguments as `arguments` has. `python` takes an Invocation instead of the frame; where
    both are there, `python` is for interpreted programs only. `types` are the program types
    that may call it; none: all. Raw programs may call everything. `calls` is there for helpers
    that call back: what `python` does, for who makes the calls itself. With `tells_program`
    compiled code says which program calls."""

    name: str
    arguments: tuple[Argument, ...]
    native: str = ""
    python: PythonHelper | None = None
    types: frozenset[ProgramType] = frozenset()
    calls: Callable[..., Calls] | None = None
    tells_program: bool = False


_TABLE: dict[str, Helper] = {}
_VARIANTS: dict[tuple[str, ProgramType], Helper] = {}
#: The modules of this package, and the helpers that each registers when it is imported.
_MODULES = {
    "map_access": "map_lookup_elem map_update_elem map_delete_elem map_lookup_percpu_elem "
    "map_push_elem map_pop_elem map_peek_elem get_local_storage spin_lock spin_unlock",
    "system": "poison ktime_get_ns ktime_get_boot_ns ktime_get_coarse_ns ktime_get_tai_ns "
    "jiffies64 get_prandom_u32 get_smp_processor_id get_numa_node_id get_current_pid_tgid "
    "get_current_uid_gid get_current_comm get_current_cgroup_id get_current_task "
    "get_current_task_btf get_ns_current_pid_tgid get_attach_cookie",
    "skb": "skb_load_bytes skb_load_bytes_relative skb_store_bytes skb_pull_data",
    "skb_fields": "skb_change_type get_hash_recalc set_hash_invalid set_hash skb_ecn_set_ce "
    "skb_set_tstamp get_cgroup_classid get_route_realm",
    "skb_room": "skb_change_tail skb_change_head skb_change_proto skb_adjust_room",
    "skb_vlan": "skb_vlan_push skb_vlan_pop",
    "xdp": "xdp_adjust_head xdp_adjust_meta xdp_adjust_tail xdp_load_bytes xdp_store_bytes "
    "xdp_get_buff_len",
    "redirects": "redirect redirect_peer redirect_neigh clone_redirect redirect_map",
    "tunnels": "skb_set_tunnel_key skb_get_tunnel_key skb_set_tunnel_opt skb_get_tunnel_opt",
    "sockets": "get_socket_cookie get_netns_cookie get_socket_uid sk_release "
    "sock_ops_cb_flags_set sock_map_update sock_hash_update msg_redirect_map sk_redirect_map "
    "msg_redirect_hash sk_redirect_hash sk_select_reuseport",
    "lookups": "sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_fullsock get_listener_sock tcp_sock "
    "sk_assign",
    "storage": "sk_storage_get sk_storage_delete inode_storage_get inode_storage_delete "
    "task_storage_get task_storage_delete cgrp_storage_get cgrp_storage_delete",
    "groups": "skb_under_cgroup current_task_under_cgroup skb_cgroup_id sk_cgroup_id "
    "skb_ancestor_cgroup_id sk_ancestor_cgroup_id get_current_ancestor_cgroup_id "
    "skb_cgroup_classid",
    "stacks": "get_stackid",
    "tracing": "override_return get_func_arg get_func_ret get_func_arg_cnt get_func_ip "
    "copy_from_user",
    "paths": "d_path",
    "checksums": "csum_diff l3_csum_replace l4_csum_replace csum_update csum_level",
    "text": "trace_printk trace_vprintk snprintf strtol strtoul strncmp",
    "probe_reads": "probe_read_kernel probe_read_kernel_str probe_read_user "
    "probe_read_user_str probe_read probe_read_str",
    "events": "ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_output ringbuf_query "
    "perf_event_output skb_output xdp_output",
    "timers": "timer_init timer_set_callback timer_start timer_cancel wq_init wq_set_callback "
    "wq_set_callback_impl wq_start",
    "exceptions": "throw",
    "arenas": "arena_alloc_pages arena_free_pages arena_reserve_pages",
    "objects": "obj_new_impl obj_drop_impl refcount_acquire_impl kptr_xchg task_acquire "
    "task_release task_from_pid cgroup_acquire cgroup_release",
    "graphs": "list_push_front_impl list_push_back_impl list_pop_front list_pop_back list_front "
    "list_back rbtree_add_impl rbtree_remove rbtree_first",
    "sequences": "seq_printf seq_write",
    "iterators": "iter_task_new iter_task_next iter_task_destroy iter_css_new iter_css_next "
    "iter_css_destroy iter_css_task_new iter_css_task_next iter_css_task_destroy "
    "iter_task_vma_new iter_task_vma_next iter_task_vma_destroy iter_kmem_cache_new "
    "iter_kmem_cache_next iter_kmem_cache_destroy iter_bits_new iter_bits_next iter_bits_destroy",
    "loops": "loop for_each_map_elem user_ringbuf_drain",
    "dynptr": "dynptr_from_mem ringbuf_reserve_dynptr ringbuf_submit_dynptr "
    "ringbuf_discard_dynptr dynptr_read dynptr_write dynptr_data",
    "kfuncs": "iter_num_new iter_num_next iter_num_destroy rcu_read_lock rcu_read_unlock "
    "preempt_disable preempt_enable dynptr_from_xdp dynptr_from_skb dynptr_slice "
    "dynptr_slice_rdwr dynptr_size dynptr_adjust dynptr_is_null dynptr_is_rdonly",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def helper(
    name: str,
    *arguments: Argument,
    native: str = "",
    types: frozenset[ProgramType] = frozenset(),
    tells_program: bool = False,
) -> Callable[[_Function], _Function]:
    """Register the Python function that follows as a helper; compiled programs use the
    `native` one where it is named."""

    def register(function: _Function) -> _Function:
        _TABLE[name] = Helper(name, arguments, native, function, types, tells_program=tells_program)
        return function

    return register


def calling_helper(
    name: str, *arguments: Argument, native: str
) -> Callable[[Callable[..., Calls]], Callable[..., Calls]]:
    """Register the generator that follows as a helper that calls functions of the program."""

    def register(function: Callable[..., Calls]) -> Callable[..., Calls]:
        def python(call: Invocation, *values: int) -> int:
            return _made(call, function(call, *values))

        _TABLE[name] = Helper(name, arguments, native, python, calls=function)
        return function

    return register


def _made(call: Invocation, calls: Calls) -> int:
    """What a helper gives whose calls are made as it asks for them."""
    caller = call.interpreter
    assert caller is not None
    try:
        callback, *arguments = next(calls)
        while True:
            slot = caller.frame.code.function_of(callback)
            if slot is None:
                raise ProgramFault(describe_call(callback))
            callback, *arguments = calls.send(caller.call_function(slot, *arguments))
    except StopIteration as end:
        value: int = end.value
        return value


def native_helper(
    name: str,
    *arguments: Argument,
    function: str = "",
    types: frozenset[ProgramType] = frozenset(),
) -> None:
    """Register a helper whose code is a native function, `helper_<name>` if not said."""
    _TABLE[name] = Helper(name, arguments, function or f"helper_{name}", types=types)


def native_variant(name: str, program_type: ProgramType, function: str) -> None:
    """Register what a helper is for one program type."""
    held = _TABLE[name]
    _VARIANTS[name, program_type] = Helper(name, held.arguments, function, types=held.types)


def variant(name: str, program_type: ProgramType | None) -> Helper | None:
    """What a helper is for a program type, where that differs from the rest."""
    if program_type is None or supported().get(name) is None:
        return None
    return _VARIANTS.get((name, program_type))


class _Supported(Mapping[str, Helper]):
    """The table; a helper's module is imported when somebody asks for it."""

    def __getitem__(self, name: str) -> Helper:
        held = _TABLE.get(name)
        if held is None:
            imported(f"osmia.vm.helpers.{_HOMES[name]}")
            held = _TABLE[name]
        return held

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


_SUPPORTED = _Supported()


def supported() -> Mapping[str, Helper]:
    """Every helper that the vm has, by name without the `bpf_` prefix."""
    return _SUPPORTED
