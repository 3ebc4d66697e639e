"""Prog arrays: slots that hold a program's number and, when it is compiled, its entry."""

from __future__ import annotations

from osmia.vm.errors import Interrupt
from osmia.vm.layout import (
    MAP_MAX_ENTRIES,
    MAP_NODES,
    MAP_TYPE,
    STATE_TAIL_CALLS,
    TAIL_CALL_LIMIT,
)
from osmia.vm.maps.operations import map_at
from osmia.vm.native import (
    acquire64,
    cpu_state,
    field32,
    field64,
    interrupt,
    load32,
    native,
    store32,
)

PROG_ARRAY = 3

SLOT_SIZE = 16
SLOT_ENTRY = 0  # u64: the machine address of the compiled program, or 0
SLOT_PROGRAM = 8  # u64: its number in the vm + 1, 0 for an empty slot


@native
def slot_address(header: int, key: int) -> int:
    """The address of a slot; 0 when the key is out of range, or the map is no prog array: where
    the slots are, only the header of one tells."""
    if header == 0 or field32(header, MAP_TYPE) != PROG_ARRAY:
        return 0
    if key >= field32(header, MAP_MAX_ENTRIES):
        return 0
    return field64(header, MAP_NODES) + key * SLOT_SIZE


@native
def count_tail_call(frame: int) -> int:
    """Count one more tail call of this run; 0 when the limit is reached."""
    counter = cpu_state(frame) + STATE_TAIL_CALLS
    taken = load32(counter)
    if taken >= TAIL_CALL_LIMIT:
        return 0
    store32(counter, taken + 1)
    return 1


@native
def take_tail_call(frame: int, header: int, key: int) -> int:
    """The number + 1 of the program in a slot, counted; 0 when the tail call is not taken."""
    slot = slot_address(header, key)
    if slot == 0:
        return 0
    number = acquire64(slot + SLOT_PROGRAM)
    if number == 0 or count_tail_call(frame) == 0:
        return 0
    return number


@native
def take_tail_entry(frame: int, handle: int, key: int) -> int:
    """The entry of the compiled program in a slot, counted; 0 when it is not taken, after an
    interrupt if the handle is none of a prog array."""
    header = map_at(handle)
    if header == 0 or field32(header, MAP_TYPE) != PROG_ARRAY:
        return interrupt(frame, Interrupt.HANDLE, handle)
    slot = slot_address(header, key)
    if slot == 0:
        return 0
    entry = acquire64(slot + SLOT_ENTRY)
    if entry == 0 or count_tail_call(frame) == 0:
        return 0
    return entry
