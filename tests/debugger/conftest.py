"""Sessions on small programs in C, compiled once a test run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.debugger import Session
from osmia.object.model import Object

HEAD = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""

Begin = Callable[..., Session]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Object]:
    """C source, behind the usual includes, as an object."""
    held: dict[str, Object] = {}

    def compile_(source: str) -> Object:
        if source not in held:
            path: Path = tmp_path_factory.mktemp("debugger") / "prog.bpf.c"
            path.write_text(HEAD + source)
            held[source] = osmia.compile(path)
        return held[source]

    return compile_


@pytest.fixture
def begin(compiled: Callable[[str], Object]) -> Iterator[Begin]:
    """Begins a session on a program of a source: the only one, or that of a name."""
    with ExitStack() as undo:

        def begin_(
            source: str,
            data: bytes = bytes(64),
            program: str = "",
            helpers: Any = None,
            **rest: Any,
        ) -> Session:
            loaded = undo.enter_context(compiled(source).load("vm", helpers=helpers))
            found = loaded.programs[program or next(iter(loaded.programs))]
            return undo.enter_context(found.session(data, **rest))

        yield begin_


def line_of(source: str, text: str) -> int:
    """The number of the line of a source, behind `HEAD`, that has a text."""
    lines = (HEAD + source).splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return found
