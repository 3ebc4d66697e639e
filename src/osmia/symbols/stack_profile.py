"""How often, or for how long, threads were where: stacks with names and a value each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from osmia.files import write_whole
from osmia.named_tuples import NamedTuple
from osmia.records import dataclass, field
from osmia.symbols.frames import Frame


class Sample(NamedTuple):
    """A stack, innermost frame first, and its value; `process` is the name of whose it is."""

    frames: tuple[Frame, ...]
    value: int
    process: str = ""


@dataclass(frozen=True)
class StackProfile:
    """Stacks and their values, to be written as what others show.

    `unit` is what values count: "samples", "ns", "events". `started_ns` is when it began, in ns
    since 1970, `duration_ns` how long it took, `period_ns` the time between samples; 0 where
    that says nothing.
    """

    samples: Sequence[Sample]
    unit: str = "samples"
    title: str = "osmia"
    started_ns: int = 0
    duration_ns: int = 0
    period_ns: int = 0
    notes: Sequence[str] = field(default_factory=tuple)
    """What a reader should know: what was lost."""

    @property
    def total(self) -> int:
        """The values of all stacks together."""
        return sum(each.value for each in self.samples)

    def folded(self) -> str:
        """Folded text: a line for each stack, "process;outermost;…;innermost value"."""
        from osmia.symbols.folded import folded

        return folded(self.samples)

    def flame_graph(self) -> str:
        """A flame graph, an SVG picture that a browser lets zoom and search."""
        from osmia.symbols.flame_graph import svg

        return svg(self)

    def flame_graph_page(self) -> str:
        """The same as an HTML page."""
        from osmia.symbols.flame_graph import html_page

        return html_page(self)

    def pprof(self) -> bytes:
        """For `pprof` and what reads its files: a compressed protocol buffer."""
        from osmia.symbols.pprof import pprof

        return pprof(self)

    def speedscope(self) -> str:
        """For speedscope.app: JSON."""
        from osmia.symbols.speedscope import speedscope

        return speedscope(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file of the kind that its name ends with, one of FORMATS, whole or not at
        all. ValueError for other endings."""
        form = format_of(path)
        made = form(self)
        content = made if isinstance(made, bytes) else made.encode("utf-8", "replace")
        write_whole(Path(path), content)

    def top(self) -> list[tuple[str, int, int]]:
        """Of each function its name, the values of stacks that end in it, and those of stacks
        that it is in; largest first."""
        alone: dict[str, int] = {}
        within: dict[str, int] = {}
        for sample in self.samples:
            labels = [each.label for each in sample.frames] or [sample.process]
            alone[labels[0]] = alone.get(labels[0], 0) + sample.value
            for label in set(labels):
                within[label] = within.get(label, 0) + sample.value
        rows = [(label, alone.get(label, 0), value) for label, value in within.items()]
        return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))


#: What a profile is written as, by the end of a file's name.
FORMATS: dict[str, Callable[[StackProfile], str | bytes]] = {
    ".svg": StackProfile.flame_graph,
    ".html": StackProfile.flame_graph_page,
    ".folded": StackProfile.folded,
    ".txt": StackProfile.folded,
    ".pb.gz": StackProfile.pprof,
    ".json": StackProfile.speedscope,
}


def format_of(path: str | os.PathLike[str]) -> Callable[[StackProfile], str | bytes]:
    """The format that a file's name says. ValueError where it says none."""
    name = os.fspath(path)
    for ending, form in FORMATS.items():
        if name.endswith(ending):
            return form
    raise ValueError(f"{name}: a name that ends with one of {', '.join(FORMATS)} says the format")


def outermost_first(sample: Sample) -> Iterable[Frame]:
    """The frames of a sample from the outermost on, its process before them."""
    if sample.process:
        yield Frame(0, sample.process, "process")
    yield from reversed(sample.frames)
