"""The suite of all engines: an object, loaded into each engine that is there.

A test that meets something that the engine declares to lack (`Engine.lacks`) is skipped with
the reason; what an engine lacks without declaring it fails.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import osmia
from osmia.engine import registry
from osmia.engine.protocol import Engine

HERE = Path(__file__).parent
ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm", "mock"]

Load = Callable[..., osmia.LoadedObject]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    except osmia.NotSupportedError as error:
        name = str(getattr(item, "funcargs", {}).get("engine_name", ""))
        if name and error.capability in registry.find(name).lacks:
            pytest.skip(f"the engine {name!r} declares it: {error}")
        raise


@pytest.fixture(scope="session", autouse=True)
def third_engine() -> Iterator[None]:
    """The package in `package/` is installed: its entry point leads to the engine "mock"."""
    sys.path.append(str(HERE / "package"))
    yield
    sys.path.remove(str(HERE / "package"))


def ingress(data: bytes, ctx: Any, variables: Any) -> osmia.RunResult:
    """What the program does, for the engine that runs Python functions."""
    variables["packets"] += 1
    if len(data) < 14 or len(data) > variables["longest"]:
        return osmia.RunResult(1, data)
    context = struct.pack("<6I", 0, len(data), 0, 1, 0, 0)
    return osmia.RunResult(2, b"\xab" + data[1:], context, 0, None, xdp_md)


def xdp_md(context: bytes) -> Any:
    names = ("data", "data_end", "data_meta", "ingress_ifindex", "rx_queue_index", "egress_ifindex")
    return SimpleNamespace(**dict(zip(names, struct.unpack("<6I", context), strict=True)))


def add(data: bytes, ctx: Any, variables: Any) -> osmia.RunResult:
    left, right, _ = struct.unpack("<3Q", ctx)
    return osmia.RunResult(7, b"", struct.pack("<3Q", left, right, left + right))


#: What single engines are given to run the suite's object.
OPTIONS: dict[str, dict[str, Any]] = {"mock": {"answers": {"ingress": ingress, "add": add}}}


@pytest.fixture(scope="session")
def compiled() -> osmia.Object:
    return osmia.compile(HERE / "suite.bpf.c")


@pytest.fixture
def obj(compiled: osmia.Object) -> osmia.Object:
    """The suite's object, for a test to change."""
    return compiled.copy()


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def engine(engine_name: str) -> Engine:
    return registry.find(engine_name)


@pytest.fixture
def load(engine_name: str, obj: osmia.Object) -> Iterator[Load]:
    """Load the object, or another one, with options; closed when the test is over."""
    with ExitStack() as stack:

        def load(other: osmia.Object | None = None, **options: Any) -> osmia.LoadedObject:
            return stack.enter_context(
                (other or obj).load(engine_name, **OPTIONS.get(engine_name, {}), **options)
            )

        yield load
