"""Which numbers of a loaded object are metrics, and what they are called: `View`, `Choice`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from osmia.records import dataclass
from osmia.summaries.readings import MOST_ENTRIES

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class View:
    """A map or global variable as a metric; what is not said is as it would be without a view.

    `member` is one of the value's ("packets", "total.bytes"); without, all of them are metrics,
    whose names begin with `name`. `labels` are the members of the key that are told, or a mapping
    of them to what they are called; what differs only by the others is added up. `unit` is one of
    UCUM ("By", "s", "{packet}"). ValueError for a name or label that Prometheus would not take.
    """

    source: str
    member: str = ""
    name: str = ""
    help: str = ""
    unit: str = ""
    kind: Literal["", "counter", "gauge"] = ""
    labels: Sequence[str] | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: letters, digits and _")
        if self.kind not in ("", "counter", "gauge"):
            raise ValueError(f"kind {self.kind!r}: counter or gauge")
        called = list((self.renamed or {}).values())
        for label in called:
            if not _NAME.fullmatch(label) or label.startswith("__"):
                raise ValueError(f"labels: {label!r} is no name: letters, digits and _")
            if called.count(label) > 1:
                raise ValueError(f"labels: two are called {label!r}")

    @property
    def renamed(self) -> dict[str, str] | None:
        """What the labels are called, by their members of the key; None: all, as they are."""
        if self.labels is None or isinstance(self.labels, Mapping):
            return None if self.labels is None else dict(self.labels)
        return {each: _as_label(each) for each in self.labels}


def _as_label(member: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", member).lstrip("_") or "key"


@dataclass(frozen=True)
class Choice:
    """Which numbers are metrics.

    Without `views`: all that look like counters, gauges and histograms, named `prefix`_map_member;
    with some: those, and the others too where `rest` says so. `gauges` are maps, variables and
    map.members that are gauges though they look like counters; of a map no more than
    `most_entries` entries are told. With `programs`: how often and how long programs ran.
    """

    prefix: str = "bpf"
    views: tuple[View, ...] = ()
    rest: bool = False
    gauges: frozenset[str] = frozenset()
    most_entries: int = MOST_ENTRIES
    programs: bool = False

    def of(self, source: str, field: str = "") -> Sequence[View | None]:
        """The views that show a number; None stands for the number as it is."""
        if not self.views:
            return _AS_IT_IS
        found = [
            each for each in self.views if each.source == source and each.member in ("", field)
        ]
        return found or (_AS_IT_IS if self.rest else ())

    def wants(self, source: str) -> bool:
        """Whether anything of a map or variable is shown."""
        return not self.views or self.rest or any(each.source == source for each in self.views)


_AS_IT_IS: Sequence[View | None] = (None,)
