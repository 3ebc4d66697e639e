"""`osmia run --output`: events as JSON lines, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.cli import main

from .conftest import OSMIA, Result
from .test_run import running
from .test_summaries import send_datagrams

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

ENGINES = pytest.mark.parametrize("engine", ["kernel", "vm"])

#: Two streams, one of each kind of buffer, with all kinds of fields.
STREAMS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

enum side { LEFT, RIGHT };
struct place { __u16 port; __u8 mac[2]; };
struct row {
	struct place from;
	bool first;
	enum side side;
	long long change;
	unsigned int low : 3;
	int list[2];
	struct place way[2];
	char name[8];
	double share;
};
struct measure { __u64 size; };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} samples SEC(".maps");

const struct measure *unused;
const struct row *unused_too;

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct row event = {
		.from = {.port = 80, .mac = {1, 255}}, .first = true, .side = RIGHT,
		.change = -1, .low = 5, .list = {1, -2}, .way = {{.port = 7}}, .name = "a,\\"b",
	};
	struct measure sample = {.size = ctx->data_end - ctx->data};

	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	if (sample.size == 65)
		bpf_ringbuf_output(&events, &sample, sizeof(sample), 0);
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &sample, sizeof(sample));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""

TYPES = ("--event", "samples=measure", "--event", "events=row")


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object file of `STREAMS`."""
    source = tmp_path_factory.mktemp("objects") / "streams.bpf.c"
    source.write_text(STREAMS)
    path = source.with_suffix(".o")
    assert main(["compile", str(source), "-o", str(path)]) == 0
    return path


def packets(*sizes: int) -> list[str]:
    return [word for size in sizes for word in ("--packet", "00" * size)]


def parquet(path: Path | io.BytesIO) -> Any:
    return pytest.importorskip("pyarrow.parquet").read_table(path)


@ENGINES
def test_stdout_has_the_events_and_nothing_else(osmia: Cli, traffic: Path, engine: str) -> None:
    arguments = ("run", traffic, "-p", "count", "--engine", engine, *packets(64, 101))
    lines = osmia(*arguments, "--output", "jsonl")
    assert lines.records == [
        {"size": 64, "uid": 0, "ret": 2, "side": "even"},
        {"size": 101, "uid": 0, "ret": -2, "side": "odd"},
    ]
    assert "2 packets in" in lines.err and "globals" in lines.err
    table = osmia(*arguments, "-o", "csv")
    assert table.lines == ["size,uid,ret,side", "64,0,2,even", "101,0,-2,odd"]
    summed = osmia(*arguments, "-o", "csv", "--top", "side")
    assert summed.out == table.out and "events  share" in summed.err


@ENGINES
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_files_have_the_events_and_stdout_the_rest(
    osmia: Cli, traffic: Path, tmp_path: Path, engine: str, kind: str
) -> None:
    file = tmp_path / f"events.{kind}"
    file.write_text("what was here before")
    arguments = ("run", traffic, "-p", "count", "--engine", engine, *packets(64, 101))
    run = osmia(*arguments, "-o", file)
    assert "events: " not in run.out and "globals" in run.out
    if kind == "parquet":
        assert [row["size"] for row in parquet(file).to_pylist()] == [64, 101]
    else:
        assert file.read_text() == osmia(*arguments, "-o", kind).out


@ENGINES
def test_all_kinds_of_fields_of_several_maps(
    osmia: Cli, streams: Path, tmp_path: Path, engine: str
) -> None:
    arguments = ("run", streams, *TYPES, "--engine", engine, *packets(64))
    event, sample = sorted(osmia(*arguments, "-o", "jsonl").records, key=lambda row: row["map"])
    assert event["from"] == {"port": 80, "mac": [1, 255]}
    assert (event["first"], event["side"], event["low"]) == (True, "RIGHT", 5)
    assert event["way"][0] == {"port": 7, "mac": [0, 0]}
    assert sample == {"map": "samples", "cpu": sample["cpu"], "size": 64}
    rows = list(csv.DictReader(io.StringIO(osmia(*arguments, "-o", "csv").out)))
    told = next(row for row in rows if row["map"] == "events")
    assert told["events.from.mac"] == "01ff" and told["events.name"] == 'a,"b'
    assert told["events.list"] == "[1,-2]" and told["samples.size"] == ""
    assert osmia(*arguments, "-o", tmp_path / "a.parquet").status == 0
    table = parquet(tmp_path / "a.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["events.from.port"] == "uint16" and types["events.change"] == "int64"
    assert types["events.list"] == "list<element: int32>" and types["samples.cpu"] == "uint32"
    row = next(row for row in table.to_pylist() if row["map"] == "events")
    assert (row["events.from.mac"], row["events.side"]) == (b"\x01\xff", "RIGHT")
    assert row["events.way"][0]["port"] == 7 and row["samples.size"] is None


def test_records_of_another_size_are_counted(osmia: Cli, streams: Path) -> None:
    run = osmia("run", streams, *TYPES, "-o", "csv", *packets(65))
    assert len(run.lines) == 3
    assert "left out: 1 of another size than the type's" in run.err
    untyped = osmia("run", streams, "--event", "events=row", "-o", "jsonl", *packets(64))
    sample = next(row for row in untyped.records if row["map"] == "samples")
    assert bytes(sample["record"])[:8] == (64).to_bytes(8, sys.byteorder)


@pytest.mark.usefixtures("own_network")
def test_a_signal_leaves_a_whole_file(traffic: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    parquet_module = pytest.importorskip("pyarrow.parquet")
    place = ("--iface", "lo", "--mode", "generic")
    with running(traffic, "-p", "count", *place, "-o", file, "--interval", 0.1) as command:
        send_datagrams(3)
        assert command.stdout is not None
        while "packets" not in command.stdout.readline():
            pass
        command.send_signal(signal.SIGTERM)
        command.communicate(timeout=20)
    assert command.returncode == 143
    assert parquet_module.read_table(file).num_rows == 3


def test_a_reader_that_goes_away_ends_the_run(traffic: Path) -> None:
    arguments = [*OSMIA, "run", str(traffic), "-p", "count", *packets(*[64] * 300), "-o", "csv"]
    command = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert command.stdout is not None and command.stderr is not None
    assert command.stdout.readline() == "size,uid,ret,side\n"
    command.stdout.close()
    assert command.wait(timeout=20) == 141
    assert "Traceback" not in command.stderr.read()
    command.stderr.close()


def test_what_cannot_be_written_is_refused_and_no_file_made(
    osmia: Cli, traffic: Path, tmp_path: Path
) -> None:
    for target, reason in (
        ("xml", "give jsonl, csv, parquet for stdout, or a file that ends so"),
        (tmp_path / "none" / "a.csv", "there is no such directory"),
        (tmp_path, "a file that ends so"),
    ):
        run = osmia("run", traffic, "-p", "count", *packets(64), "-o", target)
        assert (run.status, run.out) == (2, "")
        assert reason in run.err and run.err.count("\n") == 1
    refused = osmia("run", traffic, "-p", "count", "-o", tmp_path / "a.csv")
    assert refused.status == 2  # it needs an interface
    assert not list(tmp_path.iterdir())


def test_without_pyarrow_the_error_names_it(traffic: Path, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')")
    run = subprocess.run(
        [*OSMIA, "run", traffic, "-p", "count", *packets(64), "-o", "parquet"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "osmia: this needs pyarrow: pip install 'osmia[parquet]'\n"


def test_json_lines_are_json(osmia: Cli, streams: Path) -> None:
    run = osmia("run", streams, "-o", "jsonl", *packets(64, 64))
    assert all(json.loads(line) for line in run.lines)
