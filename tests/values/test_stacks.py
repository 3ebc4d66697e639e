"""Stacks out of stack maps and of buffers of bpf_get_stack."""

from __future__ import annotations

import struct

from osmia.values.stacks import FilePlace, Stack

KERNEL = 0xFFFF_FFFF_8100_0000


def test_a_stack_ends_at_the_first_zero_or_with_its_bytes() -> None:
    assert Stack.from_bytes(struct.pack("=5Q", 1, 2, 3, 0, 4)) == Stack([1, 2, 3])
    assert Stack.from_bytes(struct.pack("=2Q", 1, 2) + b"abc") == Stack([1, 2])
    assert Stack.from_bytes(b"") == Stack()


def test_a_stack_with_build_ids_has_places_in_files() -> None:
    identifier = bytes(range(20))
    data = b"".join(
        struct.pack("=i20sQ", status, identifier, place)
        for status, place in ((1, 0x1234), (2, 0x7F00_0000), (0, 0), (1, 1))
    )
    stack = Stack.from_bytes(data, build_ids=True)
    assert stack == Stack([FilePlace(identifier.hex(), 0x1234), 0x7F00_0000])
    assert str(stack[0]) == "0001020304050607+0x1234"


def test_a_stack_has_parts_and_joins() -> None:
    stack = Stack([KERNEL]) + Stack([0x1000, 0x2000])
    assert isinstance(stack, Stack)
    assert (stack.kernel, stack.user) == (Stack([KERNEL]), Stack([0x1000, 0x2000]))
    assert repr(stack) == "Stack(0xffffffff81000000, 0x1000, 0x2000)"
    assert {stack: 1}[Stack([KERNEL, 0x1000, 0x2000])] == 1
