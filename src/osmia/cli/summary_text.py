"""Summaries as people and programs read them: tables, drawings, JSON."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from osmia.cli.json_values import typed
from osmia.cli.output import Output, printable, shortened
from osmia.cli.summed import HistogramReport, RateReport, Report, TopReport
from osmia.summaries.histogram import Histogram
from osmia.summaries.keys import Key, key_text, value_text
from osmia.summaries.rates import sparkline
from osmia.values import Codec

#: Columns of a cell; -v shows all.
_WIDEST = 48
#: Where there is no terminal.
_COLUMNS = 80


def print_report(output: Output, report: Report, seconds: float, rows: int) -> None:
    """A report of so many seconds."""
    match report:
        case TopReport():
            _print_top(output, report, seconds)
        case HistogramReport():
            _print_histograms(output, report, rows)
        case RateReport():
            _print_rates(output, report, rows)


def report_json(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    match report:
        case TopReport():
            rows = [
                {"key": _key_json(key, report.codecs), report.amount: amount}
                for key, amount in report.rows
            ]
            return {
                "top": report.title,
                "rows": rows,
                "total": report.total,
                "dropped": report.dropped,
            }
        case HistogramReport():
            drawn = [
                {
                    "key": _key_json(key, report.codecs),
                    "unit": each.unit,
                    "buckets": [
                        {"low": b.low, "high": b.high, "count": b.count} for b in each.buckets
                    ],
                    "beyond": each.beyond,
                }
                for key, each in report.histograms.items()
            ]
            return {"histogram": report.title, "histograms": drawn}
        case RateReport():
            counters = [
                {
                    "name": each.name,
                    "value": each.value,
                    "change": each.change,
                    "per_second": each.per_second,
                }
                for each in report.rates
            ]
            return {"counters": counters}


def _key_json(key: Key, codecs: Mapping[str, Codec]) -> dict[str, Any]:
    return {name: typed(codecs.get(name), value) for name, value in key}


def print_histogram(
    output: Output, key: Key, histogram: Histogram, codecs: Mapping[str, Codec]
) -> None:
    """A histogram as wide as the terminal allows, under the text of its key."""
    if key:
        output.line(printable(key_text(key, codecs)))
    for line in histogram.lines(_columns()):
        output.line(line)


def _print_top(output: Output, report: TopReport, seconds: float) -> None:
    total = report.total or 1
    width = None if output.verbose else _WIDEST
    heads = (*report.columns, report.amount, "share", "per second")
    output.table(
        heads,
        (
            (
                *(
                    shortened(printable(value_text(value, report.codecs.get(name), name)), width)
                    for name, value in key
                ),
                _number(amount),
                f"{amount / total:.1%}",
                _rate(amount / seconds if seconds else 0),
            )
            for key, amount in report.rows
        ),
    )
    if not report.rows:
        output.line("nothing was counted", "dim")
    if report.dropped:
        output.line(
            f"not shown: {_number(report.dropped)} {report.amount} of keys that came seldom and"
            " were forgotten",
            "dim",
        )


def _print_histograms(output: Output, report: HistogramReport, rows: int) -> None:
    shown = list(report.histograms.items())
    for index, (key, histogram) in enumerate(shown[:rows]):
        if index:
            output.line()
        print_histogram(output, key, histogram, report.codecs)
    if not shown:
        output.line(f"{report.title}: nothing was counted", "dim")
    _more(output, len(shown) - rows, "histograms")


def _print_rates(output: Output, report: RateReport, rows: int) -> None:
    ascii_only = not _can_write("▁")
    width = None if output.verbose else _WIDEST
    if not report.rates:
        output.line("no counter changed", "dim")
        return
    output.table(
        ("counter", "total", "change", "per second", "recently"),
        (
            (
                shortened(printable(each.name), width),
                _number(each.value),
                _number(each.change),
                _rate(each.per_second),
                sparkline(map(abs, each.recent[-20:]), ascii=ascii_only),
            )
            for each in report.rates[:rows]
        ),
        optional=("recently",),
    )
    _more(output, len(report.rates) - rows, "counters")


def _more(output: Output, count: int, what: str) -> None:
    if count > 0:
        output.line(f"… and {count} more {what} (--rows shows more)", "dim")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _rate(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _columns() -> int:
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size((_COLUMNS, 24)).columns
    return _COLUMNS
