"""Typed access to BPF values, one by one: decode a record and read all its fields.

Prints a table; ns for a record and million records a second, the best of five rounds.
The aim for a 16-byte struct of 3 or 4 fields is 1.5 M records/s.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from osmia.btf import kernel_btf
from osmia.values import Codec, EnumCodec, IntCodec, StringCodec, StructCodec, codec
from osmia.values.fields import Bits, Field

RECORDS = 100_000
ROUNDS = 5


def _u(size: int) -> IntCodec:
    return IntCodec(size, False, f"u{8 * size}", "little")


def _struct(name: str, size: int, *members: tuple[str, Codec, int]) -> StructCodec:
    fields = [Field(member, of, offset) for member, of, offset in members]
    return StructCodec(fields, size, f"struct {name}", "little")


FOUR = _struct("four", 16, ("a", _u(4), 0), ("b", _u(4), 4), ("c", _u(4), 8), ("d", _u(4), 12))
THREE = _struct("three", 16, ("a", _u(8), 0), ("b", _u(4), 8), ("c", _u(4), 12))
VERDICT = EnumCodec([("DROP", 1), ("PASS", 0x0F0E0D0C)], 4, False, "enum verdict", "little")
ENUM = _struct("enum", 16, ("a", _u(8), 0), ("b", _u(4), 8), ("c", VERDICT, 12))
PADDED = _struct("padded", 16, ("a", _u(8), 0), ("b", _u(4), 8), ("c", _u(2), 12))
TEXT = _struct(
    "text", 32, ("a", _u(8), 0), ("b", _u(8), 8), ("c", StringCodec(16, "char[16]", "little"), 16)
)
FLAGS = StructCodec(
    [
        Field("a", _u(4), 0),
        Field("b", _u(4), 0, Bits.at(32, 3, False, "little")),
        Field("c", _u(4), 0, Bits.at(35, 9, False, "little")),
    ],
    8,
    "struct flags",
    "little",
)


def _read_three(of: StructCodec, data: memoryview) -> None:
    decode = of.decode
    for offset in range(0, len(data), of.size):
        value = decode(data, offset)
        value.a, value.b, value.c  # noqa: B018


def _read_four(of: StructCodec, data: memoryview) -> None:
    decode = of.decode
    for offset in range(0, len(data), of.size):
        value = decode(data, offset)
        value.a, value.b, value.c, value.d  # noqa: B018


def _iterate(of: StructCodec, data: memoryview) -> None:
    for value in of.iter_decode(data):
        value.a, value.b, value.c  # noqa: B018


def _encode(of: StructCodec, data: memoryview) -> None:
    value = of.decode(data)
    encode = of.encode
    for _ in range(0, len(data), of.size):
        encode(value)


def _encode_mapping(of: StructCodec, data: memoryview) -> None:
    value = of.decode(data).to_dict()
    encode = of.encode
    for _ in range(0, len(data), of.size):
        encode(value)


CASES: list[tuple[str, Callable[[StructCodec, memoryview], None], StructCodec]] = [
    ("4 × u32, decode and read all", _read_four, FOUR),
    ("u64 and 2 × u32, decode and read all", _read_three, THREE),
    ("the same, iter_decode", _iterate, THREE),
    ("u64, u32, enum", _read_three, ENUM),
    ("u64, u32, u16 and padding", _read_three, PADDED),
    ("2 × u64, char[16]", _read_three, TEXT),
    ("u32 and two bitfields", _read_three, FLAGS),
    ("encode a struct value", _encode, THREE),
    ("encode a dict", _encode_mapping, THREE),
]


def _best(run: Callable[[], None]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    print(f"{'values, one by one':40}  {'ns':>8}  {'M/s':>6}")
    for title, body, of in CASES:
        data = memoryview(bytes(range(of.size)) * RECORDS)
        seconds = _best(lambda body=body, of=of, data=data: body(of, data))  # type: ignore[misc]
        print(f"{title:40}  {seconds / RECORDS * 1e9:8.0f}  {RECORDS / seconds / 1e6:6.2f}")
    btf = kernel_btf()
    start = time.perf_counter()
    task = codec(btf, btf.find("task_struct"))
    task.decode(bytes(task.size))
    print(f"codec of the kernel's task_struct: {(time.perf_counter() - start) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
