"""Reports as one standalone HTML page: source with its cost beside instructions beside states.

The page has the source lines, the path and the numbers. What the verifier knew at each of a million
visits is in it as the log's pieces, compressed, which its script reads when somebody looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from osmia.verifier.cost import LineCost
from osmia.verifier.embedded_log import VISITS, pieces
from osmia.verifier.log import VerifierLog, visits_by_slot
from osmia.verifier.origins import Origin
from osmia.verifier.report import Report
from osmia.verifier.text import line_text

#: So many of an instruction's visits can be looked at from its first on, and from its last back.
_SAMPLES = 12
_MOST_SLOTS = 20_000
_MOST_PATH = 400
#: Of longer files, lines that are this far from code are left out.
_WHOLE_FILE, _NEAR = 3000, 4
_SOURCE_BYTES = 16 << 20
_ROWS = 12


class Page:
    """Made report by report, so that no two logs are needed at once; then `text`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._sections: list[str] = []
        self._data: list[dict[str, Any]] = []
        self._names: list[tuple[str, bool]] = []

    def add(self, report: Report) -> None:
        """One more program."""
        number = len(self._sections)
        logs = [report.log]
        if report.path_log is not None and report.path_log is not report.log:
            logs.append(report.path_log)
        self._data.append(_data(report, len(logs) - 1))
        self._names.append((report.program or "program", report.accepted))
        self._sections.append("\n".join(_section(report, number, logs)))

    def text(self) -> str:
        """The page. It needs no other file."""
        title = escape(self.title)
        links = " ".join(
            f'<a class="{"ok" if accepted else "no"}" href="#p{number}">{escape(name)}</a>'
            for number, (name, accepted) in enumerate(self._names)
        )
        return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';\
 style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>{_resource("page.css")}</style></head><body>
<header><h1>{title}</h1><nav>{links}</nav></header>
<div class="sides"><main>
{chr(10).join(self._sections)}
</main><aside id="panel"><p class="hint">Click a source line for its\
 instructions, an instruction for what the verifier knew there.</p></aside></div>
<script id="data" type="application/json">{_json(self._data)}</script>
<script>{_resource("page.js")}</script>
</body></html>
"""


def _section(report: Report, number: int, logs: list[VerifierLog]) -> Iterator[str]:
    verdict = "accepted" if report.accepted else "rejected"
    yield f'<section id="p{number}" data-program="{number}">'
    kind = "ok" if report.accepted else "no"
    yield f'<h2 class="{kind}">{escape(report.program)}: {verdict}</h2>'
    if report.summary:
        yield f'<p class="summary">{escape(report.summary)}</p>'
    yield from _limits(report)
    yield from _path(report, len(logs) - 1)
    for origin in report.origins:
        yield f"<h3>Where {escape(origin.place)} came from</h3>"
        yield f'<ul class="origins">{_origin(report, origin, len(logs) - 1)}</ul>'
    yield from _costs(report)
    yield from _sources(report)
    for which, log in enumerate(logs):
        for piece in pieces(log):
            name = f"log{number}-{which}-{piece.number}"
            yield f'<script type="text/plain" id="{name}">{piece.data}</script>'
    yield "</section>"


def _limits(report: Report) -> Iterator[str]:
    yield '<table class="limits">'
    for each in report.cost.limits:
        near = "near" if each.share >= 0.75 else ""
        meter = f'<meter min="0" max="1" high="0.75" value="{min(1, each.share):.4f}"></meter>'
        cells = f"<td>{each.used:,}</td><td>of {each.limit:,}</td><td>{meter}</td>"
        yield f'<tr class="{near}"><th>{escape(each.name)}</th>{cells}</tr>'
    numbers = report.statistics
    if numbers.total_states is not None:
        peak = f"<td>peak {numbers.peak_states:,}</td>"
        yield f"<tr><th>states</th><td>{numbers.total_states:,}</td>{peak}<td></td></tr>"
    if numbers.microseconds is not None:
        yield f"<tr><th>time</th><td>{numbers.microseconds / 1000:,.1f} ms</td></tr>"
    yield "</table>"
    if not report.log.whole:
        yield (
            f'<p class="hint">The log has {report.cost.visits:,} of the instructions that were'
            " looked at: it is of level 1, or was cut.</p>"
        )


def _path(report: Report, which: int) -> Iterator[str]:
    if not report.path:
        return
    certain = "" if report.path_certain else " (as far as the log tells)"
    yield f"<h3>The path{certain}</h3>"
    left_out = report.path_omitted + max(0, len(report.path) - _MOST_PATH)
    if left_out:
        yield f'<p class="hint">{left_out:,} lines before</p>'
    yield '<ul class="path">'
    function = ""
    for each in report.path[-_MOST_PATH:]:
        if each.function != function:
            function = each.function
            yield f'<li class="function">{escape(function)}</li>'
        again = f" <b>{each.times:,} times</b>" if each.times > 1 else ""
        ways = "".join(f"<small>{escape(way)}</small>" for way in each.decisions[-4:])
        text = escape(line_text(each.line, each.slot))
        yield f'<li data-visit="{each.visit}" data-log="{which}">{text}{again}{ways}</li>'
    yield "</ul>"


def _origin(report: Report, origin: Origin, which: int) -> str:
    known = f' <code class="known">{escape(origin.known)}</code>' if origin.known else ""
    text, place = "", ""
    if origin.visit >= 0:
        text = f" <code>{origin.slot}: {escape(origin.text)}</code>"
        line = report.places.line(origin.slot)
        source = escape(line_text(line, origin.slot)) if line is not None else ""
        text += f"<small>{source}</small>"
        place = f' data-visit="{origin.visit}" data-log="{which}"'
    for check in origin.checks:
        text += f"<small>compared since: {escape(check)}</small>"
    inside = "".join(_origin(report, each, which) for each in origin.made_of)
    what = f"<b>{escape(origin.place)}</b> {escape(origin.how)}{text}{known}"
    return f"<li><span{place}>{what}</span>{f'<ul>{inside}</ul>' if inside else ''}</li>"


def _costs(report: Report) -> Iterator[str]:
    cost, places = report.cost, report.places
    tables: list[tuple[str, list[tuple[int, str]]]] = [
        ("By function", [(each.visits, each.name) for each in cost.functions[:_ROWS]]),
        (
            "Loops",
            [
                (each.visits, f"{each.rounds:,} rounds: {line_text(places.line(s), s)}")
                for each in cost.loops[:_ROWS]
                for s in (each.last,)
            ],
        ),
        (
            "Branches whose other way was looked at, too",
            [
                (each.visits, f"{each.times:,} times: {line_text(places.line(s), s)}")
                for each in cost.branches[:_ROWS]
                for s in (each.slot,)
            ],
        ),
    ]
    for title, rows in tables:
        if rows:
            yield f'<h3>{title}</h3><table class="costs">'
            for visits, text in rows:
                share = visits / cost.visits if cost.visits else 0
                yield f"<tr><td>{visits:,}</td><td>{share:.0%}</td><td>{escape(text)}</td></tr>"
            yield "</table>"


def _sources(report: Report) -> Iterator[str]:
    files: dict[str, dict[int, list[LineCost]]] = {}
    for line in report.cost.lines:
        if line.line:
            files.setdefault(line.file, {}).setdefault(line.line, []).append(line)
    for file, lines in files.items():
        yield f'<h3>{escape(file)}</h3><table class="source">'
        yield from _rows(report, lines, _source(file, lines))
        yield "</table>"
    if not files:
        yield '<h3>Instructions</h3><table class="source">'
        for slot in sorted(report.texts)[:_MOST_SLOTS]:
            visits = report.cost.by_slot.get(slot, 0)
            yield _row(report, str(slot), visits, report.texts[slot], [slot])
        yield "</table>"


def _rows(
    report: Report, lines: Mapping[int, list[LineCost]], texts: Mapping[int, str]
) -> Iterator[str]:
    before = 0
    for number, text in texts.items():
        if number != before + 1 and before:
            yield '<tr class="gap"><td colspan="4">…</td></tr>'
        before = number
        costs = lines.get(number, [])
        slots = sorted(slot for each in costs for slot in each.slots)
        yield _row(report, str(number), sum(each.visits for each in costs), text, slots)


def _row(report: Report, number: str, visits: int, text: str, slots: list[int]) -> str:
    share = visits / report.cost.visits if report.cost.visits else 0
    heat = f' style="--heat:{share:.3f}"' if share else ""
    where = f' data-slots="{",".join(map(str, slots[:_MOST_SLOTS]))}"' if slots else ""
    shown = (f"{visits:,}", f"{share:.1%}") if slots else ("", "")
    cells = f"<td>{number}</td><td>{shown[0]}</td><td>{shown[1]}</td><td>{escape(text)}</td>"
    return f"<tr{where}{heat}>{cells}</tr>"


def _source(file: str, lines: Mapping[int, list[LineCost]]) -> dict[int, str]:
    """The file's lines by number if it is there as it was compiled, else those that have code."""
    known = {number: each[0].text for number, each in sorted(lines.items())}
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > _SOURCE_BYTES:
            return known
        text = path.read_text(errors="replace")
    except OSError:
        return known
    whole = dict(enumerate(text.splitlines(), 1))
    if any(whole.get(number, "").strip() != text for number, text in known.items()):
        return known
    if len(whole) <= _WHOLE_FILE:
        return whole
    near = {n + step for n in known for step in range(-_NEAR, _NEAR + 1)}
    return {number: text for number, text in whole.items() if number in near}


def _data(report: Report, path_log: int) -> dict[str, Any]:
    """What the script wants to know of a program at once."""
    slots = sorted(report.texts)[:_MOST_SLOTS]
    where = visits_by_slot(report.log.slots, set(slots))
    return {
        "visits": VISITS,
        "counts": [len(report.log.slots), len(report.path_log.slots) if report.path_log else 0],
        "pathLog": path_log,
        "slots": {
            str(slot): [
                report.texts[slot],
                report.cost.by_slot.get(slot, 0),
                report.cost.pruned_at.get(slot, 0),
                _sampled(list(where[slot])),
            ]
            for slot in slots
        },
    }


def _sampled(visits: list[int]) -> list[int]:
    if len(visits) <= 2 * _SAMPLES:
        return visits
    return visits[:_SAMPLES] + visits[-_SAMPLES:]


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
