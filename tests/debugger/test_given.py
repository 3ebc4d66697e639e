"""Sessions take what `Program.run` takes: objects, packets in pieces; what not, is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.debugger import Session, StopReason
from osmia.errors import NotSupportedError

from .conftest import Begin

ITERATOR = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
__u64 sum;
int again;
SEC("iter/bpf_map_elem") int elements(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 both[2];

	if (!ctx->key || !ctx->value)
		return 0;
	both[0] = *(__u32 *)ctx->key;
	both[1] = *(__u64 *)ctx->value;
	sum += both[1];
	bpf_seq_write(ctx->meta->seq, both, sizeof(both));
	return again;
}
"""
PIECES = """
SEC("xdp.frags") int prog(struct xdp_md *ctx) { return ctx->data_end - ctx->data; }
"""


@pytest.fixture(scope="module")
def iterator() -> osmia.Object:
    return osmia.compile(ITERATOR)


@pytest.fixture
def bpf(iterator: osmia.Object) -> Iterator[Any]:
    with iterator.load("vm") as loaded:
        for key in range(3):
            loaded.maps["counts"][key] = 100 + key
        yield loaded


def begun(bpf: Any, **options: Any) -> Session:
    session: Session = bpf.programs["elements"].session(objects=bpf.maps["counts"], **options)
    return session


def test_an_iterators_objects_are_gone_through_in_one_session(bpf: Any) -> None:
    expected = bpf.programs["elements"].run(objects=bpf.maps["counts"]).data
    bpf.data["sum"] = 0
    with begun(bpf) as session:
        session.break_at(function="elements")
        sums = [session.data["sum"]]
        while session.continue_().reason is StopReason.BREAKPOINT:
            sums.append(session.data["sum"])
        assert sums == [0, 100, 201, 303]
        assert session.result is not None and session.result.data == expected
        session.reverse_continue()
        session.reverse_continue()
        assert session.data["sum"] == 201
        session.data["sum"] = 0
        while session.continue_().reason is not StopReason.END:
            pass
        assert session.data["sum"] == 102 and session.result.data == expected
    assert not bpf.vm.sequences


def test_an_object_that_is_asked_for_again_is_a_fault(bpf: Any) -> None:
    with begun(bpf) as session:
        bpf.data["again"] = 1
        stop = session.continue_()
        assert stop.fault is not None and "shown again" in stop.fault.message
        assert session.frames


def test_what_objects_make_is_not_given_too(bpf: Any, begin: Begin) -> None:
    with pytest.raises(ValueError, match="cannot be given too"):
        begun(bpf, ctx=bytes(8))
    with pytest.raises(NotSupportedError, match="no iterator"):
        begin(PIECES, b"", objects=[1])
    assert not bpf.vm.sequences


def test_only_the_first_bytes_of_a_packet_are_linear(begin: Begin) -> None:
    session = begin(PIECES, bytes(200), linear=80)
    assert session.evaluate("ctx->data_end - ctx->data") == 80
    result = session.continue_().result
    assert result is not None and result.retval == 80 and len(result.data) == 200
    session.restart(bytes(300))
    assert session.evaluate("ctx->data_end - ctx->data") == 80


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("repeat", "a session takes no repeat=: it is one run"),
        ("executor", "a session takes no executor=: what is stepped through is interpreted"),
        ("hook", "a session takes no hook=: it stands still where it is told to"),
        ("budgt", "a session has no option 'budgt'; did you mean 'budget'"),
    ],
)
def test_what_makes_no_sense_says_why(begin: Begin, option: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        begin(PIECES, **{option: 3})
