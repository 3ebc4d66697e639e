"""A dispatcher that changes while packets come in: none passes its filter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

import osmia

from .conftest import Network

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
unsigned long long seen;
SEC("{section}") int prog(struct {context} *ctx)
{{
    __sync_fetch_and_add(&seen, 1);
    return {verdict};
}}
char LICENSE[] SEC("license") = "GPL";
"""
CHANGES = 40
XDP_PASS = 2


def sees_more(loaded: osmia.LoadedObject, before: int) -> bool:
    return bool(loaded.data["seen"] > before)


def compiled(verdict: int, section: str = "xdp") -> osmia.Object:
    context = "xdp_md" if section == "xdp" else "__sk_buff"
    return osmia.compile(source=SOURCE.format(verdict=verdict, section=section, context=context))


@pytest.mark.parametrize(("section", "passing", "dropping"), [("xdp", 2, 1), ("tc", -1, 2)])
def test_no_packet_passes_unfiltered_while_the_filter_is_replaced(
    network: Network, section: str, passing: int, dropping: int
) -> None:
    """Two filters that drop everything take turns, at changing places: each packet is seen by
    one of them, also those that come in while the programs change, and by nobody behind."""
    sent = 0
    done = threading.Event()

    def traffic() -> None:
        nonlocal sent
        while not done.is_set():
            network.send(50)
            sent += 50

    def filtered() -> int:
        return int(filters[0].data["seen"] + filters[1].data["seen"])

    def wait_for(ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not ready():
            assert time.monotonic() < deadline

    with (
        compiled(passing, section).load() as counting,
        compiled(dropping, section).load() as first,
        compiled(dropping, section).load() as second,
        compiled(passing, section).load() as behind,
        osmia.dispatch([counting, first, behind]) as dispatch,
    ):
        filters = (first, second)
        way = {"direction": "ingress"} if section == "tc" else {}
        link = dispatch.attach(network.left, **way)
        sender = threading.Thread(target=traffic)
        sender.start()
        try:
            for number in range(CHANGES):
                now = filters[number % 2]
                before = now.data["seen"]
                parts = [now, behind] if number % 3 else [counting, counting, now, behind]
                dispatch.replace(parts)
                wait_for(partial(sees_more, now, before))  # under traffic
        finally:
            done.set()
            sender.join()
        wait_for(lambda: filtered() >= sent)
        assert filtered() == sent >= CHANGES
        assert behind.data["seen"] == 0
        assert counting.data["seen"] > 0
        assert link.info.program_id == dispatch.program.id
        assert not link.closed
        dispatch.replace([counting, behind])  # and without a filter they would get there
        network.send(5)
        wait_for(lambda: behind.data["seen"] == 5)
    assert link.closed


def test_links_end_with_the_dispatcher(network: Network) -> None:
    with compiled(XDP_PASS).load() as counting:
        dispatch = osmia.dispatch([counting])
        link = dispatch.attach(network.left)
        link.close()
        dispatch.append(counting)  # a link that was closed is nobody's to update
        again = dispatch.attach(network.left)
        network.send(3)
        dispatch.close()
        assert again.closed
        network.send(3)
        assert counting.data["seen"] == 6


def test_programs_of_tc_are_dispatched_to(network: Network) -> None:
    first, second = (compiled(verdict, "tc") for verdict in (-1, 2))
    with first.load() as one, second.load() as two, osmia.dispatch([one, two, one]) as dispatch:
        dispatch.attach(network.left, direction="ingress")
        network.send(5)
        assert (one.data["seen"], two.data["seen"]) == (5, 5)
