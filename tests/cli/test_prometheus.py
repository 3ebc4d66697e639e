"""`osmia run --prometheus`: scrapes while programs are attached."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import OSMIA, Result
from .test_run import links_on_lo, running
from .test_summaries import send_datagrams

pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        f"{s.name}{sorted(s.labels.items()) or ''}": s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


@pytest.mark.usefixtures("own_network")
def test_maps_and_variables_are_scraped_until_the_end(traffic: Path) -> None:
    port = free_port()
    place = ("--iface", "lo", "--mode", "generic")
    with running(traffic, "-p", "count", *place, "--prometheus", f":{port}") as command:
        send_datagrams(3)
        before = scrape(port)
        send_datagrams(2)  # a scrape takes packets itself
        after = scrape(port)
        command.send_signal(signal.SIGTERM)
        out, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (143, "")
    assert before["bpf_packets_total"] >= 3
    assert after["bpf_packets_total"] >= before["bpf_packets_total"] + 2
    # IP, UDP and five letters, without the Ethernet header that generic XDP sees
    assert after["bpf_sizes_total[('key', '47')]"] == 5
    assert after["bpf_size_hist_bucket[('le', '+Inf')]"] >= 5
    assert "globals" in out
    with pytest.raises(urllib.error.URLError):
        scrape(port)


@pytest.mark.usefixtures("own_network")
def test_a_port_in_use_is_said_before_anything_is_attached(osmia: Cli, traffic: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = osmia("run", traffic, "-p", "count", "--iface", "lo", "--prometheus", f":{port}")
    assert (run.status, run.out) == (1, "")
    assert run.err == f"osmia: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert "xdp" not in links_on_lo()


def test_what_makes_no_sense_is_refused(osmia: Cli, traffic: Path) -> None:
    for arguments, reason in (
        (("--prometheus", "here"), "'here' is no address: [HOST]:PORT, such as :9435"),
        (("--prometheus", ":9435", "--packet", "00"), "attached, not for packets"),
    ):
        run = osmia("run", traffic, "-p", "count", "--iface", "lo", "--duration", 0, *arguments)
        assert (run.status, run.out) == (2, "")
        assert reason in run.err and run.err.count("\n") == 1


def test_without_the_package_the_error_names_it(traffic: Path, tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('not here')")
    run = subprocess.run(
        [*OSMIA, "run", traffic, "-p", "count", "--iface", "lo", "--prometheus", ":0"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "osmia: this needs prometheus_client: pip install 'osmia[metrics]'\n"
