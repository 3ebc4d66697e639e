"""Copying values of maps, but for what in them is the map's own: see `special_fields`."""

from __future__ import annotations

from osmia.vm.layout import MAP_LOCK_OFFSET, MAP_SPECIAL, MAP_VALUE_SIZE
from osmia.vm.native import copy, field32, field64, load32, native, release32, swap32, zero

SPIN_LIMIT = 1 << 24


@native
def copy_value(header: int, to: int, source: int, fresh: int) -> int:
    """Copy a value but for its special fields; those of a fresh entry become 0."""
    table = field64(header, MAP_SPECIAL)
    size = field32(header, MAP_VALUE_SIZE)
    if table == 0:
        copy(to, source, size)
        return 0
    done = 0
    while load32(table + 4) != 0:
        at = load32(table)
        copy(to + done, source + done, at - done)
        done = at + load32(table + 4)
        if fresh:
            zero(to + at, load32(table + 4))
        table = table + 8
    copy(to + done, source + done, size - done)
    return 0


@native
def copy_value_locked(header: int, to: int, source: int) -> int:
    """Copy a value into an entry whose lock is held meanwhile. One that is never released stops
    nobody for ever."""
    word = to + field32(header, MAP_LOCK_OFFSET) - 1
    tries = 0
    while swap32(word, 0, 1) != 0 and tries < SPIN_LIMIT:
        tries = tries + 1
    copy_value(header, to, source, 0)
    release32(word, 0)
    return 0
