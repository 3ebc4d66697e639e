"""The suite of all engines: an object, loaded into each engine that is there.

A test that meets something that the engine declares to lack (`Engine.lacks`) is skipped with
the reason; what an engine lacks without declaring it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.engine import registry
from osmia.engine.protocol import Engine

HERE = Path(__file__).parent
ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]

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
            return stack.enter_context((other or obj).load(engine_name, **options))

        yield load
