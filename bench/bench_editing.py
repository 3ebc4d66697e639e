"""Edit functions by instruction: how long edits take, and putting the function together.

Run: `.venv/bin/python bench/bench_editing.py`. Medians. Every fourth instruction of a function
names a map, another one jumps, every second has a source line; `share` of the instructions get
one before them.
"""

from __future__ import annotations

import struct
import time
from statistics import median

from osmia.isa import assemble
from osmia.object import Function, Object, Relocation, RelocationKind
from osmia.object.editing import FunctionEditor

ROUNDS = 9
NO_OP = assemble("goto pc+0")


def main() -> None:
    for slots, share in ((4_000, 0.05), (4_000, 1.0), (100_000, 0.05), (100_000, 1.0)):
        obj = object_of(slots)
        times = [edit(obj, slots, share) for _ in range(ROUNDS)]
        said, applied = (median(column) for column in zip(*times, strict=True))
        count = len(places(slots, share))
        print(
            f"{slots:7} slots, {count:6} edits: said in {1e3 * said:7.2f} ms,"
            f" applied in {1e3 * applied:7.2f} ms; {count / (said + applied):9,.0f} edits/s"
        )


def object_of(slots: int) -> Object:
    """Groups of four slots: a jump near by, a move, an ld_imm64 of a map."""
    groups = slots // 4
    lines = []
    for group in range(groups):
        target = min(groups - 1, max(0, group + group * 37 % 41 - 20))
        lines.append(f"l{group}: if r1 == {group} goto l{target}\nr2 = r3\nr4 = 0 ll")
    code = assemble("\n".join(lines) + "\nexit")
    relocations = [Relocation(32 * g + 16, RelocationKind.MAP, "m") for g in range(groups)]
    records = b"".join(struct.pack("=4I", 2 * n, 1, 1, n << 10) for n in range(2 * groups))
    function = Function("f", ".text", code, tuple(relocations), line_info=records)
    return Object("bench", functions={"f": function})


def places(slots: int, share: float) -> list[int]:
    starts = [slot for slot in range(slots) if slot % 4 != 3]
    return starts[:: round(1 / share)]


def edit(obj: Object, slots: int, share: float) -> tuple[float, float]:
    wanted = places(slots, share)
    start = time.process_time()
    edit = FunctionEditor(obj, "f")
    for slot in wanted:
        edit.insert_before(edit.label(slot), NO_OP)
    said = time.process_time()
    edit.apply()
    return said - start, time.process_time() - said


if __name__ == "__main__":
    main()
