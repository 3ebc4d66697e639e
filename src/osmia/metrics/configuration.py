"""A configuration of telemetry: what it is of, which metrics and logs, and where to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from osmia.errors import OsmiaError
from osmia.metrics.checks import Facts, check_any, check_log, check_view
from osmia.metrics.settings import Telemetry
from osmia.paths import Path
from osmia.records import dataclass, field


class ConfigurationError(OsmiaError, ValueError):
    """A mistake in a configuration file: the message has the file, the table and the key."""


@dataclass(frozen=True)
class ObjectFile:
    """An object to load and attach: C source, an object, or oci://…; `interface` and the others
    say where programs are attached whose section does not, as `osmia run` has them."""

    file: str
    programs: tuple[str, ...] = ()
    globals: Mapping[str, str] = field(default_factory=dict)
    interface: str = ""
    mode: Literal["", "native", "generic"] = ""
    direction: Literal["", "ingress", "egress"] = ""
    cgroup: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Pinned:
    """Maps and programs that are pinned in a directory, or one map."""

    path: Path


@dataclass(frozen=True)
class FleetObjects:
    """Objects that a fleet runs; without names all of them. `access` are options of `Fleet`: the
    certificates that are shown, or `insecure`."""

    scheduler: str
    fleet: str = "default"
    names: tuple[str, ...] = ()
    access: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """What a file says, and `path`, where it is from."""

    path: Path
    subject: ObjectFile | Pinned | FleetObjects | None = None
    telemetry: Telemetry = field(default_factory=Telemetry)

    @classmethod
    def read(cls, path: Path) -> Configuration:
        """Read a file of TOML. ConfigurationError for the first mistake in it."""
        from osmia.metrics.toml_file import read

        return read(path)

    def check(self, facts: Iterable[Facts]) -> None:
        """ConfigurationError where none of some objects has what the metrics and logs are of."""
        known = list(facts)
        for at, view in enumerate(self.telemetry.choice.views, 1):
            self._check(f"[[metric]] {at}", check_view, view, known)
        for at, log in enumerate(self.telemetry.logs, 1):
            self._check(f"[[log]] {at}", check_log, log, known)

    def _check(self, table: str, check: Any, asked: Any, known: list[Facts]) -> None:
        try:
            check_any(check, asked, known)
        except ValueError as error:
            where = f"{self.path}: {table}: " if self.path.name else ""  # or options say it
            raise ConfigurationError(f"{where}{error}") from None
