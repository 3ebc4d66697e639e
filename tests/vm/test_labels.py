"""Computed gotos in all forms in which clang makes tables of them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import VerifierError
from osmia.object import Object
from osmia.object.jump_targets import jump_targets

M32 = 0xFFFF_FFFF


@pytest.fixture(scope="module")
def obj() -> Object:
    return osmia.compile(Path(__file__).with_name("labels.bpf.c"), cpu="v4", compiler="zig")


def falling(label: int, *steps: int) -> int:
    """The sum of the steps from a label on."""
    return sum(steps[label:])


def expected(name: str, a: int, b: int) -> int:
    match name:
        case "two_tables_one_jump":
            return falling(a & 1 if b & 1 else 2 + (a >> 1 & 1), 1, 3, 5, 7)
        case "one_table_two_ways":
            return falling((a & 1) + (0 if b & 1 else 1), 1, 3, 5)
        case "through_memory":
            return b + falling(a & 1, 100, 3)
        case _:
            label = 2 if a & 2 else a & 1
            return 3 * (b + falling(label, 100, 3))


NAMES = ("two_tables_one_jump", "one_table_two_ways", "through_memory", "chosen")


@pytest.mark.parametrize("name", NAMES)
def test_every_label_is_reached(obj: Object, executor: Any, name: str) -> None:
    with obj.load("vm", memory=1 << 25, cpus=1) as bpf:
        for a in range(8):
            for b in (0, 1, 77, M32):
                result = bpf.programs[name].run(ctx=struct.pack("<QQ", a, b), executor=executor)
                assert result.retval == expected(name, a, b) & M32, (a, b)


@pytest.mark.parametrize(
    ("name", "tables", "labels"),
    [
        ("two_tables_one_jump", 2, 4),
        ("one_table_two_ways", 1, 3),
        ("through_memory", 1, 2),
        ("chosen", 3, 3),
    ],
)
def test_jumps_know_their_labels(obj: Object, name: str, tables: int, labels: int) -> None:
    assert len([t for t in obj.jump_tables.values() if t.function == name]) == tables
    for targets in jump_targets(obj, obj.functions[name]).values():
        assert len(targets) == labels


def test_labels_among_other_data_are_refused(obj: Object) -> None:
    odd = obj.copy()
    odd.set_autoload("mixed")
    with pytest.raises(VerifierError, match="'mixed': gotox without a jump table"):
        odd.load("vm", memory=1 << 25, cpus=1)
