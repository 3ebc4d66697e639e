"""`__arg_ctx` for kernels that do not know it: each program's own copies of function types."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.btf import BTF, FuncProto, Kind, Ptr
from osmia.kernel.sys.btf_objects import load_btf
from osmia.passes.context_arguments import with_context_types
from osmia.passes.stages import Prepared

SOURCE = Path(__file__).parents[1] / "differential" / "corpus" / "context_arguments.bpf.c"
CONTEXTS = {
    "probe": "bpf_user_pt_regs_t",
    "sample": "bpf_perf_event_data",
    "switched": "bpf_raw_tracepoint_args",
    "packet": "__sk_buff",
}


def context_of(btf: BTF, function: int) -> str:
    """The struct that the parameter `ctx` of a function points to."""
    prototype = btf.type(btf.type(function).type_id)  # type: ignore[union-attr]
    assert isinstance(prototype, FuncProto)
    (parameter,) = [p for p in prototype.parameters if p.name == "ctx"]
    pointer = btf.type(parameter.type_id)
    assert isinstance(pointer, Ptr)
    return btf.name_of(pointer.target)


@pytest.mark.kernel
def test_each_program_gets_functions_of_its_own_context() -> None:
    obj = osmia.compile(SOURCE)
    assert obj.btf is not None
    btf, copies = with_context_types(obj.btf, Prepared(obj), obj.programs.values())
    assert copies.keys() == CONTEXTS.keys()
    assert [len(copies[name]) for name in CONTEXTS] == [1, 2, 2, 2]
    for name, context in CONTEXTS.items():
        assert {context_of(btf, copy) for copy in copies[name].values()} == {context}
    originals = obj.btf.ids_of_kind(Kind.FUNC)
    assert [btf.type(i) for i in originals] == [obj.btf.type(i) for i in originals]
    load_btf(btf).close()


def test_objects_without_the_tag_stay_as_they_are() -> None:
    obj = osmia.compile("int f(int x) { return x; }\n")
    assert obj.btf is not None
    assert with_context_types(obj.btf, Prepared(obj), obj.programs.values()) == (obj.btf, {})
