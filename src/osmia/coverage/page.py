"""Coverage as one standalone HTML page: each file's source with counts, branches and what lacks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from osmia.coverage.merged import MergedLine, merged_lines
from osmia.coverage.model import Branch, CoverageData, LineCounts
from osmia.coverage.text import incomplete, percent, ways_of

_STYLE = """
:root { color-scheme: light dark; --ran: #2da44e40; --never: #cf222e50; --part: #d4a72c60;
  --merged: #8250df40; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; }
.totals td, .totals th { padding: .2rem 1rem .2rem 0; text-align: left; }
.source { font: 13px/1.45 ui-monospace, monospace; width: 100%; margin-bottom: 2rem; }
.source td { padding: 0 .6rem; vertical-align: top; white-space: pre-wrap; }
.source td:nth-child(-n+2) { text-align: right; opacity: .6; width: 1%; white-space: pre; }
.ran { background: var(--ran); } .never { background: var(--never); }
.part { background: var(--part); } .merged { background: var(--merged); }
small { display: block; opacity: .8; }
.key span { padding: 0 .5rem; margin-right: 1rem; }
"""
_KEY = (
    ("ran", "ran"),
    ("part", "not all ways or instructions"),
    ("never", "never ran"),
    ("merged", "no code of its own: not known"),
)


def page(data: CoverageData, title: str = "Coverage") -> str:
    """The page. It needs no other file; a source that is not there as it was compiled is shown by
    the lines that the line records have."""
    merged, unknown = merged_lines(data)
    branches: dict[tuple[str, int], list[Branch]] = {}
    for branch in data.branches():
        branches.setdefault((branch.file, branch.line), []).append(branch)
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        *_totals(data, merged),
    ]
    for file, lines in data.lines().items():
        ways = {number: found for (name, number), found in branches.items() if name == file}
        of_file = {each.line: each for each in merged if each.file == file}
        parts += _file(file, lines, ways, of_file, whole=file not in unknown)
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _totals(data: CoverageData, merged: list[MergedLine]) -> Iterator[str]:
    totals = data.totals()
    yield '<table class="totals">'
    for name in ("lines", "branches", "functions", "instructions"):
        there, ran = getattr(totals, name)
        yield f"<tr><th>{name}</th><td>{percent(there, ran)}</td><td>{ran} of {there}</td></tr>"
    yield f"<tr><th>merged lines</th><td></td><td>{len(merged)}, not counted</td></tr></table>"
    key = "".join(f'<span class="{name}">{text}</span>' for name, text in _KEY)
    yield f'<p class="key">{key}</p>'


def _file(
    file: str,
    lines: dict[int, LineCounts],
    branches: dict[int, list[Branch]],
    merged: dict[int, MergedLine],
    *,
    whole: bool,
) -> Iterator[str]:
    yield f'<h2>{escape(file)}</h2><table class="source">'
    if whole:
        source = dict(enumerate(Path(file).read_text(errors="replace").splitlines(), 1))
    else:
        source = {number: each.text for number, each in lines.items()}
    for number, text in source.items():
        found = branches.get(number, [])
        kind, hits, notes = "", "", [ways_of(branch) for branch in found]
        if number in lines:
            line = lines[number]
            kind, hits = _kind(line, found), str(line.hits)
            if line.hits and line.ran < line.instructions:
                notes.append(f"{line.ran} of {line.instructions} instructions ran")
        elif number in merged:
            kind, hits, notes = "merged", "~", [merged[number].why]
        more = "".join(f"<small>{escape(note)}</small>" for note in notes)
        cells = f"<td>{number}</td><td>{hits}</td><td>{escape(text)}{more}</td>"
        yield f'<tr class="{kind}">{cells}</tr>'
    yield "</table>"


def _kind(line: LineCounts, branches: list[Branch]) -> str:
    if not line.hits:
        return "never"
    partly = line.ran < line.instructions or any(incomplete(branch) for branch in branches)
    return "part" if partly else "ran"
