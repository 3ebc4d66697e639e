"""`osmia run` sums up: --top, --histogram, --interval; and what is shown when all is over."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import HERE, OSMIA, Result
from .test_run import PCAP_HEADER, running

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

ENGINES = pytest.mark.parametrize("engine", ["kernel", "vm"])
SIZES = (64, 64, 101, 1200)
PACKETS = tuple(word for size in SIZES for word in ("--packet", "00" * size))


@pytest.fixture
def on_packets(osmia: Cli, traffic: Path, engine: str) -> Cli:
    """`osmia run` on the four packets."""

    def run(*arguments: object) -> Result:
        start = ("run", traffic, "-p", "count", *PACKETS, "--engine", engine)
        result = osmia(*start, *arguments)
        assert result.status == 0, result.err
        return result

    return run


def send_datagrams(count: int) -> None:
    """So many packets on `lo`: somebody listens, or there were answers that nobody does."""
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*kind) as receiver, socket.socket(*kind) as sender:
        receiver.bind(("127.0.0.1", 0))
        for _ in range(count):
            sender.sendto(b"hello", receiver.getsockname())


@ENGINES
def test_events_are_counted_by_a_field_instead_of_printed(on_packets: Cli) -> None:
    run = on_packets("--top", "side")
    assert "events:" not in run.out and "globals" not in run.out
    rows = [line.split()[:3] for line in run.lines]
    assert ["side", "events", "share"] in rows
    assert rows.index(["even", "3", "75.0%"]) < rows.index(["odd", "1", "25.0%"])
    assert re.search(r"^\d\d:\d\d:\d\d, all of \d+\.\d s$", run.out, re.MULTILINE)


@ENGINES
def test_several_fields_and_sums_of_another(on_packets: Cli) -> None:
    run = on_packets("--top", "uid,ret", "--sum", "size", "--rows", 1)
    rows = [line.split()[:3] for line in run.lines]
    assert ["uid", "ret", "size"] in rows
    assert ["root", "2", "1328"] in rows and not any("ENOENT" in line for line in run.lines)
    assert ["root", "-ENOENT", "101"] in [
        line.split()[:3] for line in on_packets("--top", "uid,ret", "--sum", "size").lines
    ]


@ENGINES
def test_fields_are_drawn_as_histograms(on_packets: Cli) -> None:
    run = on_packets("--histogram", "size")
    assert "     size                : count     distribution" in run.lines
    bars = 40 * "*"
    assert f"        64 -> 127        : 3        |{bars}|" in run.lines
    linear = on_packets("--histogram", "events=size", "--linear", 100, "--by", "side")
    assert "side = even" in linear.lines and "side = odd" in linear.lines
    assert f"       100 -> 199        : 1        |{bars}|" in linear.lines
    assert "       ..." in linear.lines  # from 0 to 1200


@ENGINES
def test_maps_are_drawn_and_ranked(on_packets: Cli) -> None:
    drawn = on_packets("--histogram", "size_hist").out
    assert f"     size_hist           : count     distribution\n{9 * ' '}0 -> 1" in drawn
    assert f"        64 -> 127        : 3        |{40 * '*'}|" in drawn
    assert "events: " not in drawn
    ranked = on_packets("--top", "sizes")
    assert ranked.lines[-3].split()[:3] == ["64", "2", "50.0%"]
    by_field = on_packets("--top", "slots_of_nothing", "--sum", "bytes")
    assert ["5", "1429", "100.0%"] in [line.split()[:3] for line in by_field.lines]


@ENGINES
def test_json_has_numbers_and_no_drawings(on_packets: Cli) -> None:
    run = on_packets("--top", "uid,ret", "--histogram", "size", "--histogram", "size_hist", "-j")
    (summary,) = [each["summary"] for each in run.records if "summary" in each]
    top, fields, counted = summary["reports"]
    assert top["rows"][0] == {"key": {"uid": 0, "ret": 2}, "events": 3}
    assert (top["top"], top["total"], top["dropped"]) == ("uid,ret", 4, 0)
    assert fields["histograms"][0]["buckets"] == [
        {"low": 64, "high": 127, "count": 3},
        {"low": 1024, "high": 2047, "count": 1},
    ]
    assert counted["histograms"][0]["buckets"] == fields["histograms"][0]["buckets"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", summary["time"])
    assert not any("event" in each or "maps" in each for each in run.records)


def test_what_cannot_be_summed_up_is_refused_before_anything_runs(
    osmia: Cli, traffic: Path
) -> None:
    for arguments, reason in (
        (("--top", "sise"), "no map and no event field 'sise'; did you mean 'size'"),
        (("--top", "size,sidd"), "'sidd'; did you mean 'side'"),
        (("--top", "maps=size"), "there are no events of a map 'maps'"),
        (("--histogram", "side"), "char[8] is no number"),
        (("--histogram", "sizes", "--by", "side"), "--by is for histograms of events"),
        (("--histogram", "slots_of_nothing"), "that map holds no slots"),
        (("--histogram", "packets"), "that variable holds no slots"),
        (("--top", "slots_of_nothing"), "say with --sum which number: packets, bytes"),
        (("--top", "slots_of_nothing", "--sum", "byte"), "has no such number; packets, bytes"),
        (("--top", "side", "--sum", "side"), "char[8] is no number"),
        (("--sum", "size"), "--sum is for --top"),
        (("--by", "side"), "--by is for --histogram"),
        (("--linear", "5"), "--linear is for --histogram"),
    ):
        run = osmia("run", traffic, "-p", "count", *PACKETS, *arguments)
        assert (run.status, run.out) == (2, ""), run
        assert reason in run.err and run.err.count("\n") == 1


@pytest.mark.usefixtures("own_network")
def test_intervals_tell_what_changed_and_how_fast(traffic: Path) -> None:
    arguments = (traffic, "-p", "count", "--iface", "lo", "--mode", "generic", "--interval", 0.3)
    with running(*arguments) as command:
        send_datagrams(4)
        time.sleep(1.2)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (130, "")
    assert out.count("events: ") == 4
    parts = re.split(r"\d\d:\d\d:\d\d, the last 0\.\d s\n", out)
    assert len(parts) >= 3
    first = next(part for part in parts[1:] if "counter" in part)
    rows = [line.split() for line in first.splitlines()]
    assert ["counter", "total", "change", "per", "second", "recently"] in rows
    packets = next(row for row in rows if row[:1] == ["packets"])
    assert packets[1:3] == ["4", "4"] and float(packets[3]) > 4
    assert "     size_hist           : count     distribution" in first.splitlines()
    assert "no counter changed" in out
    assert "\x1b" not in out  # nothing is cleared
    assert "globals" in parts[-1]


@pytest.mark.usefixtures("own_network")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_with_the_summary_of_all(traffic: Path, number: signal.Signals) -> None:
    arguments = (traffic, "-p", "count", "--iface", "lo", "--mode", "generic")
    summed = ("--top", "side", "--top", "sizes", "--interval", 0.2, "-j")
    with running(*arguments, *summed) as command:
        assert command.stdout is not None
        for _ in range(2):
            send_datagrams(2)
            assert "interval" in json.loads(command.stdout.readline())
        command.send_signal(number)
        out, _ = command.communicate(timeout=20)
    assert command.returncode == 128 + number
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert [each["total"] for each in summary["reports"]] == [4, 4]


@ENGINES
def test_the_last_dump_shows_what_a_person_wants(on_packets: Cli) -> None:
    run = on_packets()
    assert "__bpf_internal" not in run.out
    part = run.out.partition("map slots_of_nothing\n")[2].partition("\nglobals")[0]
    assert len(part.splitlines()) == 3 and "… and 63 entries of zeros" in part
    assert max(map(len, part.splitlines())) < 100 and "nnnn…" in part
    assert f"        64 -> 127        : 3        |{40 * '*'}|" in run.lines  # size_hist
    assert "type_of_events" not in run.out
    assert ["packets", "4"] in [line.split() for line in run.lines]
    whole = on_packets("-v")
    assert "nnnn…" not in whole.out and "of zeros" not in whole.out
    assert "type_of_events" in whole.out and "distribution" not in whole.out
    maps = next(each["maps"] for each in on_packets("-j").records if "maps" in each)
    assert [each["map"] for each in maps] == ["size_hist", "sizes", "slots_of_nothing"]
    assert len(maps[2]["entries"]) == 64


@pytest.mark.one_at_a_time("trace-pipe")  # the program prints
@ENGINES
def test_of_the_cpus_those_are_shown_that_counted(osmia: Cli, compiled: Path, engine: str) -> None:
    run = osmia("run", compiled, "--packet", "00" * 64, "--engine", engine)
    part = run.out.partition("map by_cpu\n")[2].partition("\n\n")[0].splitlines()
    key, cpu, value = part[1].split()
    assert (key, value, part[2:]) == ("0", "1", ["… and 1 entry of zeros"])
    whole = osmia("run", compiled, "--packet", "00" * 64, "--engine", engine, "-v")
    rows = whole.out.partition("map by_cpu\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert len(rows) > 2 and int(cpu) < len(rows)


@ENGINES
def test_numbers_in_events_have_names(on_packets: Cli) -> None:
    events = [line for line in on_packets().lines if line.startswith("events: ")]
    assert events[0] == 'events: size=64 uid=root ret=2 side="even"'
    assert events[2] == 'events: size=101 uid=root ret=-ENOENT side="odd"'
    values = [each["event"]["value"] for each in on_packets("-j").records if "event" in each]
    assert values[2] == {"size": 101, "uid": 0, "ret": -2, "side": "odd"}


@pytest.mark.usefixtures("own_network")
def test_sparklines_are_ascii_where_the_locale_is(traffic: Path) -> None:
    arguments = ["--iface", "lo", "--mode", "generic", "--interval", "0.2", "--duration", "0.5"]
    command = subprocess.Popen(
        [*OSMIA, "run", traffic, "-p", "count", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert command.stderr is not None
    assert command.stderr.readline().startswith(b"attached")
    send_datagrams(3)
    out, _ = command.communicate(timeout=20)
    assert command.returncode == 0
    assert re.search(rb"^packets +3 +3 +\d+\.\d +#$", out, re.MULTILINE), out
    assert out.isascii()


@ENGINES
def test_addresses_and_what_format_says_are_told_so(
    osmia: Cli, tmp_path: Path, engine: str
) -> None:
    source = HERE.parent / "summaries/addresses.bpf.c"
    start = ("run", source, "--packet", "00" * 64, "--engine", engine, "--format", "origin=ip")
    summed = ("--top", "peer.saddr,peer.dport,origin", "--top", "networks")
    out = osmia(*start, *summed, "--histogram", "delta_ns", "--by", "peer.mac")
    assert out.status == 0, out.err
    rows = [line.split()[:4] for line in out.lines]
    assert ["10.0.0.1", "443", "192.0.2.1", "1"] in rows
    assert ["10.0.0.0/8", "3", "100.0%"] in [row[:3] for row in rows]
    assert "peer.mac = 02:00:00:00:00:09" in out.lines
    (report,) = [each["summary"] for each in osmia(*start, *summed, "-j").records[1:]]
    key = {"peer.saddr": "10.0.0.1", "peer.dport": 443, "origin": "192.0.2.1"}
    assert report["reports"][0]["rows"] == [{"key": key, "events": 1}]
    table = osmia(*start, "-o", "csv")
    assert table.lines == [
        "peer.saddr,peer.dport,peer.mac,origin,delta_ns",
        "10.0.0.1,443,02:00:00:00:00:09,192.0.2.1,700",
    ]
    peer = {"saddr": "10.0.0.1", "dport": 443, "mac": "02:00:00:00:00:09"}
    assert osmia(*start, "-o", "jsonl").records == [
        {"peer": peer, "delta_ns": 700, "origin": "192.0.2.1"}
    ]
    pyarrow = pytest.importorskip("pyarrow.parquet")
    assert osmia(*start, "-o", tmp_path / "a.parquet").status == 0
    assert pyarrow.read_table(tmp_path / "a.parquet").to_pylist()[0] == {
        "peer.saddr": "10.0.0.1",
        "peer.dport": 443,
        "peer.mac": "02:00:00:00:00:09",
        "delta_ns": 700,
        "origin": "192.0.2.1",
    }


@ENGINES
def test_intervals_are_reported_on_packets_too(
    osmia: Cli, traffic: Path, tmp_path: Path, engine: str
) -> None:
    capture = tmp_path / "many.pcap"
    packet = struct.pack("<IIII", 0, 0, 64, 64) + bytes(64)
    capture.write_bytes(PCAP_HEADER + 20_000 * packet)
    arguments = ("--pcap", capture, "--interval", 0.05, "--top", "size", "-j")
    run = osmia("run", traffic, "-p", "count", "--engine", engine, *arguments)
    assert run.status == 0, run.err
    intervals = [each["interval"] for each in run.records if "interval" in each]
    (summary,) = [each["summary"] for each in run.records if "summary" in each]
    assert intervals and all(each["seconds"] >= 0.05 for each in intervals)
    counted = [each["reports"][0]["total"] for each in intervals]
    assert 0 < sum(counted) <= summary["reports"][0]["total"] == 20_000
