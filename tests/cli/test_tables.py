"""Tables fit the terminal: columns go, cells break, items become blocks; words stay whole."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osmia.cli.line_breaks import broken, item_lines, text_width
from osmia.cli.output import _style
from osmia.cli.tables import Table

from ..terminal import shown

COLUMNS = ("id", "name", "tag", "maps", "held by")
ROWS: list[tuple[Any, ...]] = [
    (7, "ingress", "0a33f8643be9c61a", "15318,15317,15315,15316", "osmia(14679),link:812"),
    (35997, "a_rather_long_name", "614b434cd8324ecc", "", "/sys/fs/bpf/flows"),
]


def drawn(limit: int | None, optional: tuple[str, ...] = ()) -> str:
    """What the rows look like on a terminal of that width."""
    lines = Table(COLUMNS, limit=limit, optional=optional, style=_style).lines(ROWS)
    return "\n".join(["", *shown("\r\n".join(lines).encode(), limit or 200), ""])


def test_on_a_wide_terminal_all_columns_are_there() -> None:
    assert (
        drawn(200)
        == drawn(None)
        == """
   id  name                tag               maps                     held by
───────────────────────────────────────────────────────────────────────────────────────────
    7  ingress             0a33f8643be9c61a  15318,15317,15315,15316  osmia(14679),link:812
35997  a_rather_long_name  614b434cd8324ecc                           /sys/fs/bpf/flows
"""
    )


def test_where_there_is_less_room_cells_break_behind_commas() -> None:
    assert (
        drawn(80)
        == """
   id  name                tag               maps          held by
────────────────────────────────────────────────────────────────────────────────
    7  ingress             0a33f8643be9c61a  15318,15317,  osmia(14679),link:812
                                             15315,15316
35997  a_rather_long_name  614b434cd8324ecc                /sys/fs/bpf/flows
"""
    )


def test_columns_that_may_be_left_out_go_before_words_break() -> None:
    assert (
        drawn(70, ("maps",))
        == """
   id  name                tag               held by
──────────────────────────────────────────────────────────────────
    7  ingress             0a33f8643be9c61a  osmia(14679),link:812
35997  a_rather_long_name  614b434cd8324ecc  /sys/fs/bpf/flows
"""
    )


def test_broad_lists_are_broken_before_they_are_left_out() -> None:
    rows = [(1, ",".join(map(str, range(1000, 1020))))]
    table = Table(("id", "maps"), limit=60, optional=("maps",))
    assert table.lines(rows) == [
        "id  maps",
        " 1  1000,1001,1002,1003,1004,1005,1006,1007,1008,1009,1010,",
        "    1011,1012,1013,1014,1015,1016,1017,1018,1019",
    ]
    assert Table(("id", "maps"), limit=25, optional=("maps",)).lines(rows) == ["id", " 1"]


def test_where_a_row_does_not_fit_an_item_is_a_block() -> None:
    assert (
        drawn(50)
        == """
id: 7  name: ingress  tag: 0a33f8643be9c61a
    maps: 15318,15317,15315,15316
    held by: osmia(14679),link:812
id: 35997  name: a_rather_long_name
    tag: 614b434cd8324ecc
    held by: /sys/fs/bpf/flows
"""
    )


@pytest.mark.parametrize("limit", range(1, 120))
def test_no_word_is_ever_broken(limit: int) -> None:
    lines = Table(COLUMNS, limit=limit, optional=("maps", "held by")).lines(ROWS)
    for word in ("35997", "a_rather_long_name", "0a33f8643be9c61a", "614b434cd8324ecc"):
        assert any(re.search(rf"(^|[ ]){word}($|[ ])", line) for line in lines), (word, lines)
    longest = len("a_rather_long_name") + 4
    assert all(len(line) <= max(limit, longest) for line in lines)


def test_in_a_pipe_it_is_aligned_text_of_any_width() -> None:
    assert Table(("a", "n"), limit=None).lines([("x" * 300, 1), ("y", 20)]) == [
        f"{'a':<300}   n",
        f"{'x' * 300}   1",
        f"{'y':<300}  20",
    ]


def test_columns_that_need_more_later_are_wider_from_there_on() -> None:
    table = Table(("key", "name"))
    assert table.lines([(1, "a"), (22, "b")]) == ["key  name", "  1  a", " 22  b"]
    assert table.lines([(333333, "c")]) == ["333333  c"]
    assert table.lines([(4, "d")]) == ["     4  d"]


def test_a_terminal_gets_new_headings_where_columns_have_to_go() -> None:
    table = Table(("key", "name"), limit=12, optional=("key",))
    assert table.lines([(1, "a")]) == ["key  name", "  1  a"]
    assert table.lines([(2, "b" * 11)]) == ["name", "b" * 11]
    assert table.lines([(3, "c" * 11)]) == ["c" * 11]
    assert table.lines([(4, "d" * 20)]) == ["key: 4", "    name:", "    " + "d" * 20]


def test_a_column_of_numbers_stands_to_the_right() -> None:
    assert Table(("n", "s", "t")).lines([("5", "5", ""), ("10", "x", "")]) == [
        " n  s  t",
        " 5  5",
        "10  x",
    ]
    assert Table(("n", "s")).lines([]) == ["n  s"]


def test_letters_that_take_two_columns_and_none() -> None:
    assert text_width("日本") == 4 and text_width("e\u0301") == 1 and text_width("é") == 1
    lines = Table(("name", "n"), style=_style).lines([("日本", 1), ("ab", 2)])
    assert shown("\r\n".join(lines[2:]).encode(), 80) == ["日本  1", "ab    2"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="ab, ", max_size=40), st.integers(1, 20))
def test_breaking_loses_nothing_but_blanks(text: str, width: int) -> None:
    lines = broken(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(len(line) <= width or "," not in line[:-1].strip() for line in lines)


def test_pairs_that_fit_stay_in_a_line() -> None:
    pairs = [("id", "1"), ("name", "flows"), ("held by", "a(1),b(2)")]
    assert item_lines(pairs, 80) == ["id: 1  name: flows  held by: a(1),b(2)"]
    assert item_lines(pairs, 24) == ["id: 1  name: flows", "    held by: a(1),b(2)"]
    assert item_lines(pairs, 18) == [
        "id: 1", "    name: flows", "    held by: a(1),", "    b(2)",
    ]  # fmt: skip
