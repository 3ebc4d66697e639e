"""`osmia verify`: what the kernel's verifier did with programs, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, printable
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)

if TYPE_CHECKING:
    from osmia.object import Object
    from osmia.passes.target import Target
    from osmia.verifier.report import Report

_file = click.Path(path_type=Path)


@click.command("verify", cls=Verb, json=True)
@click.argument("file", type=_file, required=False)
@click.argument("programs", nargs=-1, metavar="[PROGRAM]...")
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
    programs: tuple[str, ...],
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

        reports = reports_of_file(log, obj, programs)
    else:
        assert obj is not None
        chosen = select_programs(obj, programs)
        reports = _of_kernel(chosen, target_of(target, target_btf), level)
    return _print(output, reports)


def _of_kernel(obj: Object, target: Target | None, level: int) -> Iterator[Report]:
    from osmia.kernel.load.verifying import verify
    from osmia.verifier.log import VerifierLog
    from osmia.verifier.report import report_of

    verified = verify(obj, target=target, log_level=level)
    with closing(verified):
        for each in verified:
            short = each.short_log
            yield report_of(
                VerifierLog(each.log),
                each.program,
                accepted=not each.error,
                functions=each.functions,
                lines=each.lines,
                summary=each.summary,
                short_log=None if short is None else VerifierLog(short),
            )


def _print(output: Output, reports: Iterator[Report]) -> int:
    from osmia.verifier.document import document
    from osmia.verifier.text import lines_of

    documents = []
    refused = 0
    for number, report in enumerate(reports):
        refused += not report.accepted
        if output.json:
            documents.append(document(report))
            continue
        if number:
            output.line()
        for text, style in lines_of(report, verbose=output.verbose):
            output.line(printable(text), style)
    if output.json:
        output.document(documents)
    return 1 if refused else 0
