"""Every way in which helpers fail, against the kernel: what they give, and what they leave in the
buffers that they were given. Those of skbs are in test_skb_helpers, those of text in others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia

pytestmark = pytest.mark.kernel

SOURCE = Path(__file__).with_name("failures.bpf.c")
PROGRAMS = (
    *("dynptr_of_memory", "dynptr_flags", "dynptr_of_ring", "ring_output", "reserve_1"),
    *("reserve_all", "reserve_more", "reserve_much", "xdp_bytes", "xdp_redirects", "redirects"),
    *("checksums", "compared", "name_of_task", "text", "loops", "numbers", "elements", "drained"),
)
FEW = (0, 0, 0, 1, 2, 4)
SIZES = (*range(6), 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 50, 57, 58, 59, 60, 63, 64, 65, 100)
LIMITS = (4080, 4088, 4089, 4096, 8191, 1 << 23, (1 << 23) + 1, (1 << 24) - 1, 1 << 24, 0xFFFF)
FAR = (0x10000, (1 << 31) - 1, 1 << 31, 0xFFFF_FFFF, 1 << 32, (1 << 32) + 1, 1 << 63, (1 << 64) - 1)
PACKET = bytes(12) + b"\x08\0\x45\0\0\x32" + bytes(range(46))


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Any, Any]]:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for bpf in (kernel, vm):
            held: dict[str, Any] = dict(bpf.maps)
            held["devices"][1] = held["hashed_devices"][1] = 1
            for key in range(3):
                held["hash"][key] = key
        yield kernel, vm


def seen(bpf: Any, program: str, arguments: list[int], data: bytes, **options: Any) -> Any:
    for name, value in zip("abcd", arguments, strict=True):
        bpf.data[name] = value
    bpf.data["results"], bpf.data["out"], bpf.data["in"] = [99] * 4, bytes(64), data
    packet = bpf.programs[program].run(PACKET, **options).data
    bpf.maps["ring"].read()
    return list(bpf.data["results"]), bytes(bpf.data["out"], "latin-1"), packet


@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_helper_fails_as_in_the_kernel(
    both: tuple[Any, Any], program: str, executor: str
) -> None:
    choose, wrong = random.Random(program), []
    values = SIZES + LIMITS + FAR
    for _ in range(60):
        flags = choose.choice(FEW if choose.random() < 0.7 else values)
        arguments = [choose.choice(values), flags, choose.choice(values), choose.choice(values)]
        data = bytes(choose.choices(b"abcd\0Z", k=64))
        theirs = seen(both[0], program, arguments, data)
        mine = seen(both[1], program, arguments, data, executor=executor)
        if mine != theirs:
            wrong.append((arguments, theirs, mine))
    assert not wrong
