"""The limiter lets each source have its packets, and no more."""

import socket
import struct
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osmia.testing.strategies import packets

pytestmark = pytest.mark.bpf("limit.bpf.c", data={"limit": 2})
PASS, DROP = "XDP_PASS", "XDP_DROP"


def packet_from(source):
    """An Ethernet frame of IPv4 and nothing else."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20, 0, 0, 64, 17, 0, source, bytes(4))
    return bytes(12) + b"\x08\x00" + ip + bytes(26)


A, B = (packet_from(socket.inet_aton(each)) for each in ("10.0.0.1", "10.0.0.2"))


def test_what_is_over_the_limit_is_dropped_and_told_of(bpf):
    run = bpf.programs["limiter"].run
    assert [run(A).verdict for _ in range(4)] == [PASS, PASS, DROP, DROP]
    told = bpf.maps["refusals"].read()
    assert [
        (socket.inet_ntoa(each.source.to_bytes(4, sys.byteorder)), each.packets) for each in told
    ] == [("10.0.0.1", 3), ("10.0.0.1", 4)]


def test_each_source_has_a_limit_of_its_own(bpf):
    run = bpf.programs["limiter"].run
    assert [run(each).verdict for each in (A, B, A, B, A)] == [PASS, PASS, PASS, PASS, DROP]


def test_a_new_second_begins_anew(bpf, bpf_machine):
    run = bpf.programs["limiter"].run
    assert [run(A).verdict for _ in range(3)] == [PASS, PASS, DROP]
    bpf_machine.advance(0.999)
    assert run(A).verdict == DROP
    bpf_machine.advance(0.001)
    assert run(A).verdict == PASS


def test_what_is_no_ip_has_no_limit(bpf):
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    run = bpf.programs["limiter"].run
    assert {run(arp).verdict for _ in range(5)} == {PASS}


def test_packets_that_end_too_early_are_dropped(bpf):
    run = bpf.programs["limiter"].run
    assert [run(A[:size]).verdict for size in (14, 33, 34)] == [DROP, DROP, PASS]


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(frames=st.lists(packets(versions=[4], vlan=False), min_size=1, max_size=8))
def test_no_source_gets_more_than_its_limit(bpf, frames):
    bpf.maps["windows"].clear()
    bpf.maps["refusals"].read()
    passed = {}
    for frame in frames:
        if bpf.programs["limiter"].run(frame).verdict == PASS:
            passed[frame[26:30]] = passed.get(frame[26:30], 0) + 1
    assert max(passed.values(), default=0) <= 2
