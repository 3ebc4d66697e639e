"""Where everything lies in a vm's memory: addresses, block sizes, field offsets.

One reservation holds two memories, addressed by one number (see docs/vm.md):

    0 … region            what programs can address: stacks, contexts, packets, values
    region + GUARD …      control memory: map headers, keys, links, locks, CPU state

A program's address is masked to the region's size, and an instruction's offset is added
after that: `GUARD` bytes on both sides of the region catch what the offset adds.
"""

from __future__ import annotations

GUARD = 1 << 16
"""Bytes on each side of the region; more than an instruction's 16-bit offset reaches."""

FIRST_ADDRESS = 1 << 16
"""No program address below this is ever given out: a null pointer plus a field is a fault."""

FRAME_SIZE = 512
"""Bytes of one stack frame, as in the kernel."""

FRAME_STRIDE = 1024
"""Distance of two frames. The other half is never valid: it catches overruns."""

CALL_DEPTH = 8
"""Frames of one program's deepest call chain (MAX_CALL_FRAMES)."""

PROGRAM_DEPTH = 4
"""Programs that call each other by handle, one in the other."""

TAIL_CALL_LIMIT = 33
"""Tail calls taken in one run (MAX_TAIL_CALL_CNT)."""

CHAIN_ROOM = CALL_DEPTH * FRAME_STRIDE
"""Stack bytes that a function and those it calls directly take, at most."""

TAIL_CALL_ROOM = (CALL_DEPTH - 1) * FRAME_STRIDE
"""Stack bytes that one more tail call can add: it is made in the last frame of a chain, and
begins a chain there."""

MAY_GOTO_LIMIT = 8 * 1024 * 1024
"""How often a frame's may_goto goes on (BPF_MAX_LOOPS)."""

CPU_SHIFT = 20
CPU_BLOCK = 1 << CPU_SHIFT
"""Region bytes of one virtual CPU: its stack, context and packet. Blocks are aligned, so
that a frame's address tells the CPU."""

CPU_STACK = 0
CPU_STACK_SIZE = 300 * FRAME_STRIDE
"""34 programs in one chain of tail calls, seven callers each, and the last one's eight; and
eight of each further program that is called by handle. Nothing else than the depth of those
calls is unbounded: `osmia.vm.native.may_enter` stops them."""

CPU_CONTEXT = CPU_STACK + CPU_STACK_SIZE
CPU_CONTEXT_SIZE = 1 << 17
CPU_PACKET = 1 << 19
CPU_PACKET_SIZE = 1 << 18
"""Head room, data, tail room. The end of the CPU's block after it stays unused."""

PACKET_HEADROOM = 256
"""XDP_PACKET_HEADROOM."""

XDP_FRAME = 40
"""Bytes of the head room that XDP programs may not use (struct xdp_frame)."""

MAX_PACKET = CPU_PACKET_SIZE - 2 * PACKET_HEADROOM
"""The largest packet, in bytes, that a run takes."""

CPU_STATE_SIZE = 8192
"""Control bytes of one virtual CPU: the fields below, scratch room, a tunnel's."""

STATE_INTERRUPT = 0  # u64: why to return at once from every frame; an `Interrupt`
STATE_DETAIL = 8  # u64: what the interrupt is about: an address, a program's entry
STATE_BUDGET = 16  # s64: instructions left
STATE_TAIL_CALLS = 24  # u32: tail calls taken in this run
STATE_CPU = 28  # u32: number of this CPU
STATE_PACKET_START = 32  # u64: first byte that data or data_meta may move to
STATE_PACKET_END = 40  # u64: first byte that data_end may not move to
STATE_CONTEXT = 48  # u64: address of the context
STATE_REDIRECT_TARGET = 56  # u64: interface index or map key of the last redirect
STATE_REDIRECT_MAP = 64  # u64: handle of its map, 0 for an interface
STATE_REDIRECT_FLAGS = 72  # u64
STATE_PACKET_LOW = 80  # u32: where the first byte is that was a packet's since they were zeroed
STATE_PACKET_HIGH = 84  # u32: and where the last one ends
STATE_DATA = 88  # u32: where in the context the packet's start is; NO_PACKET for none
STATE_DATA_END = 92  # u32: and its end
STATE_READ_ONLY = 96  # u32: 1 when the program may not write to the packet
STATE_PAGED = 100  # u32: bytes of the packet behind data_end: those in other pieces
STATE_REST = 104  # u64: instructions that the run may take beyond STATE_BUDGET
STATE_MAC = 112  # u64: address of an skb's link-layer header
STATE_NETWORK = 120  # u64: and of its network header
STATE_CHECKSUM = 128  # u32: 0, or how many checksums are known to be right (at most 4)
STATE_ENCAPSULATED = 132  # u32: 1 once an skb got an outer header
STATE_RANDOM = 136  # u64: state of the pseudo-random generator
STATE_DOOR = 144  # u64: the machine address of this CPU's door to Python
STATE_TIME = 152  # u64: added to the clock's reading
STATE_SLICE = 160  # u64: how many of them are handed out at a time
STATE_POLLS = 168  # u64: 1 when Python is asked before each slice: its thread gets signals
STATE_LEFT = 176  # u64: how many of the runs that were asked for did not begin
STATE_STOP = 184  # u32: 1 when the vm wants the run to end
STATE_CALL = 192  # 7 u64: what the door is asked: a helper's number, frame, r1 to r5
STATE_ENTRY = 248  # 4 u64: the base, the frame, r1, r2 of a run that begins
STATE_SCRATCH = 280
STATE_TUNNEL = 4096  # u32: 1 once an skb was given a tunnel's key
STATE_TUNNEL_KEY = 4104  # see `osmia.vm.helpers.tunnels`

NO_PACKET = 0xFFFF_FFFF

MAX_MAPS = 1 << 16
"""The maps that a vm can have in its life: a number is never used again."""
MAP_HANDLE = 0xFFFF_8000_0000_0000
MAP_HANDLE_SHIFT = 8
"""What a program sees as a map's address: `MAP_HANDLE + (number << MAP_HANDLE_SHIFT)`."""

FUNCTION_HANDLE = 0xFFFF_C000_0000_0000
FUNCTION_HANDLE_SHIFT = 3
"""What a program sees as a function's address: `FUNCTION_HANDLE + (slot << …SHIFT)`."""

LABEL_HANDLE = 0xFFFF_E000_0000_0000
"""What a program sees as the address of a slot in its jump tables: this plus a number."""

TASK_HANDLE = 0xFFFF_F000_0000_0000
"""What a program sees as the address of the running task: this plus the thread's number."""

# A map's header in control memory. The fields up to MAP_LOCK never change after creation:
# compiled code may take them as constants.
MAP_TYPE = 0  # u32
MAP_KEY_SIZE = 4  # u32
MAP_VALUE_SIZE = 8  # u32
MAP_MAX_ENTRIES = 12  # u32
MAP_FLAGS = 16  # u32
MAP_STRIDE = 20  # u32: bytes from one value to the next
MAP_VALUES = 24  # u64: address of the first value
MAP_NUMBER = 32  # u32: the number in its handle
MAP_CPUS = 36  # u32: copies of each value; 0 for maps that are not per CPU
MAP_BUCKETS = 40  # u64: hash maps: u32 chain heads; queues: unused
MAP_BUCKET_MASK = 48  # u32
MAP_NODE_STRIDE = 52  # u32: bytes of one node
MAP_NODES = 56  # u64: hash, LRU, LPM: element nodes; arrays of handles: the slots
MAP_TYPE_DATA = 64  # u64: what one map type needs besides
MAP_NODE_COUNT = 72  # u32: how many nodes there are, spare ones included
MAP_LOCK_OFFSET = 76  # u32: where in a value its bpf_spin_lock is, plus 1
MAP_SPECIAL = 80  # u64: address of a table of what of a value is not copied, or 0
MAP_CONSTANTS_END = 88
MAP_LOCK = 88  # u32
MAP_COUNT = 92  # u32: entries in it
MAP_FREE = 96  # u32: first free node + 1
MAP_HEAD = 100  # u32: queue: next to pop; LRU: the clock's hand
MAP_FRESH = 104  # u32: nodes from this number on were never used
MAP_ROOT = 108  # u32: LPM: the root node + 1
MAP_SPARE = 112  # u64: hash: address of a u32 a CPU, its spare node + 1
MAP_HEADER_SIZE = 128
