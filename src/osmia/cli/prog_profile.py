"""`osmia prog profile`: what the runs of a program cost."""

from __future__ import annotations

import time

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.targets import only_target, open_program
from osmia.cli.termination import Ended, ends_cleanly

#: How often a long wait looks whether it is over, in seconds.
_NAP = 0.2


@click.command("profile", cls=Verb, json=True)
@click.argument("words", nargs=-1, required=True, metavar="PROG")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    default=("cycles", "instructions"),
    show_default=True,
    help="cycles, instructions, l1d_loads, llc_misses, itlb_misses, dtlb_misses, cpu_clock (ns).",
)
@click.option("-d", "--duration", type=click.FloatRange(min=0), help="Seconds; else until Ctrl-C.")
@pass_output
def profile_program(
    output: Output, words: tuple[str, ...], metrics: tuple[str, ...], duration: float | None
) -> None:
    """Count what PROG's runs cost, by counters of the processor (since Linux 5.7)."""
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


def _wait(duration: float | None) -> None:
    end = None if duration is None else time.monotonic() + duration
    while end is None or (left := end - time.monotonic()) > 0:
        time.sleep(_NAP if end is None else min(_NAP, left))
