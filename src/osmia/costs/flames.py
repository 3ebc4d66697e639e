"""Costs as stacks: programs and functions, the source line, what is called there."""

from __future__ import annotations

from pathlib import PurePath

from osmia.costs.model import Costs, Path
from osmia.symbols.frames import Frame
from osmia.symbols.stack_profile import Sample, StackProfile


def profile(costs: Costs, title: str = "osmia prog profile") -> StackProfile:
    """For flame graphs, pprof and speedscope: ns by stack, a fraction of one counted as one."""
    samples = [
        Sample(tuple(_frames(path)), max(1, round(path.ns))) for path in costs.paths if path.ns
    ]
    return StackProfile(samples, "ns", title, duration_ns=costs.measured_ns or 0)


def _frames(path: Path) -> list[Frame]:
    """Innermost first."""
    frames = [Frame(0, path.call, "kernel")] if path.call else []
    file, number = "", 0
    if path.line is not None:
        file, number = path.line.file, path.line.line
        name = f"{PurePath(file).name}:{number} {path.line.text.strip()}"
        frames.append(Frame(0, name, "bpf", 0, file, number))
    frames += [Frame(0, name, "bpf", 0, file) for name in reversed(path.functions)]
    return frames
