"""`osmia selftest`: does osmia work on this kernel?"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.errors import CompileError, OsmiaError
from osmia.selftest import Case, Outcome, Result, find_cases, report, run_cases
from osmia.selftest.tap import skip_all, status_of

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.SKIPPED: "yellow"}


@click.command("selftest", cls=Verb, json=True)
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--tap", is_flag=True, help="Print TAP 13, as the kernel's selftests do.")
@click.option("--list", "only_list", is_flag=True, help="Print the cases, run none.")
@click.option("--engine", type=click.Choice(["kernel", "vm"]), default="kernel", show_default=True)
@pass_output
def selftest_command(
    output: Output, names: tuple[str, ...], tap: bool, only_list: bool, engine: str
) -> int:
    """Compile, load and check a small object for each thing that osmia can do.

    NAME chooses cases, with * and ?. The exit status is that of a kernel selftest: 0 none
    failed, 1 some failed, 4 all were skipped. What a case attaches or pins is taken away
    again.
    """
    try:
        cases = find_cases(names)
    except LookupError as error:
        raise click.UsageError(str(error.args[0])) from None
    if only_list:
        _list(output, cases, engine)
        return 0
    reason = _obstacle(engine)
    if reason and tap:
        return skip_all(reason, _write)
    if reason:
        raise click.ClickException(reason)
    results = run_cases(cases, engine)
    if tap:
        return report(results, len(cases), _write)
    show = _show_json if output.json else _show
    outcomes = Counter(_shown(output, result, show) for result in results)
    if not output.json:
        counts = (f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome)
        output.line(f"{len(cases)} cases: {', '.join(counts)}")
    return status_of(outcomes)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _list(output: Output, cases: list[Case], engine: str) -> None:
    chosen = [case for case in cases if engine in case.engines]
    if output.json:
        output.document([{"name": case.name, "text": case.text} for case in chosen])
        return
    output.table(("name", "what it checks"), [(case.name, case.text) for case in chosen])


def _obstacle(engine: str) -> str:
    """Why no case can be run here, "" when nothing stands in the way."""
    from osmia.kernel.sys import syscall
    from osmia.kernel.sys.fd import FileDescriptor
    from osmia.object import MapType
    from osmia.toolchain import find_compiler

    try:
        find_compiler(None)
        if engine == "kernel":
            fd = syscall.map_create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
            FileDescriptor(fd, "map").close()
    except CompileError as error:
        return f"the cases need a compiler: {error}"
    except OsmiaError as error:
        return f"the cases need bpf(2): {error}"
    return ""


def _shown(output: Output, result: Result, show: Callable[[Output, Result], None]) -> Outcome:
    show(output, result)
    return result.outcome


def _show(output: Output, result: Result) -> None:
    case, outcome = result.case, result.outcome
    took = f"{result.seconds * 1000:6.0f} ms"
    output.line(f"{outcome.value:8}{took}  {case.name}: {case.text}", _STYLES[outcome])
    for remark in result.remarks:
        for line in remark.splitlines():
            output.line(f"{'':20}{line}")
    output.flush()


def _show_json(output: Output, result: Result) -> None:
    output.record(
        {
            "name": result.case.name,
            "outcome": result.outcome.value,
            "remarks": list(result.remarks),
            "seconds": round(result.seconds, 6),
        }
    )
