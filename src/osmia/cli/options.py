"""What the verbs' command lines have in common."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.output import Output

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_PRETTY = "Print JSON, indented."

pass_output = click.make_pass_decorator(Output)
takes_pins = click.option(
    "-f", "--pins", is_flag=True, help="Look for pins for JSON, too; tables always have them."
)


def common_options(json: bool = False, pretty: str = "-p") -> list[click.Option]:
    """-v and --color for every verb, -j and -p for those that list; `pretty`: "" where -p is
    something else."""
    options = [
        _setting(["-v", "--verbose"], "verbose", "Say more; show tracebacks and whole logs."),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_set_color,
            help="Colours and drawn tables: auto is on a terminal, unless NO_COLOR is set.",
        ),
    ]
    if json:
        options += [
            _setting(["-j", "--json"], "json", "Print JSON."),
            _setting([*filter(None, [pretty]), "--pretty"], "pretty", _PRETTY, also="json"),
        ]
    return options


class EngineName(click.ParamType):  # type: ignore[type-arg]  # generic since 8.5 only
    """The name of an engine that is there: osmia's own, or one that a package brings."""

    name = "engine"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is; a usage error that lists the engines for another."""
        from osmia.engine import registry

        try:
            registry.find(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
        from click.shell_completion import CompletionItem

        from osmia.engine import registry

        names = (each for each in registry.names() if each.startswith(incomplete))
        return [CompletionItem(each) for each in names]


class Text(click.types.StringParamType):
    """Text of a command line: what a shell may offer for it, `completing` says."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that may stand here."""
        from osmia.cli.completing import offered

        return offered(ctx, param, incomplete)


_TEXT = Text()


class Verb(click.Command):
    """A command with the common options; `json` for one that can print JSON."""

    def __init__(self, *args: Any, json: bool = False, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for each in self.params:
            if each.type is click.STRING:
                each.type = _TEXT
        taken = any("-p" in each.opts for each in self.params)
        self.params += common_options(json, pretty="" if taken else "-p")


class Deed(Verb):
    """A command that does something and prints nothing: JSON of it is `null`, as bpftool's is."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, json=True, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Do it; an error prints nothing."""
        status = super().invoke(ctx)
        output = ctx.ensure_object(Output)
        if output.json:
            output.document(None)
        return status


class Noun(click.Group):
    """A group of verbs about one kind of thing, which takes their common options too.

    `elsewhere`: verbs that are imported when they are used, as "module:command".
    """

    command_class = Verb

    def __init__(
        self, *args: Any, elsewhere: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.params += common_options(json=True)
        self._elsewhere = elsewhere or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self.commands, *self._elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._elsewhere[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def _setting(names: list[str], attribute: str, text: str, also: str = "") -> click.Option:
    """A flag that is remembered in the Output, wherever on the command line it stands."""

    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            output = ctx.ensure_object(Output)
            setattr(output, attribute, True)
            if also:
                setattr(output, also, True)

    return click.Option(names, is_flag=True, expose_value=False, callback=remember, help=text)


def _set_color(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Output).color = value
