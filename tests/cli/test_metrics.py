"""`osmia metrics`: an object's and pins' numbers and events, by options and by a file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import osmia as library

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from ..metrics.receiver import attributes, receiving
from .conftest import OSMIA, Result
from .test_prometheus import free_port, scrape
from .test_run import links_on_lo, running
from .test_summaries import send_datagrams

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


def telling(*arguments: object) -> AbstractContextManager[subprocess.Popen[str]]:
    """`osmia metrics …` in another process, from when it tells."""
    return running(*arguments, verb="metrics", OTEL_BLRP_SCHEDULE_DELAY="20")


@pytest.mark.usefixtures("own_network")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_file_says_what_is_told_and_the_end_sends_what_is_left(
    traffic: Path, tmp_path: Path, number: int, status: int
) -> None:
    port = free_port()
    file = tmp_path / "telemetry.toml"
    shutil.copy(traffic, tmp_path)
    with receiving() as receiver:
        file.write_text(f"""
[object]
file = "{traffic.name}"
programs = ["count"]
interface = "lo"
mode = "generic"
[[metric]]
variable = "packets"
name = "net_packets"
[[log]]
map = "events"
name = "packet"
body = "{{size}} bytes"
[prometheus]
listen = ":{port}"
[otlp]
endpoint = "{receiver.url}"
""")
        with telling("--config", file) as command:
            assert "xdp" in links_on_lo()
            send_datagrams(3)
            found = scrape(port)
            assert found["net_packets_total"] >= 3
            assert "bpf_log_records_sent_total[('map', 'events')]" in found
            receiver.wait(receiver.records)
            command.send_signal(number)
            out, err = command.communicate(timeout=20)
        assert (command.returncode, out, err) == (status, "", "")
        assert "xdp" not in links_on_lo()
        metrics = receiver.last()
    (packets,) = metrics["net_packets"].sum.data_points
    assert packets.as_int == len(receiver.records())
    assert {each.event_name for each in receiver.records()} == {"packet"}
    assert {attributes(each.attributes)["side"] for each in receiver.records()} <= {"odd", "even"}


@pytest.mark.usefixtures("own_network")
def test_options_say_it_too(osmia: Cli, traffic: Path) -> None:
    with receiving() as receiver:
        run = osmia(
            "metrics", traffic, "-p", "count", "-i", "lo", "--otlp", receiver.url,
            "--log", "events", "--prometheus", ":0", "-d", "0.1",
        )  # fmt: skip
        metrics = receiver.last()
    assert (run.status, run.out) == (0, "")
    assert f"sends to {receiver.url}/v1/metrics\nsends to {receiver.url}/v1/logs\n" in run.err
    assert "attached program 'count'" in run.err
    assert {"bpf_packets", "bpf_program_runs", "bpf_log_records_sent"} <= set(metrics)


def test_what_is_pinned_is_told(osmia: Cli, traffic: Path, tmp_path: Path) -> None:
    place = Path(f"/sys/fs/bpf/osmia-metrics-{os.getpid()}")
    with library.open(traffic).load() as loaded:
        loaded.maps["sizes"][47] = 5
        loaded.data["packets"] = 8
        loaded.pin(place)
        loaded.section_maps[".bss"].pin(place / "bss")
        try:
            with receiving() as receiver:
                run = osmia("metrics", "--pinned", place, "--otlp", receiver.url, "-d", 0)
                metrics = receiver.last()
            file = tmp_path / "wrong.toml"
            file.write_text(f"[object]\npinned = '{place}'\n[[metric]]\nmap = 'size'\n")
            wrong = osmia("metrics", "--config", file, "--check")
        finally:
            shutil.rmtree(place)
    assert (run.status, run.out) == (0, "")
    assert metrics["bpf_packets"].sum.data_points[0].as_int == 8
    (point,) = metrics["bpf_sizes"].sum.data_points
    assert (attributes(point.attributes), point.as_int) == ({"key": "47"}, 5)
    assert "bpf_program_runs" in metrics
    assert wrong.status == 1
    assert wrong.err.startswith(f"osmia: {file}: [[metric]] 1: the object has no map or variable")
    missing = osmia("metrics", "--pinned", place, "--prometheus", ":0", "-d", 0)
    assert (missing.status, missing.err.count("\n")) == (1, 1)


@pytest.mark.usefixtures("own_network")
def test_the_environment_says_where_to(
    osmia: Cli, traffic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        run = osmia("metrics", traffic, "-p", "count", "-i", "lo", "-s", "packets=5", "-d", 0)
        assert receiver.last()["bpf_packets"].sum.data_points[0].as_int >= 5
    assert (run.status, run.out) == (0, "")


def test_a_file_is_checked_without_a_load(osmia: Cli, traffic: Path, tmp_path: Path) -> None:
    file = tmp_path / "telemetry.toml"
    file.write_text(f"[object]\nfile = '{traffic}'\n[[metric]]\nmap = 'sizes'\n[otlp]")
    right = osmia("metrics", "--config", file, "--check")
    assert (right.status, right.out) == (0, f"{file}: 1 metric, 0 logs: nothing wrong\n")
    assert json.loads(osmia("metrics", "--config", file, "--check", "-j").out) == {
        "file": str(file),
        "metrics": ["sizes"],
        "logs": [],
        "prometheus": None,
        "otlp": True,
    }
    plain = osmia("metrics", traffic, "--check")
    assert (plain.status, plain.out) == (
        0,
        "the command line: all metrics, 0 logs: nothing wrong\n",
    )
    assert json.loads(osmia("metrics", traffic, "--check", "-j").out)["file"] is None
    file.write_text(f"[object]\nfile = '{traffic}'\n[[log]]\nmap = 'sizes'\n[otlp]")
    wrong = osmia("metrics", "--config", file, "--check")
    assert wrong.status == 1
    assert wrong.err == f"osmia: {file}: [[log]] 1: map 'sizes' is no ring or perf buffer\n"
    file.write_text("[fleet]\nscheduler = 'tls://one:8786'\n[otlp]")
    assert osmia("metrics", "--config", file, "--check").status == 0


def test_what_makes_no_sense_is_refused(osmia: Cli, traffic: Path, tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("[fleet]\nscheduler = 'tls://one:8786'\n[otlp]")
    for arguments, status, reason in (
        ((traffic,), 2, "--prometheus or --otlp says where to, or --config FILE"),
        (("--otlp", "http://x"), 2, "FILE, --pinned or --config has to say what it is of"),
        ((traffic, "--otlp", "x"), 2, "endpoint 'x' begins with neither http:// nor https://"),
        ((traffic, "--prometheus", "x"), 2, "'x' is no address: [HOST]:PORT"),
        ((traffic, "--pinned", "x", "--otlp", "http://x"), 2, "one of FILE, --pinned and the"),
        (("--pinned", "x", "-i", "lo", "--otlp", "http://x"), 2, "-p, -s, -i and --cgroup are"),
        (("--config", file), 2, "is of a fleet: osmia fleet metrics --config FILE"),
        ((traffic, "--otlp", "http://x", "--log", "event"), 1, "has no map 'event'; did you mean"),
        ((traffic, "--prometheus", ":0", "--log", "events"), 2, "--log and --interval are for"),
        ((traffic, "--prometheus", ":0", "--interval", "1"), 2, "--log and --interval are for"),
        ((traffic, "--otlp", "http://x", "--log=events", "--log=events"), 2, "has two logs"),
        (("--config", tmp_path / "none"), 1, "No such file or directory"),
    ):
        run = osmia("metrics", *arguments, "-d", 0)
        assert (run.status, run.out) == (status, ""), run.err
        assert reason in run.err and run.err.count("\n") == 1


def test_nothing_of_it_is_imported_for_other_commands() -> None:
    code = (
        "import sys, osmia; from osmia.cli import main; main(['features', '--help']);"
        "main(['metrics', '--help']);"
        "print([n for n in sys.modules if n.split('.')[0] in ('opentelemetry', 'tomllib',"
        " 'requests', 'prometheus_client')], file=sys.stderr)"
    )
    run = subprocess.run(
        [OSMIA[0], "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.stderr.splitlines()[-1] == "[]"


def test_without_the_packages_the_errors_name_them(traffic: Path, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ImportError('not here')")
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('not here')")
    for option, extra in (("--otlp=http://x", "otel"), ("--prometheus=:0", "metrics")):
        run = subprocess.run(
            [*OSMIA, "metrics", traffic, "-p", "count", "-i", "lo", option],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr.endswith(f": pip install 'osmia[{extra}]'\n")
        assert run.stderr.count("\n") == 1
