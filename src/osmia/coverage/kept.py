"""Coverage as JSON: all that was counted, to be merged with that of other runs and processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from osmia.coverage.model import CoverageData, FunctionCounts
from osmia.errors import OsmiaError
from osmia.object.model import SourceLine

_VERSION = 1


def to_json(data: CoverageData) -> str:
    """The text; `from_json` gives equal data of it."""
    functions = [
        {
            "name": each.name,
            "digest": each.digest,
            "slots": sorted(each.slots.items()),
            "ways": [[*way, count] for way, count in sorted(each.ways.items())],
            "lines": [[slot, *line] for slot, line in sorted(each.lines.items())],
            "texts": sorted(each.texts.items()),
        }
        for each in data.functions.values()
    ]
    return json.dumps({"osmia coverage": _VERSION, "functions": functions}) + "\n"


def from_json(text: str | bytes, name: str = "coverage") -> CoverageData:
    """The data; OsmiaError for what is none, with a name for it."""
    try:
        read = json.loads(text)
        if read["osmia coverage"] != _VERSION:
            raise OsmiaError(f"{name}: coverage of another version of osmia")
        data = CoverageData()
        for each in read["functions"]:
            data.add(_function(each))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OsmiaError(f"{name}: no coverage that osmia wrote as JSON") from error
    return data


def _function(read: Any) -> FunctionCounts:
    return FunctionCounts(
        str(read["name"]),
        str(read["digest"]),
        {int(slot): int(count) for slot, count in read["slots"]},
        {(int(slot), int(target)): int(count) for slot, target, count in read["ways"]},
        {
            int(slot): SourceLine(int(at), str(file), int(line), int(column), str(text))
            for slot, at, file, line, column, text in read["lines"]
        },
        {int(slot): str(text) for slot, text in read["texts"]},
    )


def read_coverage(path: str | os.PathLike[str]) -> CoverageData:
    """What `write` wrote as .json. Raises OsmiaError for other files, OSError."""
    return from_json(Path(path).read_bytes(), str(path))
