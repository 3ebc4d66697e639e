"""Paths by source lines, with loops said once."""

from __future__ import annotations

from osmia.verifier.log import VerifierLog
from osmia.verifier.path import path_of
from osmia.verifier.path_lines import PathLine, path_lines
from osmia.verifier.places import Places
from osmia.verifier.report import texts_of

ENTRY = "0: R1=ctx() R10=fp0\n; enter @ a.c:1\n0: (b7) r2 = 0\n"
ROUND = """\
; one @ a.c:2
1: (07) r2 += 1
; two @ a.c:3
2: (15) if r2 == 0x900 goto pc+2
; three @ a.c:4
3: (05) goto pc-3
"""
END = "; one @ a.c:2\n1: (07) r2 += 1\n; two @ a.c:3\n2: (15) if r2 == 0x900 goto pc+2\n"
EXIT = "; end @ a.c:9\n5: (95) exit\nR0 !read_ok\n"


def lines(text: str) -> tuple[list[PathLine], int]:
    log = VerifierLog(text.encode())
    texts = texts_of(log)
    return path_lines(log, path_of(log, texts).visits, Places(log, texts), texts)


def test_a_loop_is_one_round_with_how_often() -> None:
    found, omitted = lines(ENTRY + ROUND * 40 + END + EXIT)
    said = [(each.line.line, each.times) for each in found if each.line is not None]
    assert said == [(1, 1), (2, 40), (3, 40), (4, 40), (2, 1), (3, 1), (9, 1)]
    assert omitted == 0


def test_the_ways_that_jumps_went_are_those_of_the_last_round() -> None:
    found, _ = lines(ENTRY + ROUND * 3 + END + EXIT)
    assert found[2].decisions == ("2: if r2 == 0x900 goto pc+2: not taken",)
    assert found[-2].decisions == ("2: if r2 == 0x900 goto pc+2: taken",)


def test_loops_in_loops_are_told_once_too() -> None:
    inner = "; a @ a.c:5\n6: (b7) r0 = 1\n; b @ a.c:6\n7: (b7) r0 = 2\n"
    outer = inner * 7 + "; c @ a.c:7\n8: (b7) r0 = 3\n"
    found, _ = lines(ENTRY + outer * 5 + EXIT)
    said = [(each.line.line, each.times) for each in found if each.line is not None]
    assert said == [(1, 1), (5, 35), (6, 35), (7, 5), (9, 1)]


def test_of_a_path_without_loops_the_end_is_kept() -> None:
    text = "".join(f"; line @ a.c:{n}\n{n}: (b7) r0 = 1\n" for n in range(1, 20_001))
    found, omitted = lines("0: R1=ctx() R10=fp0\n" + text)
    assert len(found) + omitted == 20_000
    assert len(found) <= 8192
    assert found[-1].slot == 20_000
