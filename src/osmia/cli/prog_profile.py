"""`osmia prog profile`: what the runs of a program cost, by counters of the processor; of a file's
programs by function, line and call, see `osmia.cli.costs`."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from osmia.cli.options import EngineName, Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.targets import only_target, open_program
from osmia.cli.termination import Ended, ends_cleanly

#: How often a long wait looks whether it is over, in seconds.
_NAP = 0.2
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("profile", cls=Verb, json=True)
@click.argument("words", nargs=-1, required=True, metavar="PROG | FILE")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    default=("cycles", "instructions"),
    show_default=True,
    help="Of PROG: cycles, instructions, l1d_loads, llc_misses, itlb_misses, dtlb_misses,"
    " cpu_clock or task_clock (ns).",
)
@click.option("-d", "--duration", type=click.FloatRange(min=0), help="Seconds; else until Ctrl-C.")
@click.option("--prog", "names", multiple=True, help="Of FILE: this program only.")
@click.option("--engine", type=EngineName(), default="kernel", show_default=True, help="Of FILE.")
@click.option(
    "--pcap", metavar="FILE[:N]", help="Run FILE's program on the packets of a capture, or the Nth."
)
@click.option(
    "--packet",
    "packets",
    multiple=True,
    metavar="HEX|FILE",
    help="Run it on that packet.",
)
@click.option("--repeat", type=click.IntRange(1), default=1, help="Run each packet so often.")
@click.option("-i", "--iface", default="", help="The interface to attach FILE's programs to.")
@click.option(
    "-o",
    "--output-file",
    type=_FILE,
    help="A flame graph of FILE's runs: .svg, .html, .folded, .pb.gz (pprof), .json (speedscope).",
)
@pass_output
def profile_program(
    output: Output,
    /,
    words: tuple[str, ...],
    metrics: tuple[str, ...],
    duration: float | None,
    output_file: Path | None,
    **of_file: Any,
) -> None:
    """Count what PROG's runs cost, by counters of the processor (since Linux 5.7); or what the
    programs of FILE cost, by function, source line, helper and map.

    FILE (C source or an object) is loaded with counters and run on packets, or attached as its
    sections say. Its instructions are counted, its time is shared out among them by estimates.
    """
    file = _file_of(words)
    _check_options(("metrics",) if file is not None else (*of_file, "output_file"), file)
    if file is not None:
        from osmia.cli.costs import Wanted, profile_file

        with ends_cleanly():
            profile_file(output, file, Wanted(duration=duration, picture=output_file, **of_file))
        return
    from osmia.kernel.inventory.profile import Profile

    with open_program(only_target(words)) as program, ends_cleanly():
        try:
            profile = Profile(program, metrics)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        with profile:
            try:
                _wait(duration)
            except Ended:
                if duration is not None:
                    raise
            runs, counted = profile.read()
    if output.json:
        output.document(
            [
                {
                    "metric": metric,
                    "run_cnt": runs,
                    "value": each.counted,
                    "enabled": each.enabled_ns,
                    "running": each.running_ns,
                }
                for metric, each in counted.items()
            ]
        )
        return
    rows = [
        (metric, each.counted, f"{each.counted / runs:.1f}" if runs else None, each.share)
        for metric, each in counted.items()
    ]
    output.table(["metric", "counted", "a run", "measured"], [("runs", runs, None, None), *rows])


def _file_of(words: tuple[str, ...]) -> Path | None:
    """The file that a command line names: no pin, nor a program of that name."""
    if len(words) != 1 or not Path(words[0]).is_file():
        if len(words) == 1 and words[0].endswith((".c", ".o")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
        return None
    from osmia.kernel.sys.pins import is_on_bpffs

    path = Path(words[0])
    return None if is_on_bpffs(path.parent) else path


def _check_options(others: Iterable[str], file: Path | None) -> None:
    """Raise UsageError for options that are for the other kind of argument."""
    context = click.get_current_context()
    for param in context.command.params:
        given = context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
        if param.name in others and given:
            whose = "a program in the kernel, not a file" if file is not None else "a file"
            raise click.UsageError(f"{param.opts[-1]} is for {whose}")


def _wait(duration: float | None) -> None:
    end = None if duration is None else time.monotonic() + duration
    while end is None or (left := end - time.monotonic()) > 0:
        time.sleep(_NAP if end is None else min(_NAP, left))
