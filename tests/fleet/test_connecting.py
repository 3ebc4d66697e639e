"""What an address of a scheduler means: loopback, TLS, or refused."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from distributed.security import Security

from osmia import OsmiaError
from osmia.fleet import Fleet
from osmia.fleet.connecting import loopback

_SECURITY: Any = Security
_OURS = {"ca": "ca.pem", "cert": "client.pem", "key": "client-key.pem"}


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False), ("::ffff:10.0.0.1", False),
        ("fe80::1", False), ("nowhere.invalid", False), ("127.0.0.1.invalid", False), ("", False),
    ],
)  # fmt: skip
def test_loopback_is_what_means_nothing_else(host: str, local: bool) -> None:
    assert bool(loopback(host)) is local


def test_names_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.1", "10.0.0.1"]])

    def look_up(*asked: Any, **how: Any) -> Any:
        return [(0, 0, 0, "", (each, 0)) for each in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert loopback("one.example") == "127.0.0.1"
    assert loopback("two.example") == ""


@pytest.mark.parametrize(
    "address", ["", "tls://", "tls://x:y", "tls://x:0", "tls://x:70000", ":8786", "tcp://[::1"]
)
def test_what_is_no_address_is_a_value_error(address: str) -> None:
    with pytest.raises(ValueError, match="is no address of a scheduler"):
        Fleet(address)


def test_schemes_and_certificates_that_do_not_go_together_are_said() -> None:
    with pytest.raises(OsmiaError, match="a fleet's scheduler is at tls:// or tcp://"):
        Fleet("ucx://x:1")
    with pytest.raises(OsmiaError, match="is plain TCP, which has no certificates"):
        Fleet("tcp://127.0.0.1:1", **_OURS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="security= has the certificates"):
        Fleet("tls://127.0.0.1:1", security=_SECURITY(), **_OURS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an address or a Client, not int"):
        Fleet(7)  # type: ignore[arg-type]
