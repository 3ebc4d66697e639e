"""Coverage that is kept and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.coverage.kept import from_json, read_coverage, to_json
from osmia.coverage.model import CoverageData
from osmia.coverage.writing import write
from osmia.errors import OsmiaError


def test_what_is_read_is_what_was_written(data: CoverageData, tmp_path: Path) -> None:
    write(data, tmp_path / "one.json")
    read = read_coverage(tmp_path / "one.json")
    assert read == data
    twice = read_coverage(tmp_path / "one.json").merge(read)
    assert twice.totals() == data.totals()
    assert [each.entered for each in twice.functions.values()] == [10, 6]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"osmia coverage": 1, "functions": [3]}', "\xff"]
)
def test_what_is_no_coverage_is_refused(text: str) -> None:
    with pytest.raises(OsmiaError, match="here: no coverage"):
        from_json(text.encode("latin-1"), "here")


def test_another_version_is_refused(data: CoverageData) -> None:
    with pytest.raises(OsmiaError, match="another version"):
        from_json(to_json(data).replace('coverage": 1', 'coverage": 2'))
