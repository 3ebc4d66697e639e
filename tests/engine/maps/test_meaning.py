"""Maps and variables take what their types mean, on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import CodecError, MissingKeyError

SOURCE = Path(__file__).parents[2] / "cli" / "meaning.bpf.c"
ADDRESS = IPv4Address("10.1.2.3")


@pytest.fixture(params=["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def bpf(request: pytest.FixtureRequest) -> Iterator[Any]:
    with osmia.compile(SOURCE).load(request.param) as loaded:
        yield loaded


def test_keys_are_addresses_or_their_text(bpf: Any) -> None:
    peers = bpf.maps["peers"]
    peers[ADDRESS] = {"addr": ADDRESS, "port": "443", "mac": "02:00:00:00:00:09"}
    number = int.from_bytes(ADDRESS.packed, "little")
    assert peers["10.1.2.3"] == peers[ADDRESS] == peers[number] == peers[ADDRESS.packed]
    assert "10.1.2.3" in peers and list(peers) == [number]
    assert peers[ADDRESS].port == 0xBB01 and peers[ADDRESS].mac == b"\x02\0\0\0\0\x09"
    with pytest.raises(MissingKeyError):
        peers["10.1.2.4"]
    with pytest.raises(CodecError, match=r"'peers', key: '10\.1\.2' is no value for __be32"):
        peers["10.1.2"]


def test_many_entries_are_given_so_too(bpf: Any) -> None:
    peers = bpf.maps["peers"]
    peers.update_many({"10.0.0.1": {"bytes": 1}, IPv4Address("10.0.0.2"): {"bytes": 2}})
    assert peers.pop("10.0.0.1").bytes == 1
    assert peers.delete_many(["10.0.0.2", "10.0.0.3"]) == 1


def test_tries_take_networks_and_values_are_addresses(bpf: Any) -> None:
    routes, routes6 = bpf.maps["routes"], bpf.maps["routes6"]
    routes["10.0.0.0/8"] = 1
    routes[{"prefixlen": 16, "addr": "10.1.0.0"}] = 2
    assert routes[IPv4Network("10.2.0.0/16")] == 1 and routes["10.1.2.3"] == 2
    routes6["2001:db8::/32"] = IPv6Address("fe80::1")
    assert repr(routes6["2001:db8::5"]) == "fe80::1"
    assert bytes(routes6["2001:db8::5"]) == IPv6Address("fe80::1").packed


def test_each_cpus_value_may_be_text(bpf: Any) -> None:
    by_port = bpf.maps["by_port"]
    by_port["443"] = ["10.0.0.1"] * by_port.cpus
    assert by_port[0xBB01] == [0x0100000A] * by_port.cpus


def test_variables_are_assigned_what_they_mean(bpf: Any) -> None:
    bpf.data.gateway = ADDRESS
    bpf.data["gateway_mac"] = "02:00:00:00:00:07"
    assert repr(bpf.data) == "<gateway = 10.1.2.3; gateway_mac = 02:00:00:00:00:07>"
    with pytest.raises(CodecError, match="gateway_mac: '02:00' is no value"):
        bpf.data.gateway_mac = "02:00"
