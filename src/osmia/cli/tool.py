"""`osmia tool`: the ready tools, each with its options, in one style of output.

A tool's command is made of its function: keyword arguments are options, with the text that they
are annotated with, others stand on the command line by themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click

from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.recording import output_file_option, record
from osmia.cli.tool_reports import show_stream, show_summary
from osmia.tools import TOOLS
from osmia.tools.running import Stream, Summary

#: Seconds between two reports.
_LEAST_INTERVAL = 0.1
#: The letters of options that more than one tool has.
_SHORT = {"pid": "-p", "frequency": "-F"}


class _Number(click.IntRange):
    """A number from 0 on, as kernels count."""

    name = "number"

    def _describe_range(self) -> str:
        return ""


_NUMBER = _Number(0, (1 << 32) - 1)


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
    """The command of a tool."""
    function_name = name.replace("-", "_")
    function = getattr(import_module(f"osmia.tools.{function_name}"), function_name)
    hints = get_type_hints(function, include_extras=True)
    given = inspect.signature(function).parameters.values()
    params = [_parameter(each, hints[each.name]) for each in given]
    params.append(_seconds("-d", "--duration", text="Seconds; else to Ctrl-C."))
    (gives,) = get_args(hints["return"]) or (hints["return"],)
    if get_origin(gives) is Stream:
        show: Callable[..., None] = show_stream
        params.append(click.Option(["-t", "--time"], is_flag=True, help="With the time of day."))
    elif get_origin(gives) is Summary:
        show = show_summary
        text = "Report every so many seconds."
        params.append(_seconds("-i", "--interval", text=text, least=_LEAST_INTERVAL))
    else:
        show = record
        params.append(output_file_option())

    @pass_output
    def command(output: Output, /, **values: Any) -> None:
        settings = {each.name: values.pop(each.name) for each in given}
        _check_process(settings.get("pid"))
        show(output, lambda: function(*_positional(given, settings), **settings), **values)

    return Verb(name, callback=command, params=params, help=inspect.getdoc(function), json=True)


def _positional(given: Iterable[inspect.Parameter], settings: dict[str, Any]) -> list[Any]:
    """Take out of the settings those that have no name for the function."""
    names = [each.name for each in given if each.kind is not each.KEYWORD_ONLY]
    return [settings.pop(name) for name in names]


def _parameter(parameter: inspect.Parameter, hint: Any) -> click.Parameter:
    """An option of the type and with the text that an argument is annotated with."""
    if parameter.kind is not parameter.KEYWORD_ONLY:
        return click.Argument([parameter.name])
    kind, text = get_args(hint)
    names = [f"--{parameter.name}".replace("_", "-"), parameter.name]
    if parameter.name in _SHORT:
        names.insert(0, _SHORT[parameter.name])
    if kind is bool:
        return click.Option(names, is_flag=True, help=text)
    several = get_origin(kind) is tuple
    takes = _NUMBER if kind in (int, int | None, tuple[int, ...]) else click.STRING
    shown = parameter.default not in (0, "", None, ())
    return click.Option(
        names,
        type=takes,
        default=parameter.default,
        multiple=several,
        show_default=shown,
        help=text,
    )


def _seconds(*names: str, text: str, least: float = 0) -> click.Option:
    return click.Option(names, type=click.FloatRange(least), help=text, metavar="SECONDS")


def _check_process(pid: int | None) -> None:
    if pid and not Path(f"/proc/{pid}").exists():
        raise click.UsageError(f"there is no process {pid}")
