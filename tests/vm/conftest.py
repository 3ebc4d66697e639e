"""A small vm for each test, on both executors where a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from osmia.vm.engine import Vm


@pytest.fixture
def vm() -> Iterator[Vm]:
    with Vm(memory=1 << 25, cpus=2) as machine:
        yield machine


@pytest.fixture(params=["interpreter", "generated", "jit"])
def executor(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["python", "compiled"])
def any_vm(request: pytest.FixtureRequest) -> Iterator[Vm]:
    """A vm whose native functions run as Python, and one where they are compiled."""
    with Vm(memory=1 << 25, cpus=2, jit=request.param == "compiled") as machine:
        if request.param == "compiled":
            machine.need_jit()
        yield machine
