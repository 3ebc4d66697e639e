"""Which lines of C were merged."""

from __future__ import annotations

from osmia.coverage.merged import bodies, merged_lines, without_noise
from osmia.coverage.model import CoverageData

from .gate_program import line_of

TEXT = """#define X { \\
	return
struct s { int a; };
int f(int a) /* { */
{
	if (a) { return '{'; }
	return "}"[0];
}
int g(void) { return 1; }
"""


def test_bodies_are_those_of_functions() -> None:
    plain = without_noise(TEXT)
    assert plain.count("\n") == TEXT.count("\n")
    assert list(bodies(plain.splitlines())) == [(5, 8), (9, 9)]


def test_lines_merged_are_ways_out_that_have_no_record(data: CoverageData) -> None:
    found, unknown = merged_lines(data)
    assert unknown == []
    ways_out = {each.line: each.decides for each in found}
    assert ways_out[line_of("never in these tests")] == line_of("== 7")
    coded = next(iter(data.lines().values()))
    assert not ways_out.keys() & coded.keys()
