"""A dispatcher that changes while packets come in: none passes that all of them would drop."""

from __future__ import annotations

import threading

import pytest

import osmia

from .conftest import Network

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
unsigned long long seen;
SEC("xdp") int prog(struct xdp_md *ctx)
{{
    __sync_fetch_and_add(&seen, 1);
    return {verdict};
}}
char LICENSE[] SEC("license") = "GPL";
"""
CHANGES = 40


def compiled(verdict: str) -> osmia.Object:
    return osmia.compile(source=SOURCE.format(verdict=verdict))


def test_no_packet_passes_unfiltered_while_programs_come_and_go(network: Network) -> None:
    """The guard drops everything, at changing places; behind it somebody counts what passes."""
    sent = 0
    done = threading.Event()

    def traffic() -> None:
        nonlocal sent
        while not done.is_set():
            network.send(50)
            sent += 50

    with (
        compiled("XDP_PASS").load() as counting,
        compiled("XDP_DROP").load() as guard,
        compiled("XDP_PASS").load() as passed,
        osmia.dispatch([counting, guard, passed]) as dispatch,
    ):
        link = dispatch.attach(network.left)
        sender = threading.Thread(target=traffic)
        sender.start()
        try:
            for number in range(CHANGES):
                dispatch.replace(
                    [guard, passed] if number % 2 else [counting, counting, guard, passed]
                )
            before = guard.data["seen"]
            while guard.data["seen"] < before + 200:
                pass
        finally:
            done.set()
            sender.join()
        assert passed.data["seen"] == 0
        assert guard.data["seen"] == sent > 200
        assert counting.data["seen"] > 0
        assert link.info.program_id == dispatch.program.id
        assert not link.closed
    assert link.closed


def test_links_end_with_the_dispatcher(network: Network) -> None:
    with compiled("XDP_PASS").load() as counting:
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
    text = SOURCE.replace("xdp_md", "__sk_buff").replace('"xdp"', '"tc"')
    first, second = (osmia.compile(source=text.format(verdict=verdict)) for verdict in ("-1", "2"))
    with first.load() as one, second.load() as two, osmia.dispatch([one, two, one]) as dispatch:
        dispatch.attach(network.left, direction="ingress")
        network.send(5)
        assert (one.data["seen"], two.data["seen"]) == (5, 5)
