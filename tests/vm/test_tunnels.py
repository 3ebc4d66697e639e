"""A tunnel's key and options of a packet: the vm does what the kernel does, byte for byte."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

import pytest

from osmia.object.uapi import ProgramType

from .everywhere import Everywhere, everywhere

pytestmark = pytest.mark.kernel

PACKET = bytes(12) + b"\x08\x00" + bytes([0x45]) + bytes(63)

#: Given: the size to set, its flags, the size to get, its flags, the key's 44 bytes from 32 on.
KEY = """
    r6 = r1
    r7 = {given}
    r8 = {found}
    r9 = *(u64 *)(r7 +56)
    *(u64 *)(r8 +0) = r9
    r2 = r10
    r2 += -48
    r1 = 0x0403020104030201 ll
    *(u64 *)(r10 -48) = r1
    *(u64 *)(r10 -40) = r1
    r1 = *(u64 *)(r7 +32)
    *(u64 *)(r10 -32) = r1
    r1 = *(u64 *)(r7 +40)
    *(u64 *)(r10 -24) = r1
    r1 = 0x0a090807 ll
    *(u64 *)(r10 -16) = r1
    *(u64 *)(r10 -8) = r1
    r1 = r6
    r3 = *(u64 *)(r7 +0)
    r4 = *(u64 *)(r7 +8)
    if r3 > 44 goto none
    if r3 == 0 goto none
    call bpf_skb_set_tunnel_key
    *(u64 *)(r8 +8) = r0
    none:
    r1 = r6
    r2 = r8
    r2 += 64
    r3 = *(u64 *)(r7 +16)
    r4 = *(u64 *)(r7 +24)
    if r3 > 60 goto out
    if r3 == 0 goto out
    call bpf_skb_get_tunnel_key
    *(u64 *)(r8 +16) = r0
    out: r0 = 0
    exit
"""
SIZES = (0, 4, 8, 22, 24, 28, 43, 44)


@pytest.fixture(scope="module")
def keys() -> Iterator[Everywhere]:
    with everywhere(KEY, ProgramType.SCHED_CLS) as found:
        yield found


@pytest.mark.parametrize("size", SIZES)
def test_keys_of_every_size_and_their_failures(keys: Everywhere, size: int) -> None:
    errors = set()
    for got, flags in itertools.product((*SIZES[1:], 48), (0, 1, 2)):
        for wanted in (0, 1, 16, 17):
            outcome = keys.agree(PACKET, given=(size, flags, got, wanted, 0, 0))
            errors.add(struct.unpack("<q", outcome.found[16:24]))
    assert (-22,) in errors


def test_every_flag_of_a_key_is_read_back_as_the_kernel_tells_it(keys: Everywhere) -> None:
    told = set()
    for flags in (*range(32), 32, 64):
        outcome = keys.agree(PACKET, given=(44, flags, 44, flags & 1 | 16, 0, 0))
        told.add(outcome.found[64 + 22 : 64 + 24])
    assert len(told) > 8


@pytest.mark.parametrize("word", [1 << 48, 1 << 56, 1 << 16, 5, 5 << 32])
def test_a_label_and_what_follows_the_hops_are_checked(keys: Everywhere, word: int) -> None:
    for flags, place in itertools.product((0, 1), (0, 1)):
        words = [0, 0]
        words[place] = word
        keys.agree(PACKET, given=(44, flags, 44, flags, *words))


#: Given: the size of the options to set, of those to get, whether there is a key.
OPTIONS = """
    r6 = r1
    r7 = {given}
    r8 = {found}
    *(u64 *)(r10 -48) = 1
    *(u64 *)(r10 -40) = 0
    *(u64 *)(r10 -32) = 0
    *(u64 *)(r10 -24) = 0
    *(u64 *)(r10 -16) = 0
    *(u64 *)(r10 -8) = 0
    r1 = *(u64 *)(r7 +16)
    if r1 == 0 goto without
    r1 = r6
    r2 = r10
    r2 += -48
    r3 = 44
    r4 = 0
    call bpf_skb_set_tunnel_key
    without:
    *(u64 *)(r10 -16) = 0x55443322
    r1 = r6
    r2 = r10
    r2 += -16
    r3 = *(u64 *)(r7 +0)
    if r3 > 16 goto get
    if r3 == 0 goto get
    call bpf_skb_set_tunnel_opt
    *(u64 *)(r8 +0) = r0
    get:
    r1 = r6
    r2 = r8
    r2 += 64
    r3 = *(u64 *)(r7 +8)
    if r3 > 32 goto out
    if r3 == 0 goto out
    call bpf_skb_get_tunnel_opt
    *(u64 *)(r8 +8) = r0
    out: r0 = 0
    exit
"""


def test_options_and_their_failures() -> None:
    with everywhere(OPTIONS, ProgramType.SCHED_CLS) as options:
        for given, wanted, key in itertools.product(
            (0, 3, 4, 8, 16), (0, 1, 4, 12, 16, 32), (0, 1)
        ):
            outcome = options.agree(PACKET, given=(given, wanted, key))
            if (given, wanted, key) == (8, 12, 1):
                assert struct.unpack("<2q", outcome.found[:16]) == (0, 8)
                assert outcome.found[64:76] == b"\x22\x33\x44\x55" + bytes(8)
