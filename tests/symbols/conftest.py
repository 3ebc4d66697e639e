"""Programs that say where their functions are, running while a test looks at them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "sources"


class Running:
    """A program of `sources` that runs: the addresses it printed, by name."""

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            [str(each) for each in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.places: dict[str, int] = {}

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self, until: str) -> int:
        """Lines "name value" up to the one of this name; its value."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, value = line.split()
            self.places[name] = int(value, 0)
            if name == until:
                return self.places[name]
        raise AssertionError(f"the program ended before it said {until!r}")

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with self.process:
            self.process.kill()


Compile = Callable[..., Path]
Start = Callable[..., Running]


@pytest.fixture
def build(tmp_path: Path) -> Compile:
    """Compile a source with gcc's options to a program: build("places.c", "-O2", name="x")."""

    def compile_it(source: str, *options: str, name: str = "program") -> Path:
        path = tmp_path / name
        compiler = "g++" if source.endswith(".cpp") else "gcc"
        command: list[str | Path] = [compiler, "-o", path, SOURCES / source, *options]
        subprocess.run(command, check=True, cwd=tmp_path)
        return path

    return compile_it


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program and read what it prints up to a name; it ends with the test."""
    with ExitStack() as undo:

        def run(*command: str | Path, until: str = "pid") -> Running:
            running = Running(*command)
            undo.callback(running.stop)
            running.read(until)
            return running

        yield run
