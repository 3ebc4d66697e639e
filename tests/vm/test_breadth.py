"""What is published loads in the vm: made-up objects of each family, and what they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import NotSupportedError
from osmia.vm.errors import ProgramFault

CORPUS = Path(__file__).parents[1] / "differential" / "corpus"
TOOLS = Path(__file__).parents[2] / "tools"
pytestmark = pytest.mark.slow

#: What the families ask a test for; every other one runs on what the vm has.
ANSWERS = {
    "conntrack": {"bpf_ct_release", "bpf_skb_ct_lookup", "bpf_xdp_ct_lookup"},
    "connect": {"bpf_setsockopt"},
    "counters": {"bpf_perf_event_read", "bpf_perf_event_read_value"},
    "router": {"bpf_fib_lookup"},
    "stacks": {"bpf_get_stack"},
    "sysctl": {"bpf_sysctl_get_name", "bpf_sysctl_get_new_value"},
}
#: Reads of user memory are answered where the vm has none.
OF_USERS = {"bpf_probe_read_user", "bpf_probe_read_user_str", "bpf_probe_read_str"}


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    import vm_breadth

    return vm_breadth


def test_every_family_loads_and_asks_for_no_more_than_is_said(tools: Any, tmp_path: Path) -> None:
    from public_style import FAMILIES

    found = list(tools.survey(tools.made(len(FAMILIES), 0, tmp_path)))
    assert [each.name for each in found if each.refusal] == []
    for each in found:
        family = each.name.rpartition("_")[0]
        assert set(each.answers) - OF_USERS <= ANSWERS.get(family, set()), family
    assert f"{len(found)} objects, {len(found)} load" in tools.report(found)


def test_a_variable_of_the_kernels_ends_the_run_that_comes_by() -> None:
    obj = osmia.compile(CORPUS / "ksyms_typed.bpf.c")
    with obj.load(engine="vm") as bpf:
        program = bpf.programs["variables"]
        for executor in ("interpreter", "generated", "jit"):
            with pytest.raises(ProgramFault, match="the vm has no kernel variable runqueues"):
                program.run(executor=executor)
    with pytest.raises(NotSupportedError, match="the vm has no kernel variable runqueues"):
        obj.load(engine="vm", strict_helpers=True)


def test_the_same_seed_makes_the_same_sources(tools: Any) -> None:
    from public_style import sources

    assert dict(sources(60, 5)) == dict(sources(60, 5))
    assert len({text for _, text in sources(60, 5)}) > 55
