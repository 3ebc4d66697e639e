"""`osmia verify`: what the kernel's verifier did with programs, and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)

if TYPE_CHECKING:
    from osmia.verifier.page import Page
    from osmia.verifier.report import Report

_file = click.Path(path_type=Path)


@click.command("verify", cls=Verb, json=True)
@click.argument("file", type=_file, required=False)
@click.argument("names", nargs=-1, metavar="[PROGRAM]...")
@click.option("-o", "--output", "page", type=_file, help="Write an HTML page there.")
@click.option("--log", type=_file, help="Explain the log in this file; nothing is loaded.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option(
    "--kernel-log-level",
    "level",
    type=click.IntRange(1, 7),
    default=6,
    show_default=True,
    help="1: the last path; 2: all paths; 4: statistics; or a sum of them.",
)
@takes_target
@pass_output
def verify_command(
    output: Output,
    file: Path | None,
    names: tuple[str, ...],
    page: Path | None,
    log: Path | None,
    assignments: tuple[str, ...],
    level: int,
    target: Path | None,
    target_btf: Path | None,
) -> int:
    """Say what the verifier did with FILE's programs (an object or C source), and why.

    Accepted: what it cost by function, line, loop and branch, and which limits are near. Refused:
    also the path to the refusal, and where the values came from. Programs are loaded and closed
    again; the status is 1 if one is refused.
    """
    if file is None and log is None:
        raise click.UsageError("give an object or C source, or --log")
    obj = open_source(file) if file is not None else None
    if obj is not None:
        set_globals(obj, assignments)
    if log is not None:
        from osmia.verifier.files import reports_of_file

        reports = reports_of_file(log, obj, names)
    else:
        from osmia.verifier.verifying import reports_of

        assert obj is not None
        chosen = select_programs(obj, names)
        machine = target_of(target, target_btf)
        reports = reports_of(chosen, log_level=level, target=machine)
    return _print(output, reports, page, (log or file or Path()).name)


def _print(output: Output, reports: Iterator[Report], path: Path | None, title: str) -> int:
    from osmia.verifier.document import document
    from osmia.verifier.text import lines_of

    page = _page(path, title)
    documents = []
    refused = 0
    for number, report in enumerate(reports):
        refused += not report.accepted
        if page is not None:
            page.add(report)
        if output.json:
            documents.append(document(report))
            continue
        if number and page is None:
            output.line()
        whole = page is None or output.verbose
        for text, style in islice(lines_of(report, verbose=output.verbose), None if whole else 1):
            output.line(printable(text), style)
    if output.json:
        output.document(documents)
    if page is not None and path is not None:
        from osmia.files import write_whole

        write_whole(path, page.text().encode())
        note(f"{path}: what the verifier did, as a page")
    return 1 if refused else 0


def _page(path: Path | None, title: str) -> Page | None:
    """The page to be written; UsageError for a file that is named for something else."""
    if path is None:
        return None
    if path.suffix not in (".html", ".htm"):
        raise click.UsageError(f"{path}: pages are .html")
    from osmia.verifier.page import Page

    return Page(title)
