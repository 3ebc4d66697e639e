"""Source files as editors find them: by a path that is there, else by a number and their text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from osmia.debugger.errors import DebuggerError
from osmia.object.model import SourceLine


class SourceFiles:
    """Files by the names that objects have for them. Relative ones are looked for in
    `directories`; of what is nowhere there are the lines that objects keep themselves."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = list(dict.fromkeys(directories))
        self._shown: dict[str, dict[str, Any]] = {}
        self._names: list[str] = []  # of files that are not there, by number
        self._lines: dict[str, dict[int, str]] = {}

    def add_lines(self, lines: Iterable[SourceLine]) -> None:
        """Know the lines that an object has."""
        for each in lines:
            self._lines.setdefault(each.file, {})[each.line] = each.text

    @property
    def names(self) -> list[str]:
        """The files that have code."""
        return list(self._lines)

    def shown(self, name: str) -> dict[str, Any]:
        """A file as the protocol has it."""
        known = self._shown.get(name)
        if known is None:
            known = self._shown[name] = self._found(name)
        return known

    def _found(self, name: str) -> dict[str, Any]:
        short = name.rpartition("/")[2]
        for directory in self._directories:
            path = directory / name
            try:
                if path.is_file():
                    return {"name": short, "path": str(path.resolve())}
            except OSError:
                continue
        self._names.append(name)
        hint = "the lines that the object has"
        return {"name": short, "sourceReference": len(self._names), "origin": hint}

    def text(self, reference: int) -> str:
        """The text of a file that is not there: the lines that have code, others empty."""
        if not 1 <= reference <= len(self._names):
            raise DebuggerError(f"there is no source {reference}")
        lines: Mapping[int, str] = self._lines.get(self._names[reference - 1], {})
        last = min(max(lines, default=0), 1 << 20)
        return "\n".join(lines.get(number, "") for number in range(1, last + 1)) + "\n"

    def known_as(self, path: str, reference: int = 0) -> str | None:
        """What objects call the file at an editor's path; None for one that has no code."""
        if reference:
            return self._names[reference - 1] if reference <= len(self._names) else None
        wanted = Path(path)
        for name in self._lines:
            if name == path or self.shown(name).get("path") == str(wanted.resolve()):
                return name
        same = [name for name in self._lines if name.rpartition("/")[2] == wanted.name]
        return same[0] if len(same) == 1 else None
