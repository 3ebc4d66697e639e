"""What is wanted of each host: an object, where its programs are attached, what its data holds.

The scheduler keeps the wishes (`osmia.fleet.ledger`), so that hosts that join later, or were away,
find them; each change has a higher generation, which agents compare.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from osmia.errors import OsmiaError
from osmia.object.model import Object
from osmia.records import dataclass, field, replace

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where a program is wanted: on interfaces or control groups by pattern (as the shell has
    them), on processes, or, with none of these, where its section says."""

    program: str
    kind: str = ""  # "interface", "cgroup", "pid", or ""
    pattern: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Canary:
    """Another object that some hosts are to have in the place of the one that all others have."""

    obj: Object
    digest: str
    hosts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wish:
    """All that is wanted of an object on all hosts. `first` is the generation that it was loaded
    with: what has the same name and another one is another object. `entries` are updates of maps,
    the last one of each key; None deletes. `signatures` are the texts of those of objects, by
    their digests."""

    name: str
    obj: Object
    digest: str
    generation: int = 1
    first: int = 1
    engine: str = "kernel"
    options: Mapping[str, Any] = field(default_factory=dict)
    pins: bool = False
    attachments: tuple[Attachment, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    entries: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)
    canary: Canary | None = None

    def with_signatures_of(self, obj: Object) -> Wish:
        """The wish, with the signatures that are kept beside an object's file, or in its image."""
        from osmia.object.signatures import kept_signatures

        text = kept_signatures(obj.path) if obj.path else ""
        return replace(self, signatures={**self.signatures, obj.digest: text}) if text else self

    def at(self, host: str) -> Wish:
        """What is wanted of one host: its `obj` is the one that this host is to have."""
        if self.canary is None or host not in self.canary.hosts:
            return self
        return self.having(self.canary.obj, self.canary.digest)

    def having(self, obj: Object, digest: str) -> Wish:
        """The wish with another object: entries of maps that it does not have are gone."""
        entries = {name: each for name, each in self.entries.items() if name in obj.maps}
        return replace(self, obj=obj, digest=digest, entries=entries)


def checked_name(name: str) -> str:
    """A name that can be a directory's, or an OsmiaError."""
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise OsmiaError(
            f"{os.fsdecode(name)[:80]!r} is no name: letters, digits, '_', '-' and '.'"
        )
    return name
