"""What `osmia metrics` and `osmia fleet metrics` share: where to, a configuration, the waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.output import Output, note, printable
from osmia.records import dataclass, replace

if TYPE_CHECKING:
    from osmia.metrics import Configuration, Otlp, Telemetry, Teller

#: What says where to, if nothing else does.
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True)
class Wanted:
    """What the options say of telemetry; they go before what `config` says."""

    config: Path | None = None
    check: bool = False
    prometheus: str = ""
    otlp: str = ""
    interval: float | None = None
    logs: tuple[str, ...] = ()
    duration: float | None = None

    def configuration(self) -> Configuration:
        """What the file says, and the options. UsageError where neither says where to."""
        from osmia.metrics import Configuration, EventLog

        found = Configuration(Path()) if self.config is None else Configuration.read(self.config)
        told = found.telemetry
        prometheus = self.prometheus or told.prometheus
        try:
            otlp = self._otlp(told.otlp, bool(prometheus))
            logs = (*told.logs, *map(EventLog, self.logs))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if otlp is None:
            if self.logs or self.interval:
                raise click.UsageError("--log and --interval are for --otlp")
            if not prometheus and not self.check:
                raise click.UsageError("--prometheus or --otlp says where to, or --config FILE")
        told = replace(told, otlp=otlp, logs=logs, prometheus=prometheus)
        return replace(found, telemetry=told)

    def _otlp(self, told: Otlp | None, elsewhere: bool) -> Otlp | None:
        """Where OTLP goes: as the options say, else the file, else the environment."""
        from osmia.metrics import Otlp

        if self.otlp:
            told = replace(told or Otlp(), endpoint=self.otlp)
        elif told is None and not elsewhere and _ENDPOINT in os.environ:
            told = Otlp()
        return replace(told, interval=self.interval) if told and self.interval else told


def takes_telemetry(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `Wanted`, which the command gets as `wanted`."""
    names = Wanted.__match_args__

    @wraps(command)
    def with_wanted(*args: Any, **options: Any) -> Any:
        wanted = Wanted(**{name: options.pop(name) for name in names})
        return command(*args, wanted=wanted, **options)

    made: Callable[..., Any] = with_wanted
    for option in (
        click.option("-d", "--duration", type=click.FloatRange(0), help="Seconds; else to Ctrl-C."),
        click.option("--log", "logs", multiple=True, metavar="MAP", help="Its events, by OTLP."),
        click.option(
            "--interval",
            type=click.FloatRange(0.05, 86400),
            metavar="SECONDS",
            help="How often metrics are sent; else 60.",
        ),
        click.option("--otlp", default="", metavar="URL", help="Send them to this collector."),
        click.option(
            "--prometheus", default="", metavar="[HOST]:PORT", help="Answer scrapes there."
        ),
        click.option("--check", is_flag=True, help="Say what is wrong with it, and no more."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="What is told and where to, in TOML.",
        ),
    ):
        made = option(made)
    return made


def telling(source: Any, telemetry: Telemetry) -> Teller:
    """What tells, until it is closed. UsageError for an address that is none."""
    from osmia.metrics import tell

    try:
        teller = tell(source, telemetry, say=note)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if teller.server is not None:
        note(f"metrics at {teller.server.url}")
    if teller.exporter is not None:
        for where in teller.exporter.places:
            note(f"sends to {where}")
    return teller


def wait(duration: float | None) -> None:
    """Wait for so many seconds; without, until a signal ends it."""
    if duration is None:
        note("Ctrl-C ends")
    end = None if duration is None else time.monotonic() + duration
    while end is None or time.monotonic() < end:
        time.sleep(3600 if end is None else max(0.0, end - time.monotonic()))


def show_checked(output: Output, configuration: Configuration) -> None:
    """Say what is right with a configuration."""
    told = configuration.telemetry
    names = [each.name or each.source for each in told.choice.views]
    if output.json:
        output.document(
            {
                "file": str(configuration.path) if configuration.path.name else None,
                "metrics": names,
                "logs": [each.map for each in told.logs],
                "prometheus": told.prometheus or None,
                "otlp": told.otlp is not None,
            }
        )
        return
    metrics = _counted(len(names), "metric") if names else "all metrics"
    where = configuration.path if configuration.path.name else "the command line"
    logs = _counted(len(told.logs), "log")
    output.line(printable(f"{where}: {metrics}, {logs}: nothing wrong"))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
