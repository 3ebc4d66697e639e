"""What a test wants loaded: the arguments of its `bpf` markers, or of a fixture factory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from osmia.errors import OsmiaError
from osmia.object import Object
from osmia.records import dataclass, field, replace

#: Without `engines=`: all of osmia's own.
ENGINES = ("vm", "kernel")

_MAPPINGS = ("data", "compile", "load", "vm", "kernel")


class WrongMark(OsmiaError, TypeError):
    """Arguments of a `bpf` marker, or of `bpf_fixture`, that say nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object for a test, and how it is to be loaded.

    `source` is C (a path, or text with a newline in it), an object file or an Object; `data` the
    initial values of global variables; `pcap` a capture, for each packet of which the test runs;
    `autoload` the programs that are loaded beside those that
    the object says (sections `?xdp`). `compile` has options of `osmia.compile`, `load` of every
    engine's load, `vm` and `kernel` of one engine's.
    """

    source: str | os.PathLike[str] | Object
    engines: tuple[str, ...] = ENGINES
    data: Mapping[str, Any] = field(default_factory=dict)
    pcap: str | os.PathLike[str] | None = None
    autoload: tuple[str, ...] = ()
    compile: Mapping[str, Any] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)
    vm: Mapping[str, Any] = field(default_factory=dict)
    kernel: Mapping[str, Any] = field(default_factory=dict)

    def load_options(self, engine: str) -> dict[str, Any]:
        """The options of a load into that engine."""
        own = {"vm": self.vm, "kernel": self.kernel}.get(engine, {})
        return {**self.load, **own}


def wanted_by(marks: Iterable[tuple[tuple[Any, ...], Mapping[str, Any]]]) -> Wanted:
    """What markers say together, given as (arguments, keywords), the nearest first.

    A test's own marker adds to those of its class and module: what both say is the nearer one's,
    and mappings are joined name by name. WrongMark for arguments that there are not, and where
    none names a source.
    """
    said: dict[str, Any] = {}
    for arguments, keywords in reversed(list(marks)):
        for name, value in _checked(arguments, keywords).items():
            said[name] = {**said.get(name, {}), **value} if name in _MAPPINGS else value
    if "source" not in said:
        raise WrongMark("a bpf marker names what is loaded: @pytest.mark.bpf('limit.bpf.c')")
    return replace(Wanted(said.pop("source")), **said)


def _checked(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of one marker by name."""
    if len(arguments) > 1 or (arguments and "source" in keywords):
        raise WrongMark(f"a bpf marker has one source, not {arguments!r:.80}")
    said = dict(keywords)
    if arguments:
        said["source"] = arguments[0]
    for name, value in said.items():
        if name not in Wanted.__match_args__:
            known = ", ".join(Wanted.__match_args__)
            raise WrongMark(f"a bpf marker has no argument {name!r}; there are {known}")
        if name in _MAPPINGS and not isinstance(value, Mapping):
            raise WrongMark(f"{name}={value!r:.80}: a mapping of names to values is needed")
        if name == "source" and not isinstance(value, str | os.PathLike | Object):
            raise WrongMark(f"a source is a path, C text or an Object, not {value!r:.80}")
        if name == "pcap" and not isinstance(value, str | os.PathLike):
            raise WrongMark(f"pcap={value!r:.80}: the path of a capture is needed")
    for name in ("engines", "autoload"):
        if name in said:
            said[name] = _names(name, said[name])
    if said.get("engines") == ():
        raise WrongMark("engines=(): at least one is needed")
    return said


def _names(name: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Iterable) or isinstance(names, Mapping):
        raise WrongMark(f"{name}={value!r:.80}: a list of names is needed")
    names = tuple(names)
    if not all(isinstance(each, str) for each in names):
        raise WrongMark(f"{name}={value!r:.80}: a list of names is needed")
    return names
