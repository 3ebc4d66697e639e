"""`osmia verify`: what the kernel's verifier did with programs, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.compile import given, takes_compiler_options
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)
from osmia.cli.targets import only_target, open_program
from osmia.errors import OsmiaError
from osmia.values.names import unknown_name

if TYPE_CHECKING:
    from osmia.kernel.programs.program import KernelProgram
    from osmia.object import Object
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
@click.option(
    "--attach-to",
    "others",
    multiple=True,
    metavar="NAME=PROG",
    help="Verify the program NAME for PROG (id, name, pin), which it attaches to.",
)
@click.option("--token", metavar="DIRECTORY", help="Load with the BPF token of this bpffs.")
@takes_compiler_options
@takes_target
@pass_output
def verify_command(
    output: Output,
    /,
    file: Path | None,
    names: tuple[str, ...],
    page: Path | None,
    log: Path | None,
    assignments: tuple[str, ...],
    level: int,
    target: Path | None,
    target_btf: Path | None,
    others: tuple[str, ...],
    token: str | None,
    **compile_options: Any,
) -> int:
    """Say what the verifier did with FILE's programs (an object or C source), and why.

    Accepted: what it cost by function, line, loop and branch, and which limits are near. Refused:
    also the path to the refusal, and where the values came from. Programs are loaded and closed
    again; the status is 1 if one is refused, or could not be verified.
    """
    if file is None and log is None:
        raise click.UsageError("give an object or C source, or --log")
    obj = open_source(file, **given(compile_options)) if file is not None else None
    if obj is not None:
        set_globals(obj, assignments)
    if log is not None:
        from osmia.verifier.files import reports_of_file

        return _print(output, reports_of_file(log, obj, names), page, log.name)
    from osmia.verifier.verifying import reports_of

    assert obj is not None and file is not None
    chosen = select_programs(obj, names)
    with ExitStack() as undo:
        failures: list[tuple[str, OsmiaError]] = []
        reports = reports_of(
            chosen,
            log_level=level,
            target=target_of(target, target_btf),
            attach_to=_attached_to(chosen, others, undo),
            token=token,
            failed=lambda name, error: failures.append((name, error)),
        )
        return _print(output, undo.enter_context(closing(reports)), page, file.name, failures)


def _attached_to(
    obj: Object, given_programs: tuple[str, ...], undo: ExitStack
) -> dict[str, KernelProgram]:
    """What `--attach-to NAME=PROG` names, open until `undo` ends."""
    found = {}
    for each in given_programs:
        name, equals, what = each.partition("=")
        if not equals:
            raise click.UsageError(f"--attach-to takes NAME=PROG, not {each!r}")
        if name not in obj.programs:
            raise OsmiaError(unknown_name(obj.path or obj.name, name, obj.programs))
        words = what.split(" ", 1) if what.startswith(("id ", "name ", "pinned ")) else [what]
        found[name] = undo.enter_context(open_program(only_target(words)))
    return found


def _print(
    output: Output,
    reports: Iterable[Report],
    path: Path | None,
    title: str,
    failures: Sequence[tuple[str, OsmiaError]] = (),
) -> int:
    """Print what is reported; `failures` are complete when the reports are."""
    from osmia.verifier.document import document
    from osmia.verifier.text import lines_of

    page = _page(path, title)
    documents: list[dict[str, Any]] = []
    refused = told = 0
    for told, report in enumerate(reports, 1):
        refused += not report.accepted
        if page is not None:
            page.add(report)
        if output.json:
            documents.append(document(report))
            continue
        if told > 1 and page is None:
            output.line()
        whole = page is None or output.verbose
        for text, style in islice(lines_of(report, verbose=output.verbose), None if whole else 1):
            output.line(printable(text), style)
    if len(failures) == 1 and not told:
        raise failures[0][1]
    documents += _failed(output, failures)
    if output.json:
        output.document(documents)
    if page is not None and path is not None:
        from osmia.files import write_whole

        write_whole(path, page.text().encode())
        note(f"{path}: what the verifier did, as a page")
    return 1 if refused or failures else 0


def _failed(output: Output, failures: Sequence[tuple[str, OsmiaError]]) -> Iterator[dict[str, Any]]:
    """Say what the verifier did not come to, and why; in JSON, documents."""
    for name, error in failures:
        if output.json:
            yield {"program": name, "accepted": False, "error": str(error)}
        else:
            output.line(printable(f"{name}: not verified: {error}"), "red")


def _page(path: Path | None, title: str) -> Page | None:
    """The page to be written; UsageError for a file that is named for something else."""
    if path is None:
        return None
    if path.suffix not in (".html", ".htm"):
        raise click.UsageError(f"{path}: pages are .html")
    from osmia.verifier.page import Page

    return Page(title)
