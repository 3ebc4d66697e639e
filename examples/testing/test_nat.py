"""Packets leave with another address and come back to who sent them; checksums stay right."""

import socket
import struct
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INSIDE, OUTSIDE, SERVER = "192.168.1.7", "198.51.100.1", "203.0.113.9"


def as_number(address):
    """An address as a __be32 of the program has it."""
    return int.from_bytes(socket.inet_aton(address), sys.byteorder)


pytestmark = pytest.mark.bpf(
    "nat.bpf.c", data={"inside": as_number("192.168.1.0"), "outside": as_number(OUTSIDE)}
)


def checksum(data):
    """The Internet's checksum: 0 over data with a right one in it."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF ^ total


def datagram(source, target, data=b"12345678", summed=True):
    """An Ethernet frame with UDP in it; `source` and `target` are addresses and ports."""
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data
    if summed:
        pseudo = addresses + struct.pack("!HH", 17, len(udp))
        udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return bytes(12) + b"\x08\x00" + ip + udp


def read(frame):
    """Source and target of a frame, whose checksums have to be right."""
    ip, udp = frame[14:34], frame[34:]
    assert checksum(ip) == 0
    if udp[6:8] != bytes(2):
        assert checksum(ip[12:20] + struct.pack("!HH", 17, len(udp)) + udp) == 0
    source_port, target_port = struct.unpack("!HH", udp[:4])
    return (socket.inet_ntoa(ip[12:16]), source_port), (socket.inet_ntoa(ip[16:20]), target_port)


def leave(bpf, frame):
    result = bpf.programs["leave"].run(frame)
    assert result.verdict == "TC_ACT_OK"
    return bytes(result.data)


def come(bpf, frame):
    result = bpf.programs["come"].run(frame)
    assert result.verdict == "TC_ACT_OK"
    return bytes(result.data)


@pytest.mark.parametrize("summed", [True, False])
def test_an_answer_comes_to_who_asked(bpf, summed):
    out = leave(bpf, datagram((INSIDE, 5353), (SERVER, 53), summed=summed))
    assert read(out) == ((OUTSIDE, 40000), (SERVER, 53))
    back = come(bpf, datagram((SERVER, 53), (OUTSIDE, 40000), summed=summed))
    assert read(back) == ((SERVER, 53), (INSIDE, 5353))


def test_a_flow_keeps_its_port_and_others_get_another(bpf):
    ports = [
        read(leave(bpf, datagram((INSIDE, port), (SERVER, 53))))[0][1] for port in (1, 2, 1, 3)
    ]
    assert ports == [40000, 40001, 40000, 40002]
    assert len(bpf.maps["leaving"]) == len(bpf.maps["coming"]) == 3


@pytest.mark.parametrize(
    "frame",
    [
        datagram(("10.0.0.1", 5), (SERVER, 53)),  # of another network
        bytes(12) + b"\x08\x06" + bytes(46),  # ARP
        bytes(12) + b"\x08\x00" + b"\x46" + bytes(60),  # with options
        bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x06" + bytes(40),  # TCP
        datagram((INSIDE, 5), (SERVER, 53))[:40],  # cut off in its UDP header
    ],
)
def test_what_is_none_of_its_business_stays_as_it_is(bpf, frame):
    assert leave(bpf, frame) == frame
    assert come(bpf, frame) == frame
    assert len(bpf.maps["leaving"]) == 0


def test_answers_to_nobody_stay_as_they_are(bpf):
    frame = datagram((SERVER, 53), (OUTSIDE, 40123))
    assert come(bpf, frame) == frame


def test_where_no_port_is_free_the_packet_is_dropped(bpf):
    bpf.maps["coming"][socket.htons(40000)] = {"address": 0, "port": 0, "padding": 0}
    assert bpf.programs["leave"].run(datagram((INSIDE, 1), (SERVER, 53))).verdict == "TC_ACT_SHOT"
    assert len(bpf.maps["leaving"]) == 0


@pytest.mark.bpf(engines="vm")
def test_where_no_flow_can_be_kept_the_port_is_free_again(bpf, bpf_machine):
    update = iter([0, -12])  # the second one finds no memory
    bpf.vm.helpers["map_update_elem"] = lambda *_: next(update)
    deleted = []
    bpf.vm.helpers["map_delete_elem"] = lambda *given: deleted.append(given) or 0
    assert bpf.programs["leave"].run(datagram((INSIDE, 1), (SERVER, 53))).verdict == "TC_ACT_SHOT"
    assert len(deleted) == 1


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    host=st.integers(1, 254),
    port=st.integers(1, 65535),
    server=st.ip_addresses(v=4).map(str),
    data=st.binary(max_size=60).filter(lambda data: len(data) % 2 == 0),
)
def test_every_flow_comes_back(bpf, host, port, server, data):
    asked = (f"192.168.1.{host}", port)
    out = leave(bpf, datagram(asked, (server, 53), data))
    source, target = read(out)
    assert source[0] == OUTSIDE
    assert target == (server, 53)
    back = come(bpf, datagram((server, 53), source, data))
    assert read(back) == ((server, 53), asked)


@pytest.mark.bpf(engines="vm")
@pytest.mark.parametrize("failing", [1, 2])
def test_what_cannot_be_read_stays_as_it_is(bpf, failing):
    calls = []

    def load_bytes(call, skb, offset, to, size):
        calls.append(offset)
        call.write(to, datagram((INSIDE, 5), (SERVER, 53))[offset : offset + size])
        return -14 if len(calls) == failing else 0

    bpf.vm.helpers["skb_load_bytes"] = load_bytes
    for program in ("leave", "come"):
        frame = datagram((INSIDE, 5), (SERVER, 53))
        assert bytes(bpf.programs[program].run(frame).data) == frame
        calls.clear()
