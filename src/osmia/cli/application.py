"""The command's root: finding verbs without importing all of them, errors as one line."""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

import click

from osmia import __version__
from osmia.cli.options import common_options
from osmia.cli.output import Output
from osmia.cli.reports import report

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Each verb's module and what the list of commands says about it. The module has a command
#: of the verb's name, with "_command" behind it; it is imported when the verb is used.
VERBS = {
    "compile": "Compile C source to a BPF object.",
    "inspect": "Show what an object holds: programs, maps, globals, externs, code.",
    "run": "Load a program and attach it, or run it on packets; show what it says.",
    "debug": "Step through a program in this process, forwards and back, as in gdb.",
    "prog": "Programs in the kernel: list, show, dump, pin, load, attach, run, log.",
    "map": "Maps in the kernel: list, show, dump, load, look up, update, create, pin.",
    "lib": "Libraries of this machine: list, show, publish, remove.",
    "find": "Find functions by signature: loaded, published, in files.",
    "link": "Attachments in the kernel: list, show, detach, pin.",
    "cgroup": "Programs on control groups: list, tree, attach, detach.",
    "struct_ops": "Structs of functions that the kernel calls: list, register, unregister.",
    "iter": "Programs that are run by reading a file: pin.",
    "profile": "Sample what runs on the CPUs: a table, a flame graph, pprof, speedscope.",
    "offcpu": "Sum up where threads wait, and for how long.",
    "stacks": "Count the stacks with which threads come by a probe.",
    "metrics": "Tell Prometheus and OpenTelemetry what programs count and send.",
    "tool": "Ready tools: opensnoop, execsnoop, tcplife and others, with no compiler.",
    "perf": "Programs on perf events and raw tracepoints: list.",
    "btf": "Types in the kernel or in a file: list, dump as C, minimise, vmlinux.h.",
    "token": "BPF tokens: list and create what is delegated to user namespaces.",
    "features": "What this kernel can do, and which version brought it.",
    "selftest": "Check that osmia works on this kernel; prints TAP if asked.",
    "gen": "Make one object of several, or C that loads one: gen object, gen skeleton.",
    "stubs": "Write typed Python stubs for an object's maps and globals.",
    "tc": "Programs as traffic control filters: attach, list, detach.",
    "xdp": "XDP programs of interfaces: attach, list, detach.",
    "net": "Loaded programs on network interfaces: list, attach, detach.",
    "lwt": "Routes through programs: attach, detach.",
    "tailcalls": "Show which program tail-calls which: text, JSON, a picture.",
    "prune": "Leave out of an object what cannot run with its settings.",
    "explain": "Say what rewriting passes would change in an object, and save.",
    "graft": "Replace one program of a running datapath's prog array.",
    "fleet": "The same object on many hosts: run, status, top, logs, upgrade, rollback, close.",
    "image": "Objects as OCI images: build, push, pull, inspect, verify.",
    "sign": "Sign objects with a key of yours, or check who signed them.",
    "prepare": "Keep what loads of objects need, for faster starts.",
    "convert": "Turn an object of iproute2's dialect into one for libbpf.",
    "verify": "Say what the kernel's verifier did with programs, and why: cost, path, values.",
    "check": "Read objects and say what is wrong with them.",
    "batch": "Run many commands in one process: from a file, or standard input.",
    "completion": "Print a shell's completion script.",
}

#: Verbs that are bpftool's objects, too.
_BPFTOOL_OBJECTS = frozenset(
    [
        "prog",
        "map",
        "link",
        "cgroup",
        "perf",
        "net",
        "btf",
        "gen",
        "struct_ops",
        "iter",
        "token",
        "batch",
    ]
)
_OWN_OPTIONS = frozenset(
    ["-h", "--help", "-V", "--version", "-v", "--verbose", "-j", "--json", "-p", "--pretty"]
)


class Application(click.Group):
    """The root group: the verbs of `VERBS`, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"osmia.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, VERBS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Not click's own, for the same reason as below.
        from click.shell_completion import CompletionItem

        names = [name for name in VERBS if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=VERBS[name]) for name in names), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Not click's own, which imports every command for its help.
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


application = Application(
    name="osmia",
    help=(
        "eBPF: compile, inspect, load, attach and observe BPF programs and maps."
        "\n\nPrograms, maps and links are named as bpftool names them: `id 12`, `name flows`,"
        " `pinned /sys/fs/bpf/flows`, `tag 0a1b…` (programs); or shorter `12`, `flows`,"
        " `/sys/fs/bpf/flows`."
    ),
    params=[
        *common_options(json=True),
        click.Option(
            ["-V", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda ctx, param, value: _show_version(ctx, value),
            help="Show the version.",
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)


def attempt(arguments: Sequence[str], output: Output) -> tuple[int, str]:
    """Run one of many command lines: its exit status, and what is to be said on stderr. Signals,
    and a reader of the output that goes away, end all of them: they are raised."""
    try:
        status = invoke(arguments, output)
    except click.exceptions.Exit as done:
        return done.exit_code, ""
    except (BrokenPipeError, click.Abort):
        raise
    except Exception as error:
        of_text = Output()
        of_text.verbose = output.verbose
        with redirect_stderr(io.StringIO()) as told:
            return report(error, of_text), told.getvalue()
    return (status if isinstance(status, int) else 0), ""


def invoke(arguments: Sequence[str], output: Output) -> object:
    """Parse a command line and do what it says; what the command gives back."""
    # Not click's main(), which has exit statuses of its own for signals and pipes.
    with application.make_context("osmia", own_words(arguments), obj=output) as context:
        return application.invoke(context)


def own_words(arguments: Sequence[str]) -> list[str]:
    """A command line in osmia's words: bpftool's are translated. UsageError for those of its
    words that osmia answers with another command."""
    if _may_be_bpftools(arguments):
        from osmia.cli.bpftool_words import translated

        return translated(arguments)
    return list(arguments)


def _may_be_bpftools(arguments: Sequence[str]) -> bool:
    """Whether the translator is to look; not for `prog list -j`, `map dump name flows`."""
    first = next((i for i, each in enumerate(arguments) if each not in _OWN_OPTIONS), None)
    if first is None or arguments[first] in VERBS.keys() - _BPFTOOL_OBJECTS:
        return False
    if arguments[first] not in _BPFTOOL_OBJECTS:
        return True
    verb = " ".join(arguments[first : first + 2])
    rest = [each for each in arguments[first + 2 :] if each not in (*_OWN_OPTIONS, "-f")]
    if not verb.endswith((" list", " show")) and verb != "map dump":
        return len(arguments) > first + 1
    named = len(rest) == 2 and rest[0] in ("id", "name", "tag", "pinned")
    return not named and (len(rest) > 1 or any(each.startswith("-") for each in rest))


def _show_version(ctx: click.Context, wanted: bool) -> None:
    if wanted:
        click.echo(f"osmia {__version__}")
        ctx.exit()
