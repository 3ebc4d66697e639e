"""Attaching a tool's programs: where a kernel lacks something, and what is left then."""

from __future__ import annotations

import pytest

import osmia
from osmia.errors import NotSupportedError
from osmia.kernel.inventory import iterate
from osmia.tools import running
from osmia.tools.running import Summary, attached

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
const volatile int setting = 1;
SEC("tp/sched/sched_switch") int tools_there(void *ctx) { return setting; }
SEC("tp/sched/no_such_thing") int tools_missing(void *ctx) { return setting; }
"""


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "open_program", lambda name: osmia.compile(SOURCE))


@pytest.mark.kernel
def test_what_a_kernel_lacks_is_said_and_nothing_stays() -> None:
    lacking = pytest.raises(NotSupportedError, match="no tracepoint sched:no_such_thing")
    with lacking, attached("any", {}):
        pass
    assert not [each for each in iterate.programs() if each.name.startswith("tools_")]


@pytest.mark.kernel
def test_what_is_optional_is_left_out() -> None:
    with attached("any", {"setting": 7}, optional=["tools_missing"]) as loaded:
        assert loaded.data["setting"] == 7
        assert list(loaded.links)


@pytest.mark.kernel
def test_what_is_not_wanted_is_not_loaded() -> None:
    with attached("any", {}, without=["tools_missing"]) as loaded:
        assert list(loaded.programs) == ["tools_there"]


def test_reports_are_of_what_came_since_the_last() -> None:
    now = {"a": {"n": 1, "ms": 0.5}}
    summary = Summary("key", "", lambda: {key: dict(count) for key, count in now.items()}, top=2)
    assert summary.report() == {"a": {"n": 1, "ms": 0.5}}
    assert summary.report() == {}
    now["a"] = {"n": 3, "ms": 0.75}
    now |= {"b": {"n": 9, "ms": 1}, "c": {"n": 1, "ms": 9}}
    assert list(summary.report().items()) == [("b", now["b"]), ("a", {"n": 2, "ms": 0.25})]
