"""The pytest plugin: the marker `bpf`, `--bpf-engine`, and the fixtures that need no import.

pytest imports this module in every run of every project that has osmia installed, so it imports
nothing of osmia before a test is collected that asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from osmia.engine.loaded import LoadedObject
    from osmia.testing.machine import Machine
    from osmia.testing.wanted import Wanted

_MARKERS = (
    "bpf(source, *, engines, data, pcap, autoload, compile, load, vm, kernel): what the fixture"
    " `bpf` loads, once for each engine (osmia)",
    "bpf_engine(name): set by osmia on tests that run in an engine",
)


#: What takes the output of tests, of each run of pytest that goes on in this process.
_captures: list[Any] = []


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    _leave_assertions(pluginmanager)
    group = parser.getgroup("osmia", "BPF programs")
    group.addoption(
        "--bpf-cov",
        action="append",
        default=[],
        metavar="FILE",
        help="write what tests reach: .info (lcov), .xml, .html, .txt, .coverage; -: print it",
    )
    group.addoption(
        "--bpf-cov-fail-under",
        type=float,
        metavar="PERCENT",
        help="fail if less of the branches is taken",
    )
    group.addoption(
        "--bpf-engine",
        default="all",
        metavar="ENGINE",
        help="run tests of BPF programs in this engine alone: vm, kernel; default: all",
    )


def pytest_configure(config: pytest.Config) -> None:
    capture = config.pluginmanager.getplugin("capturemanager")
    _captures.append(capture)
    config.add_cleanup(lambda: _captures.remove(capture))
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    files, least = config.getoption("bpf_cov"), config.getoption("bpf_cov_fail_under")
    if files or least is not None:
        from osmia.testing.covering import COVERING, Covering

        try:
            covering = Covering(config, files, least)
        except ValueError as error:
            raise pytest.UsageError(f"--bpf-cov: {error}") from None
        config.stash[COVERING] = covering
        config.pluginmanager.register(covering, "osmia-coverage")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `bpf` marker, once for each of its engines."""
    if "bpf" in metafunc.fixturenames and metafunc.definition.get_closest_marker("bpf"):
        from osmia.testing.fixtures import engine_params

        params = engine_params(_wanted(metafunc.definition).engines)
        metafunc.parametrize("bpf", params, indirect=True)
    if "bpf_packet" in metafunc.fixturenames:
        _parametrize_packets(metafunc)


def _parametrize_packets(metafunc: pytest.Metafunc) -> None:
    """A test that takes a packet, once for each of its marker's capture."""
    node = metafunc.definition
    wanted = _wanted(node) if node.get_closest_marker("bpf") else None
    if wanted is None or wanted.pcap is None:
        return
    from osmia.errors import OsmiaError
    from osmia.testing.fixtures import directories_of, packet_params

    try:
        params = packet_params(wanted, directories_of(node.path, metafunc.config))
    except (OsmiaError, OSError) as error:
        raise pytest.Collector.CollectError(f"{node.nodeid}: {error}") from None
    metafunc.parametrize("bpf_packet", params, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the engines that were not asked for; skip, with the reason, those not here."""
    engines = {id(item): mark.args[0] for item, mark in _in_engines(items)}
    if not engines:
        return
    from osmia.testing.engines import why_not

    wanted = config.getoption("bpf_engine")
    try:
        known = engines.values() if wanted == "all" else [wanted]
        reasons = {engine: why_not(engine) for engine in dict.fromkeys(known)}
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    others = [item for item in items if engines.get(id(item), wanted) not in reasons]
    if wanted != "all" and others:
        items[:] = [item for item in items if engines.get(id(item), wanted) in reasons]
        config.hook.pytest_deselected(items=others)
    for item, mark in _in_engines(items):
        if reason := reasons[mark.args[0]]:
            item.add_marker(pytest.mark.skip(reason=f"engine {mark.args[0]!r}: {reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test's report tells of its programs' last runs."""
    report = yield
    if report.failed and call.when == "call" and isinstance(item, pytest.Function):
        fixtures = sys.modules.get("osmia.testing.fixtures")  # no test was given anything without
        if fixtures is not None:
            report.sections += fixtures.reports(item)
    return report


@pytest.fixture
def bpf(request: pytest.FixtureRequest) -> Iterator[LoadedObject]:
    """What the test's `bpf` marker names, loaded; closed and unpinned afterwards."""
    if not hasattr(request, "param"):
        pytest.fail("the fixture 'bpf' needs a marker: @pytest.mark.bpf('x.bpf.c')", pytrace=False)
    from osmia.testing.fixtures import loading

    with loading(request, _wanted(request.node)) as loaded:
        yield loaded


@pytest.fixture
def bpf_packet(request: pytest.FixtureRequest) -> bytes:
    """A packet of the capture that the test's `bpf` marker names: the test runs for each."""
    if not hasattr(request, "param"):
        hint = "@pytest.mark.bpf('x.bpf.c', pcap='x.pcap')"
        pytest.fail(f"the fixture 'bpf_packet' needs a capture: {hint}", pytrace=False)
    packet: bytes = request.param
    return packet


@pytest.fixture
def bpf_machine(bpf: LoadedObject) -> Machine:
    """Time, random numbers and the CPU's number as `bpf` sees them, to be set; in a vm alone: on
    other engines the test is skipped."""
    from osmia.errors import NotSupportedError
    from osmia.testing.machine import Machine

    try:
        return Machine(bpf)
    except NotSupportedError as error:
        pytest.skip(str(error))


@pytest.fixture
def bpf_pins() -> Iterator[Path]:
    """An empty directory in a bpffs, removed afterwards with all pins in it."""
    from osmia.testing.loading import pin_directory

    with pin_directory() as directory:
        yield directory


def _leave_assertions(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let osmia be imported as it is everywhere else.

    pytest parses each module of a package that brings a plugin, to explain its assertions. That
    takes more time than importing them, and CPython 3.11 fails where two threads parse
    ("recursion depth mismatch"), as the vm's compiler does beside its user. There is no public
    way to decline; should the names be others one day, modules are parsed again.
    """
    hook = pluginmanager.rewrite_hook
    getattr(hook, "_must_rewrite", set()).discard("osmia")
    getattr(hook, "_marked_for_rewrite_cache", {}).clear()


def _in_engines(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Mark]]:
    for item in items:
        mark = item.get_closest_marker("bpf_engine")
        if mark is not None:
            yield item, mark


@contextmanager
def uncaptured() -> Iterator[None]:
    """Standard input and output as they were before pytest took them: for who talks to people in
    the middle of a test (`Program.debug`)."""
    capture = _captures[-1] if _captures else None
    if capture is None:
        yield
        return
    capture.suspend(in_=True)
    try:
        yield
    finally:
        capture.resume()


def _wanted(node: pytest.Item) -> Wanted:
    from osmia.testing.wanted import WrongMark, wanted_by

    try:
        return wanted_by([(mark.args, mark.kwargs) for mark in node.iter_markers("bpf")])
    except WrongMark as error:
        raise pytest.Collector.CollectError(f"{node.nodeid}: {error}") from None
