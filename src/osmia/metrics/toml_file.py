"""Configurations of telemetry in TOML (docs/observing.md has all keys); unknown ones are errors."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from osmia.errors import OsmiaError
from osmia.metrics.addresses import parse_address
from osmia.metrics.checks import check_apart
from osmia.metrics.choice import Choice, View
from osmia.metrics.configuration import (
    Configuration,
    ConfigurationError,
    FleetObjects,
    ObjectFile,
    Pinned,
)
from osmia.metrics.settings import EventLog, Otlp, Telemetry
from osmia.paths import Path
from osmia.summaries.readings import MOST_ENTRIES
from osmia.values.names import unknown_name

Made = TypeVar("Made")

#: What a value is called that is not of the type that is wanted.
_TYPES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "a table",
}
_LARGEST = 10_000_000


def read(path: Path) -> Configuration:
    """What a file says. ConfigurationError for the first mistake in it."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise OsmiaError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: no TOML: {error}") from None
    top = _Table(path, "", content)
    subject = _subject(top, path)
    telemetry = Telemetry(
        _choice(top),
        tuple(_log(each) for each in top.tables("log")),
        _prometheus(top.table("prometheus")),
        _otlp(top.table("otlp")),
    )
    top.done()
    if telemetry.logs and telemetry.otlp is None:
        raise ConfigurationError(f"{path}: [[log]]: logs are sent by OTLP, there is no [otlp]")
    try:
        check_apart(telemetry.logs)
    except ValueError as error:
        raise ConfigurationError(f"{path}: [[log]]: {error}") from None
    return Configuration(path, subject, telemetry)


class _Table:
    """A table of a file: each key is asked for, and what was not is an error in the end."""

    def __init__(self, path: Path, name: str, content: Mapping[str, Any]) -> None:
        self._path, self._name, self._content = path, name, content
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def value(self, key: str, kind: type[Made], default: Made) -> Made:
        """The value of a key, which is of a type."""
        self._asked.append(key)
        if key not in self._content:
            return default
        found = self._content[key]
        if kind is float and type(found) is int:
            found = float(found)
        if type(found) is not kind:
            raise self.error(key, f"{_TYPES[kind]} is wanted, not {_shown(found)}")
        return found

    def required(self, key: str) -> str:
        """Text that has to be there."""
        found = self.value(key, str, "")
        if not found:
            raise self.error(key, "is missing" if key not in self._content else "is empty")
        return found

    def whole(self, key: str, default: int, least: int) -> int:
        """A whole number that is at least so large."""
        found = self.value(key, int, default)
        if not least <= found <= _LARGEST:
            raise self.error(key, f"{found}: from {least} to {_LARGEST}")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of text."""
        found: list[Any] = self.value(key, list, [])
        for each in found:
            if type(each) is not str:
                raise self.error(key, f"text is wanted in the array, not {_shown(each)}")
        return tuple(found)

    def named(self, key: str) -> dict[str, str]:
        """A table of text."""
        found: dict[str, Any] = self.value(key, dict, {})
        for name, each in found.items():
            if type(each) is not str:
                raise self.error(f"{key}.{name}", f"text is wanted, not {_shown(each)}")
        return found

    def is_table(self, key: str) -> bool:
        """Whether the value of a key is a table."""
        return isinstance(self._content.get(key), dict)

    def table(self, key: str) -> _Table | None:
        """A table in this one; None where there is none."""
        content: dict[str, Any] = self.value(key, dict, {})
        return _Table(self._path, f"[{key}]", content) if key in self._content else None

    def tables(self, key: str) -> list[_Table]:
        """An array of tables."""
        self._asked.append(key)
        found = self._content.get(key, [])
        if type(found) is not list or any(type(each) is not dict for each in found):
            raise ConfigurationError(f"{self._path}: {key}: tables are wanted: [[{key}]]")
        return [_Table(self._path, f"[[{key}]] {at}", each) for at, each in enumerate(found, 1)]

    def made(self, make: Callable[..., Made], **given: Any) -> Made:
        """What a class makes of values; its ValueError as one of the file."""
        try:
            return make(**given)
        except ValueError as error:
            raise ConfigurationError(f"{self._path}: {self._name} {error}") from None

    def error(self, key: str, reason: str) -> ConfigurationError:
        where = f"{self._name} {key}" if self._name else f"[{key}]"
        return ConfigurationError(f"{self._path}: {where}: {reason}")

    def done(self) -> None:
        """An error for a key that nobody asked for."""
        for key in self._content:
            if key not in self._asked:
                if not self._name:
                    hint = unknown_name(str(self._path), key, self._asked, kind="table ")
                    raise ConfigurationError(hint)
                hint = unknown_name(self._name, key, self._asked, kind="key ")
                raise ConfigurationError(f"{self._path}: {hint}")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)[:80]


def _subject(top: _Table, path: Path) -> ObjectFile | Pinned | FleetObjects | None:
    local, fleet = top.table("object"), top.table("fleet")
    if local is not None and fleet is not None:
        raise ConfigurationError(f"{path}: [object] and [fleet]: it is of one of them")
    if fleet is not None:
        access: dict[str, Any] = {
            key: path.parent / file  # beside the configuration
            for key in ("ca", "cert", "key")
            if (file := fleet.value(key, str, ""))
        }
        if fleet.value("insecure", bool, False):
            access["insecure"] = True
        made = FleetObjects(
            fleet.required("scheduler"),
            fleet.value("name", str, "default"),
            fleet.texts("objects"),
            access,
        )
        fleet.done()
        return made
    return None if local is None else _object(local, path)


def _object(table: _Table, path: Path) -> ObjectFile | Pinned:
    if "pinned" in table:
        place = Path(table.required("pinned"))
        if "file" in table:
            raise table.error("pinned", "there is a file, too: it is of one of them")
        table.done()
        return Pinned(place)
    file = table.required("file")
    if not file.startswith("oci://"):  # beside the configuration
        file = str(path.parent / file)
    made = ObjectFile(
        file,
        programs=table.texts("programs"),
        globals=_globals(table),
        interface=table.value("interface", str, ""),
        mode=_word(table, "mode", ("native", "generic")),
        direction=_word(table, "direction", ("ingress", "egress")),
        cgroup=table.value("cgroup", str, ""),
        pid=table.whole("pid", 0, 0),
    )
    table.value("pinned", str, "")
    table.done()
    return made


def _globals(table: _Table) -> dict[str, str]:
    """Values of variables, as text that `osmia run --set` would take."""
    found: dict[str, Any] = table.value("globals", dict, {})
    for name, each in found.items():
        if type(each) not in (str, int, float, bool):
            raise table.error(f"globals.{name}", f"text or a number, not {_shown(each)}")
    return {
        name: str(each).lower() if isinstance(each, bool) else str(each)
        for name, each in found.items()
    }


def _word(table: _Table, key: str, words: tuple[str, ...]) -> Any:
    found = table.value(key, str, "")
    if found and found not in words:
        raise table.error(key, f"{found!r}: {' or '.join(words)}")
    return found


def _choice(top: _Table) -> Choice:
    views = tuple(_view(each) for each in top.tables("metric"))
    table = top.table("metrics") or _Table(Path(), "[metrics]", {})
    made = Choice(
        prefix=table.value("prefix", str, "bpf"),
        views=views,
        rest=table.value("rest", bool, False),
        most_entries=table.whole("most_entries", MOST_ENTRIES, 1),
        programs=table.value("programs", bool, True),
    )
    table.done()
    return made


def _view(table: _Table) -> View:
    if ("map" in table) == ("variable" in table):
        raise table.error("map", "a map or a variable is wanted, one of them")
    source = table.required("map" if "map" in table else "variable")
    table.value("map", str, "")
    table.value("variable", str, "")
    labels = table.named("labels") if table.is_table("labels") else table.texts("labels")
    made = table.made(
        View,
        source=source,
        member=table.value("member", str, ""),
        name=table.value("name", str, ""),
        help=table.value("help", str, ""),
        unit=table.value("unit", str, ""),
        kind=table.value("kind", str, ""),
        labels=labels if "labels" in table else None,
    )
    table.done()
    return made


def _log(table: _Table) -> EventLog:
    made = table.made(
        EventLog,
        map=table.required("map"),
        name=table.value("name", str, ""),
        severity=table.value("severity", str, "INFO"),
        time=table.value("time", str, ""),
        clock=table.value("clock", str, "monotonic"),
        attributes=table.texts("attributes") if "attributes" in table else None,
        body=table.value("body", str, ""),
        type=table.value("type", str, ""),
    )
    table.value("attributes", list, [])
    table.done()
    return made


def _prometheus(table: _Table | None) -> str:
    if table is None:
        return ""
    listen = table.required("listen")
    try:
        parse_address(listen)
    except ValueError as error:
        raise table.error("listen", str(error)) from None
    table.done()
    return listen


def _otlp(table: _Table | None) -> Otlp | None:
    if table is None:
        return None
    made = table.made(
        Otlp,
        endpoint=table.value("endpoint", str, ""),
        headers=table.named("headers"),
        compression=table.value("compression", str, ""),
        certificate=table.value("certificate", str, ""),
        client_certificate=table.value("client_certificate", str, ""),
        client_key=table.value("client_key", str, ""),
        timeout=table.value("timeout", float, 0.0) if "timeout" in table else None,
        interval=table.value("interval", float, 0.0) if "interval" in table else None,
        queue=table.whole("queue", 8192, 1),
        resource=table.named("resource"),
        metrics=table.value("metrics", bool, True),
    )
    for key in ("timeout", "interval"):
        table.value(key, float, 0.0)
    table.done()
    return made
