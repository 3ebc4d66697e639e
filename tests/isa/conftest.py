"""Every form of instruction with its spelling."""

from __future__ import annotations

import pytest

# Code in little-endian hex and the text for it. The texts without "!" are what the
# verifier of Linux 6.18 prints (test_kernel_syntax.py asks it again); "!" marks those
# that it never prints in a log: xlated code only, file forms of ld_imm64, osmia's own.
SPELLINGS = """
07010000fbffffff  r1 += -5
04010000fbffffff  w1 += -5
0f21000000000000  r1 += r2
0c21000000000000  w1 += w2
1701000007000000  r1 -= 7
1f21000000000000  r1 -= r2
2401000007000000  w1 *= 7
2f21000000000000  r1 *= r2
3701000007000000  r1 /= 7
3c21000000000000  w1 /= w2
3701010007000000  r1 s/= 7
3f21010000000000  r1 s/= r2
3c21010000000000  w1 s/= w2
47010000ffffff7f  r1 |= 2147483647
4f21000000000000  r1 |= r2
5701000000000080  r1 &= -2147483648
5c21000000000000  w1 &= w2
6701000003000000  r1 <<= 3
6f21000000000000  r1 <<= r2
7701000003000000  r1 >>= 3
7c21000000000000  w1 >>= w2
8701000000000000  r1 = -r1
8401000000000000  w1 = -w1
9701000007000000  r1 %= 7
9f21000000000000  r1 %= r2
9401010007000000  w1 s%= 7
9f21010000000000  r1 s%= r2
a701000007000000  r1 ^= 7
af21000000000000  r1 ^= r2
b7010000ffffffff  r1 = -1
b401000005000000  w1 = 5
bfa1000000000000  r1 = r10
bc21000000000000  w1 = w2
bf21080000000000  r1 = (s8)r2
bf21100000000000  r1 = (s16)r2
bf21200000000000  r1 = (s32)r2
bc21080000000000  w1 = (s8)w2
bc21100000000000  w1 = (s16)w2
c701000003000000  r1 s>>= 3
cc21000000000000  w1 s>>= w2
d401000010000000  r1 = le16 r1
d401000020000000  r1 = le32 r1
dc01000020000000  r1 = be32 r1
dc01000040000000  r1 = be64 r1
d701000010000000  r1 = bswap16 r1
d701000020000000  r1 = bswap32 r1
d701000040000000  r1 = bswap64 r1
bf21010000000100  r1 = addr_space_cast(r2, 1, 0)
bf21010001000000  r1 = addr_space_cast(r2, 0, 1)
bf21ffff00000000  r1 = &(void __percpu *)(r2)
6121fcff00000000  r1 = *(u32 *)(r2 -4)
6921040000000000  r1 = *(u16 *)(r2 +4)
7121000000000000  r1 = *(u8 *)(r2 +0)
7921ff7f00000000  r1 = *(u64 *)(r2 +32767)
8121040000000000  r1 = *(s32 *)(r2 +4)
8921040000000000  r1 = *(s16 *)(r2 +4)
9121040000000000  r1 = *(s8 *)(r2 +4)
620af8fffbffffff  *(u32 *)(r10 -8) = -5
6a0af8ff05000000  *(u16 *)(r10 -8) = 5
720af8ff05000000  *(u8 *)(r10 -8) = 5
7a0af8ff05000000  *(u64 *)(r10 -8) = 5
631af8ff00000000  *(u32 *)(r10 -8) = r1
6b1af8ff00000000  *(u16 *)(r10 -8) = r1
731af8ff00000000  *(u8 *)(r10 -8) = r1
7b1af8ff00000000  *(u64 *)(r10 -8) = r1
c31af8ff00000000  lock *(u32 *)(r10 -8) += r1
db1af8ff40000000  lock *(u64 *)(r10 -8) |= r1
db1af8ff50000000  lock *(u64 *)(r10 -8) &= r1
c31af8ffa0000000  lock *(u32 *)(r10 -8) ^= r1
c31af8ff01000000  r1 = atomic_fetch_add((u32 *)(r10 -8), r1)
db1af8ff41000000  r1 = atomic64_fetch_or((u64 *)(r10 -8), r1)
c31af8ff51000000  r1 = atomic_fetch_and((u32 *)(r10 -8), r1)
db1af8ffa1000000  r1 = atomic64_fetch_xor((u64 *)(r10 -8), r1)
c31af8ffe1000000  r1 = atomic_xchg((u32 *)(r10 -8), r1)
db1af8ffe1000000  r1 = atomic64_xchg((u64 *)(r10 -8), r1)
c31af8fff1000000  r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r1)
db1af8fff1000000  r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)
d3a1f8ff00010000  r1 = load_acquire((u8 *)(r10 -8))
cba1f8ff00010000  r1 = load_acquire((u16 *)(r10 -8))
c3a1f8ff00010000  r1 = load_acquire((u32 *)(r10 -8))
dba1f8ff00010000  r1 = load_acquire((u64 *)(r10 -8))
d31af8ff10010000  store_release((u8 *)(r10 -8), r1)
db1af8ff10010000  store_release((u64 *)(r10 -8), r1)
200000000c000000  r0 = *(u32 *)skb[12]
28000000f4ffffff  r0 = *(u16 *)skb[-12]
300000000c000000  r0 = *(u8 *)skb[12]
403000000c000000  r0 = *(u32 *)skb[r3 + 12]
4830000000000000  r0 = *(u16 *)skb[r3 + 0]
50300000f4ffffff  r0 = *(u8 *)skb[r3 + -12]
15010000fbffffff  if r1 == 0xfffffffb goto pc+0
1d21000000000000  if r1 == r2 goto pc+0
1601000005000000  if w1 == 0x5 goto pc+0
1e21000000000000  if w1 == w2 goto pc+0
2501000005000000  if r1 > 0x5 goto pc+0
3e21000000000000  if w1 >= w2 goto pc+0
4501000005000000  if r1 & 0x5 goto pc+0
5d21000000000000  if r1 != r2 goto pc+0
6601000005000000  if w1 s> 0x5 goto pc+0
7d21000000000000  if r1 s>= r2 goto pc+0
a501000005000000  if r1 < 0x5 goto pc+0
be21000000000000  if w1 <= w2 goto pc+0
c501000005000000  if r1 s< 0x5 goto pc+0
dd21000000000000  if r1 s<= r2 goto pc+0
0500000000000000  goto pc+0
0600000000000000  gotol pc+0
e500000000000000  may_goto pc+0
8500000001000000  call bpf_map_lookup_elem#1
8500000000000000  call bpf_unspec#0
85000000d3000000  call bpf_cgrp_storage_delete#211
8500000088130000  call unknown#5000
85000000ffffffff  call unknown#-1
9500000000000000  exit
15010180000000ff  !if r1 == 0xff000000 goto pc-32767
0500ff7f00000000  !goto pc+32767
0600000000000080  !gotol pc-2147483648
8510000007000000  !call pc+7
85100000feffffff  !call pc-2
8510070002000000  !call pc+7#2
85200000d2040000  !call kernel-function#1234
85200300d2040000  !call kernel-function[3]#1234
8550000007000000  !call program#7
8d03000000000000  !callx r3
0d03000000000000  !gotox r3
c200000000000000  !nospec
7b1bf8ff00000000  !*(u64 *)(r11 -8) = r1
18010000050000000000000007000000  !r1 = 0x700000005 ll
18010000fbffffff00000000ffffffff  !r1 = 0xfffffffffffffffb ll
18110000050000000000000000000000  !r1 = map[fd:5]
18210000050000000000000008000000  !r1 = map[fd:5][0]+8
182100000500000000000000ffffffff  !r1 = map[fd:5][0]+4294967295
18310000d20400000000000000000000  !r1 = btf[id:1234]
18310000d20400000000000007000000  !r1 = btf[id:1234,fd:7]
18410000feffffff0000000000000000  !r1 = subprog[-2]
18510000030000000000000000000000  !r1 = map[idx:3]
18610000030000000000000010000000  !r1 = map[idx:3][0]+16
ff21030004000000  !.raw 0xff, dst=1, src=2, offset=3, imm=4
b711000005000000  !.raw 0xb7, dst=1, src=1, offset=0, imm=5
bc21200000000000  !.raw 0xbc, dst=1, src=2, offset=32, imm=0
cb1af8ff00000000  !.raw 0xcb, dst=10, src=1, offset=-8, imm=0
b70c000005000000  !.raw 0xb7, dst=12, src=0, offset=0, imm=5
9500000001000000  !.raw 0x95, dst=0, src=0, offset=0, imm=1
1801000005000000  !.raw 0x18, dst=1, src=0, offset=0, imm=5
18910000050000000000000007000000  !.raw 0x18, dst=1, src=9, offset=0, imm=5, imm_high=7
18110000050000000000000001000000  !.raw 0x18, dst=1, src=1, offset=0, imm=5, imm_high=1
"""


def _parse() -> list[tuple[bytes, str, bool]]:
    rows = (line.split("  ", 1) for line in SPELLINGS.strip().split("\n"))
    return [(bytes.fromhex(code), text.lstrip("!"), text[0] != "!") for code, text in rows]


_ROWS = _parse()


@pytest.fixture(params=_ROWS, ids=[text for _, text, _ in _ROWS])
def spelling(request: pytest.FixtureRequest) -> tuple[bytes, str]:
    """One instruction's code and its text."""
    code, text, _ = request.param
    return code, text


@pytest.fixture
def verifier_spellings() -> list[tuple[bytes, str]]:
    """The instructions that the verifier of Linux 6.18 prints, with what it prints."""
    return [(code, text) for code, text, printed in _ROWS if printed]


@pytest.fixture
def spelled_code() -> list[bytes]:
    """The code of every instruction that has a spelling here."""
    return [code for code, _, _ in _ROWS]
