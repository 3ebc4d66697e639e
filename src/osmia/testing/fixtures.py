"""Fixtures that load objects: the one that markers ask for, and those that a factory makes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from osmia.engine.loaded import LoadedObject
from osmia.errors import OsmiaError
from osmia.object import Object
from osmia.testing.loading import Session, found
from osmia.testing.recording import Recording
from osmia.testing.report import report
from osmia.testing.wanted import Wanted, WrongMark, wanted_by

if TYPE_CHECKING:
    from osmia.testing.covering import Covering

_SESSION = pytest.StashKey[Session]()

Scope = Literal["function", "class", "module", "package", "session"]


def engine_params(engines: Sequence[str]) -> list[Any]:
    """A parameter for each engine; its mark is what the plugin skips and selects by."""
    return [
        pytest.param(engine, marks=pytest.mark.bpf_engine(engine), id=engine) for engine in engines
    ]


def packet_params(wanted: Wanted, directories: list[Path]) -> list[Any]:
    """A parameter for each packet of the capture that is wanted. Their ids are the same wherever
    the capture is: the number, from 1, and a sum of the bytes. WrongMark, OsmiaError."""
    from zlib import crc32

    from osmia.captures.packets import read_packets

    assert wanted.pcap is not None
    packets = read_packets(found(wanted.pcap, directories))
    return [
        pytest.param(data, id=f"packet{number}-{crc32(data):08x}")
        for number, (_, data) in enumerate(packets, 1)
    ]


def bpf_fixture(
    source: str | os.PathLike[str] | Object,
    *,
    engines: Sequence[str] | str | None = None,
    data: Mapping[str, Any] | None = None,
    scope: Scope = "function",
    **others: Any,
) -> Any:
    """A fixture that gives `source` loaded, once for each engine.

    >>> limiter = bpf_fixture("limit.bpf.c", data={"limit": 3})
    >>> def test_it_passes(limiter): ...

    Arguments are those of the marker `bpf`, see `osmia.testing.wanted.Wanted`; `scope` is
    pytest's: who loads for a whole module shares its maps. WrongMark for arguments that there
    are not.
    """
    if "pcap" in others:
        raise WrongMark("pcap= is for markers: the fixture bpf_packet has the packets")
    said = {"engines": engines, "data": data}
    wanted = wanted_by(
        [((source,), {**others, **{name: v for name, v in said.items() if v is not None}})]
    )

    @pytest.fixture(scope=scope, params=engine_params(wanted.engines))
    def loaded(request: pytest.FixtureRequest) -> Iterator[LoadedObject]:
        with loading(request, wanted) as bpf:
            yield bpf

    return loaded


@contextmanager
def loading(request: pytest.FixtureRequest, wanted: Wanted) -> Iterator[LoadedObject]:
    """What is wanted in the engine that the request's parameter names.

    What cannot be loaded fails the test with osmia's words alone: the traceback has nothing of
    the test in it.
    """
    session = request.config.stash.setdefault(_SESSION, Session())
    covering = _covering(request)
    context = session.loaded(
        wanted, request.param, _directories(request), cover=covering is not None
    )
    problem = ""
    try:
        bpf = context.__enter__()
    except (OsmiaError, KeyError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:  # outside of the handler: what was raised before is no cause to show
        pytest.fail(problem, pytrace=False)
    recording = session.recordings[id(bpf)] = Recording(bpf)
    recording.record()
    try:
        with covering.covered(bpf) if covering is not None else nullcontext():
            yield bpf
    finally:
        del session.recordings[id(bpf)]
        context.__exit__(None, None, None)


def reports(item: pytest.Function) -> list[tuple[str, str]]:
    """What there is to say of the objects that a test has: titles and texts."""
    recordings = item.config.stash.setdefault(_SESSION, Session()).recordings
    found = []
    for name, value in item.funcargs.items():
        recording = recordings.get(id(value))
        if recording is not None and (text := report(recording)):
            found.append((f"BPF: {name}, object {recording.bpf.name!r}", text))
    return found


def _covering(request: pytest.FixtureRequest) -> Covering | None:
    """What counts, where `--bpf-cov` asks for it."""
    if not request.config.pluginmanager.has_plugin("osmia-coverage"):
        return None
    from osmia.testing.covering import COVERING

    return request.config.stash[COVERING]


def _directories(request: pytest.FixtureRequest) -> list[Path]:
    return directories_of(request.node.path, request.config)


def directories_of(path: Path, config: pytest.Config) -> list[Path]:
    """Where relative paths are searched: beside the test, then at pytest's root."""
    return [path if path.is_dir() else path.parent, config.rootpath]
