"""Scrapes over the loopback, and what may go wrong."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import osmia

pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families

from osmia.metrics import parse_address, serve

SOURCE = Path(__file__).parent.parent / "summaries/numbers.bpf.c"


@pytest.fixture(scope="module", params=[pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def loaded(request: pytest.FixtureRequest) -> Iterator[osmia.LoadedObject]:
    with osmia.compile(SOURCE).load(request.param) as made:
        yield made


def seen(url: str) -> float:
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    values = {s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples}
    return values["bpf_seen"]


def test_each_scrape_reads_the_numbers_anew(loaded: osmia.LoadedObject) -> None:
    loaded.data["seen"] = 0
    with serve(loaded, ":0") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"
        assert seen(server.url) == 0
        for count in (1, 2):
            loaded.programs["count"].run(bytes(64))
            assert seen(server.url) == 5 * count
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url, timeout=5)


def test_scrapes_at_the_same_time_and_runs_beside_them(loaded: osmia.LoadedObject) -> None:
    loaded.data["seen"] = 0
    with serve(loaded, "[::1]:0") as server:
        values: list[float] = []
        threads = [
            threading.Thread(target=lambda: values.append(seen(server.url))) for _ in range(8)
        ]
        for each in threads:
            each.start()
        for _ in range(50):
            loaded.programs["count"].run(bytes(64))
        for each in threads:
            each.join()
    assert len(values) == 8 and max(values) <= 250


def test_a_client_that_says_nothing_holds_nothing_up(loaded: osmia.LoadedObject) -> None:
    with serve(loaded, ":0") as server, socket.create_connection((server.host, server.port)):
        assert seen(server.url) >= 0
        started = time.monotonic()
        server.close()
    assert time.monotonic() - started < 5


def test_a_port_in_use_is_one_clear_error(loaded: osmia.LoadedObject) -> None:
    with serve(loaded, ":0") as server:
        with pytest.raises(osmia.OsmiaError) as error:
            serve(loaded, f":{server.port}")
        assert str(error.value) == (
            f"cannot listen on 127.0.0.1:{server.port}: Address already in use"
        )
        assert seen(server.url) >= 0
    with pytest.raises(osmia.OsmiaError, match=r"cannot listen on 192\.0\.2\.1:9: Cannot assign"):
        serve(loaded, "192.0.2.1:9")


def test_addresses() -> None:
    assert parse_address(":9435") == ("127.0.0.1", 9435)
    assert parse_address("9435") == ("127.0.0.1", 9435)
    assert parse_address("0.0.0.0:80") == ("0.0.0.0", 80)
    assert parse_address("[::1]:80") == ("::1", 80)
    for wrong in ("", ":", "host:", ":65536", ":-1", "::1:80", ":١"):
        with pytest.raises(ValueError, match=":9435"):
            parse_address(wrong)
