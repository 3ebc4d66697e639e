"""`osmia.dispatch`: programs of several objects as one, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import osmia
from osmia.errors import ClosedError, LinkError
from osmia.object import Object

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
    __type(value, __u64); }} counts SEC(".maps");
int seen;
static __attribute__((noinline)) int count(struct xdp_md *ctx)
{{
    __u32 key = 0;
    __u64 *value = bpf_map_lookup_elem(&counts, &key);
    if (value)
        ++*value;
    seen += {number};
    return ctx->data_end - ctx->data;
}}
SEC("{section}") int prog(struct xdp_md *ctx)
{{
    return count(ctx) == {drops} ? XDP_DROP : {verdict};
}}
char LICENSE[] SEC("license") = "{license}";
"""
PASS, DROP, TX = 2, 1, 3


def compiled(number: int, **changes: Any) -> Object:
    """A program that counts, drops packets of 60 + `number` bytes, and passes others."""
    settings = {"section": "xdp", "verdict": "XDP_PASS", "license": "GPL", "drops": 60 + number}
    return osmia.compile(source=SOURCE.format(number=number, **(settings | changes)))


Loader = Callable[..., Any]


@pytest.fixture(params=["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def load(request: pytest.FixtureRequest) -> Iterator[Loader]:
    with ExitStack() as held:
        options: dict[str, Any] = {}
        if request.param == "vm":
            options["vm"] = held.enter_context(osmia.Vm())

        def made(number: int, **changes: Any) -> Any:
            return held.enter_context(compiled(number, **changes).load(request.param, **options))

        yield made


def test_programs_run_in_order_until_one_decides(load: Loader) -> None:
    first, second = load(1), load(2, verdict="XDP_TX")
    with osmia.dispatch([first, (second, "prog")]) as dispatch:
        assert dispatch.run(bytes(64)).retval == TX
        assert dispatch.run(bytes(61)).retval == DROP
        assert dispatch.run(bytes(62)).retval == DROP
    assert (first.data["seen"], second.data["seen"]) == (3, 4)
    assert (first.maps["counts"][0], second.maps["counts"][0]) == (3, 2)


def test_verdicts_to_proceed_on_are_told(load: Loader) -> None:
    first, second = load(1, verdict="XDP_TX"), load(2)
    with osmia.dispatch([first, second]) as dispatch:
        assert dispatch.run(bytes(64)).retval == TX
    with osmia.dispatch([first, second], proceed_on=["XDP_TX", DROP]) as dispatch:
        assert dispatch.run(bytes(64)).retval == PASS
        assert dispatch.run(bytes(61)).retval == PASS


def test_programs_are_put_in_and_taken_out(load: Loader) -> None:
    first, second, third = load(1), load(2), load(3)
    with osmia.dispatch([first]) as dispatch:
        dispatch.append(third)
        dispatch.insert(1, second)
        assert dispatch.parts == ((first, "prog"), (second, "prog"), (third, "prog"))
        assert [dispatch.run(bytes(60 + n)).retval for n in range(5)] == [2, 1, 1, 1, 2]
        dispatch.remove(second)
        assert [dispatch.run(bytes(60 + n)).retval for n in range(5)] == [2, 1, 2, 1, 2]
        dispatch.replace([])
        assert dispatch.run(bytes(61)).retval == PASS
        with pytest.raises(ValueError, match="not in"):
            dispatch.remove(first)


def test_many_programs_are_no_limit(load: Loader) -> None:
    objects = [load(number) for number in range(1, 21)]
    with osmia.dispatch(objects) as dispatch:
        assert [dispatch.run(bytes(60 + n)).retval for n in (1, 20, 21)] == [DROP, DROP, PASS]
    assert objects[19].maps["counts"][0] == 2


def test_a_program_may_be_there_twice(load: Loader) -> None:
    first = load(1)
    with osmia.dispatch([first, first]) as dispatch:
        assert dispatch.run(bytes(64)).retval == PASS
    assert first.maps["counts"][0] == 2


def test_what_does_not_fit_is_refused(load: Loader) -> None:
    first = load(1)
    other = load(2, section="xdp.frags")
    with pytest.raises(LinkError, match="at least one"):
        osmia.dispatch([])
    with pytest.raises(KeyError, match="nope"):
        osmia.dispatch([(first, "nope")])
    with pytest.raises(TypeError, match="loaded object"):
        osmia.dispatch([first.programs["prog"]])
    with pytest.raises(ValueError, match="XDP_NOPE"):
        osmia.dispatch([first], proceed_on=["XDP_NOPE"])
    with pytest.raises(TypeError, match="in a list"):
        osmia.dispatch([first], proceed_on="XDP_PASS")
    with pytest.raises(LinkError, match="same flags"):
        osmia.dispatch([first, other])


def test_programs_of_other_types_are_refused(load: Loader) -> None:
    first, filtering = load(1), load(2, section="tc", verdict="0")
    with pytest.raises(LinkError, match="SCHED_CLS, not XDP"):
        osmia.dispatch([first, filtering])


def test_a_failed_change_leaves_it_as_it_was(load: Loader) -> None:
    first, second, third = load(1), load(2), load(3)
    with osmia.dispatch([first, second]) as dispatch:
        third.close()
        with pytest.raises(ClosedError):
            dispatch.append(third)
        assert len(dispatch.parts) == 2
        assert dispatch.run(bytes(62)).retval == DROP
    assert dispatch.closed
    with pytest.raises(ClosedError):
        dispatch.append(first)


def test_licenses_go_together(load: Loader) -> None:
    first, dual, own = load(1), load(2, license="Dual BSD/GPL"), load(3, license="Proprietary")
    with osmia.dispatch([first, dual]) as dispatch:
        assert dispatch.run(bytes(62)).retval == DROP
    with osmia.dispatch([first, own]) as dispatch:
        assert dispatch.run(bytes(63)).retval == DROP
    with pytest.raises(LinkError, match="do not go together"):
        osmia.dispatch([own, load(4, license="Other")])


@pytest.mark.kernel
def test_engines_are_not_mixed() -> None:
    with (
        compiled(1).load("vm") as first,
        compiled(2).load("kernel") as second,
        pytest.raises(LinkError, match="engine"),
    ):
        osmia.dispatch([first, second])
