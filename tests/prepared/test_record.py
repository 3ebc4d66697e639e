"""The record's format: what is written is read, and nothing else is."""

from __future__ import annotations

import random

import pytest

from osmia.prepared.record import (
    FIXUP,
    FROZEN,
    MAP,
    SECTION,
    SLOT,
    ZEROED,
    BrokenRecordError,
    MapRow,
    ProgramRow,
    Record,
    check,
    packed,
    unpacked,
)

CODE = bytes(32)
PROGRAM = ProgramRow(6, 0, 0, 0, 0, b"ingress", CODE, bytes(8), bytes(16), FIXUP.pack(8, 0), b"")
FLOWS = MapRow(1, 4, 8, 16, 0, 2, 3, 0, 0, -1, MAP, ZEROED, b"flows", b"flows", b"")
RODATA = MapRow(
    2, 4, 4, 1, 0x80, 0, 5, 0, 0, -1, SECTION, FROZEN, b"x.rodata", b".rodata", b"\7\0\0\0"
)
RECORD = Record("x", "GPL", b"types", SLOT.pack(0, 1, 1, 0), (FLOWS, RODATA), (PROGRAM,))


def test_what_is_written_is_read() -> None:
    assert unpacked(packed(RECORD, "key"), "key") == RECORD


def test_a_record_under_another_key_is_none() -> None:
    with pytest.raises(BrokenRecordError):
        unpacked(packed(RECORD, "key"), "other")


def test_all_of_a_key_counts() -> None:
    """That of the file, the kernel's build id, and what is loaded, as a store joins them."""
    key = f"{'1' * 40}-{'2' * 40}-{'3' * 32}"
    whole = packed(RECORD, key)
    assert unpacked(whole, key) == RECORD
    for other in (f"{key[:-1]}4", key[:-33], f"{'1' * 40}-{'2' * 39}4-{'3' * 32}"):
        with pytest.raises(BrokenRecordError):
            unpacked(whole, other)


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_noticed(seed: int) -> None:
    chance = random.Random(seed)
    whole = packed(RECORD, "key")
    for _ in range(200):
        damaged = bytearray(whole)
        match chance.randrange(4):
            case 0:
                del damaged[chance.randrange(len(damaged)) :]
            case 1:
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            case 2:
                damaged += chance.randbytes(chance.randrange(1, 9))
            case _:
                at = chance.randrange(len(damaged))
                damaged[at : at + 4] = chance.randbytes(5)
        with pytest.raises(ValueError):
            unpacked(bytes(damaged), "key")


@pytest.mark.parametrize(
    "record",
    [
        RECORD._replace(maps=()),  # its program's code names one
        RECORD._replace(maps=(FLOWS._replace(inner=0),)),
        RECORD._replace(maps=(FLOWS, RODATA._replace(inner=0))),  # no template
        RECORD._replace(maps=(FLOWS, RODATA._replace(value_size=5))),
        RECORD._replace(maps=(FLOWS._replace(max_entries=1 << 32),)),
        RECORD._replace(maps=(FLOWS._replace(key_size=-1),)),
        RECORD._replace(programs=(PROGRAM._replace(code=bytes(12)),)),
        RECORD._replace(programs=(PROGRAM._replace(fixups=FIXUP.pack(24, 0)),)),
        RECORD._replace(programs=(PROGRAM._replace(fixups=FIXUP.pack(4, 0)),)),
        RECORD._replace(programs=(PROGRAM._replace(bound=b"\2\0\0\0"),)),
        RECORD._replace(programs=(PROGRAM._replace(func_info=bytes(7)),)),
        RECORD._replace(slots=SLOT.pack(0, 0, 1, 1)),
        RECORD._replace(slots=SLOT.pack(0, 0, 2, 0)),
        RECORD._replace(slots=b"\0"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused_whatever_the_checksum_says(
    record: Record,
) -> None:
    with pytest.raises(BrokenRecordError):
        unpacked(packed(record, "key"), "key")


@pytest.mark.parametrize("extra", [1 << 63, (1 << 64) - 1])
def test_a_number_that_rows_have_no_room_for_is_refused_before_it_is_written(extra: int) -> None:
    with pytest.raises(BrokenRecordError):
        check(RECORD._replace(maps=(FLOWS._replace(map_extra=extra), RODATA)))
