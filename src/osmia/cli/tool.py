"""`osmia tool`: the ready tools, each with its options, in one style of output."""

from __future__ import annotations

import inspect
import re
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click

from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.cli.termination import ends_cleanly
from osmia.tools import TOOLS
from osmia.tools.running import Stream

#: The letters that options have in all tools.
_SHORT = {"pid": "-p"}


class Tools(Noun):
    """The tools by name, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TOOLS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in TOOLS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in TOOLS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], TOOLS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no tool {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Tools"):
            formatter.write_dl(list(TOOLS.items()))


@click.group("tool", cls=Tools)
def tool_command() -> None:
    """Ready tools: they need no compiler, and show what happens until Ctrl-C.

    With -j each row is a JSON object in a line of its own.
    """


def _command(name: str) -> click.Command:
    """The command of a tool: its function's arguments are the options."""
    function_name = name.replace("-", "_")
    function = getattr(import_module(f"osmia.tools.{function_name}"), function_name)
    hints = get_type_hints(function, include_extras=True)
    options = [
        _option(each, hints[each.name]) for each in inspect.signature(function).parameters.values()
    ]
    duration = click.Option(
        ["-d", "--duration"], type=click.FloatRange(0), help="Seconds; else to Ctrl-C."
    )

    @pass_output
    def command(output: Output, /, duration: float | None, **settings: Any) -> None:
        _show(output, function(**settings), duration)

    return Verb(
        name,
        callback=command,
        params=[*options, duration],
        help=inspect.getdoc(function),
        json=True,
    )


def _option(parameter: inspect.Parameter, hint: Any) -> click.Parameter:
    """An option of the type and with the text that an argument is annotated with."""
    kind, text = get_args(hint) if get_origin(hint) is Annotated else (hint, "")
    names = [f"--{parameter.name}".replace("_", "-")]
    if parameter.name in _SHORT:
        names.insert(0, _SHORT[parameter.name])
    default = parameter.default
    if kind is bool:
        return click.Option(names, is_flag=True, help=text)
    takes = click.IntRange(0) if kind in (int, int | None) else str
    return click.Option(names, type=takes, default=default, help=text)


def _show(output: Output, tool: AbstractContextManager[Any], duration: float | None) -> None:
    """Show what a tool gives, for so long or until a signal."""
    with ends_cleanly(), tool as running:
        if duration is None:
            note("Ctrl-C ends")
        try:
            _show_rows(output, running, duration)
        finally:
            if running.lost:
                note(f"osmia: warning: {running.lost} events were lost: no room")


def _show_rows(output: Output, stream: Stream[Any], duration: float | None) -> None:
    if output.json:
        for row in stream.rows(duration):
            output.record(row._asdict())
        return
    output.line(_heading(stream.line), "bold")
    output.flush()
    for row in stream.rows(duration):
        output.line(printable(stream.line.format(**row._asdict())))
        output.flush()


def _heading(line: str) -> str:
    """The names of the fields of a format, where its values will stand."""
    return re.sub(r"{(\w+):?([^}.]*)[^}]*}", lambda field: f"{field[1]:{field[2]}}", line)
