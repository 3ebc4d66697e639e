"""The objects of a test session: each is compiled once, and loaded for each test anew."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import osmia
from osmia.engine.loaded import LoadedObject
from osmia.errors import NotSupportedError, RewriteError, VerifierError
from osmia.object import Object
from osmia.object.model import Pinning
from osmia.testing.recording import Recording
from osmia.testing.wanted import Wanted, WrongMark


class Session:
    """What tests of one process share: Objects as their sources gave them.

    >>> session = Session()
    >>> with session.loaded(Wanted("limit.bpf.c"), "vm", [directory]) as bpf: ...
    """

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Object] = {}
        self.recordings: dict[int, Recording] = {}
        """What the objects that are loaded now did, by their identity."""

    def object(self, wanted: Wanted, directories: list[Path]) -> Object:
        """A copy, for who changes it, of the Object that is wanted, with its data set.

        Relative paths are searched in `directories`. Raises WrongMark where there is no such
        file, KeyError for variables and programs that it has not, and what compiling raises.
        """
        obj = self._read(wanted, directories).copy()
        for name, value in wanted.data.items():
            obj.data[name] = value
        for name in wanted.autoload:
            obj.set_autoload(name)
        return obj

    @contextmanager
    def loaded(
        self, wanted: Wanted, engine: str, directories: list[Path], *, cover: bool = False
    ) -> Iterator[LoadedObject]:
        """The object in an engine; closed, and what it pinned by name removed, afterwards. With
        `cover` its runs can be counted, unless it loads without counters only."""
        obj = self.object(wanted, directories)
        options: dict[str, Any] = wanted.load_options(engine)
        pinned = any(each.pinning != Pinning.NONE for each in obj.maps.values())
        if cover and engine == "kernel":
            options.setdefault("cover", True)
        with ExitStack() as undo:
            if engine == "kernel" and pinned and "pin_root" not in options:
                options["pin_root"] = undo.enter_context(pin_directory())
            yield undo.enter_context(_load(obj, engine, options))

    def _read(self, wanted: Wanted, directories: list[Path]) -> Object:
        source = wanted.source
        if isinstance(source, Object):
            return source
        if not (isinstance(source, str) and "\n" in source):
            source = found(source, directories)
        key = str(source), repr(sorted(wanted.compile.items()))
        if key not in self._objects:
            compiles = not isinstance(source, Path) or source.suffix == ".c"
            self._objects[key] = (
                osmia.compile(source, **wanted.compile) if compiles else osmia.open(source)
            )
        return self._objects[key]


def _load(obj: Object, engine: str, options: dict[str, Any]) -> LoadedObject:
    try:
        return obj.load(engine=engine, **options)
    except (VerifierError, RewriteError, NotSupportedError):
        if not options.pop("cover", False):
            raise
        return obj.load(engine=engine, **options)


def found(source: str | os.PathLike[str], directories: list[Path]) -> Path:
    """The file that a relative path means. WrongMark where there is none."""
    for directory in directories:
        path = directory / source
        if path.exists():
            return path
    places = " nor in ".join(str(each) for each in dict.fromkeys(directories))
    raise WrongMark(f"there is no {os.fspath(source)!r} in {places}")


@contextmanager
def pin_directory() -> Iterator[Path]:
    """An empty directory of its own in a bpffs, removed with all pins in it."""
    from osmia.kernel.sys import pins

    directory = Path(pins.find_bpffs(mount=True)) / f"osmia-test-{os.getpid()}-{uuid.uuid4().hex}"
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
