"""What rows show instead of numbers."""

from __future__ import annotations

import os
from ipaddress import ip_address

import pytest

from osmia.tools.text import Bytes, address_text, process_name


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (1536, "1.5K"), (10 * 1024, "10K"), (3 << 30, "3.0G")],
)
def test_amounts_of_bytes_are_short(amount: int, text: str) -> None:
    assert f"{Bytes(amount):>5}" == text.rjust(5)
    assert Bytes(amount) == amount


def test_the_largest_amount_has_a_text() -> None:
    assert f"{Bytes(2**64 - 1)}" == "16E"


@pytest.mark.parametrize("text", ["10.0.0.1", "::1", "2001:db8::7"])
def test_addresses_are_of_their_own_kind(text: str) -> None:
    address = ip_address(text)
    mapped = address if address.version == 6 else ip_address(f"::ffff:{text}")
    assert address_text(mapped.packed) == text


def test_processes_have_names_while_they_are_there() -> None:
    assert process_name(os.getpid()).startswith(f"{os.getpid()} ")
    assert process_name(0) == "0"
