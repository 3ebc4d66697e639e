"""Metrics by OTLP, as a receiver decodes them, beside what Prometheus gets."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import osmia

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from osmia.metrics import Choice, EventLog, Metrics, Otlp, View, export
from osmia.metrics.families import Family, Point
from osmia.metrics.feeds import Feed
from osmia.metrics.reading import Reading

from .receiver import Receiver, attributes

SUMMARIES = Path(__file__).parent.parent / "summaries"
ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


@pytest.fixture(scope="module", params=ENGINES)
def numbers(request: pytest.FixtureRequest) -> Iterator[osmia.LoadedObject]:
    """numbers.bpf.c after two runs."""
    with osmia.compile(SUMMARIES / "numbers.bpf.c").load(request.param) as loaded:
        for _ in range(2):
            loaded.programs["count"].run(bytes(64))
        yield loaded


def sent(receiver: Receiver, loaded: osmia.LoadedObject, **choice: Any) -> dict[str, Metric]:
    """What is sent of an object in the end."""
    with export(loaded, Otlp(receiver.url), choice=Choice(**choice), say=pytest.fail):
        pass
    return receiver.last()


def prometheus_values(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for each in metrics.collect()
        for sample in each.samples
    }


def otlp_values(
    metrics: dict[str, Metric],
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Of OTLP what Prometheus would call it."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for name, metric in metrics.items():
        kind = metric.WhichOneof("data")
        for point in getattr(metric, str(kind)).data_points:
            labels = attributes(point.attributes)
            if kind == "histogram":
                total = 0
                ends = [*map(repr, point.explicit_bounds), "+Inf"]
                for end, count in zip(ends, point.bucket_counts, strict=True):
                    total += count
                    key = f"{name}_bucket", frozenset({**labels, "le": end}.items())
                    found[key] = total
                assert total == point.count
                continue
            value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
            full = f"{name}_total" if kind == "sum" else name
            found[full, frozenset(labels.items())] = value
    return found


def test_each_number_is_as_prometheus_has_it(
    receiver: Receiver, numbers: osmia.LoadedObject
) -> None:
    told = otlp_values(sent(receiver, numbers))
    assert told == prometheus_values(Metrics(numbers))
    assert told["bpf_ports_total", frozenset({("index", "900")})] == 8


@pytest.mark.parametrize("engine", ENGINES)
def test_histograms_have_the_buckets_that_prometheus_has(receiver: Receiver, engine: str) -> None:
    with osmia.compile(SUMMARIES / "histograms.bpf.c").load(engine) as loaded:
        for size in (64, 64, 65, 1500):
            loaded.programs["measure"].run(bytes(size))
        metrics = sent(receiver, loaded)
        assert otlp_values(metrics) == prometheus_values(Metrics(loaded))
    histogram = metrics["bpf_size_hist"].histogram
    assert histogram.aggregation_temporality == CUMULATIVE
    (point,) = histogram.data_points
    assert (point.count, point.HasField("sum"), point.HasField("min")) == (4, False, False)
    assert point.bucket_counts[list(point.explicit_bounds).index(127.0)] == 3


def test_sums_gauges_units_and_where_they_come_from(
    receiver: Receiver, numbers: osmia.LoadedObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,host.id=7")
    otlp = Otlp(receiver.url, headers={"authorization": "Bearer me"}, compression="gzip")
    before = time.time_ns()
    with export(numbers, otlp, say=pytest.fail):
        receiver.wait(lambda: receiver.metrics)
    (resource,) = receiver.metrics[-1].resource_metrics
    described = attributes(resource.resource.attributes)
    assert described.pop("service.instance.id")
    assert {name: described[name] for name in described if name[:9] != "telemetry"} == {
        "service.name": "osmia",
        "host.name": socket.gethostname(),
        "host.arch": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "host.id": "7",
        "deployment.environment.name": "test",
    }
    assert described["telemetry.sdk.language"] == "python"
    (of,) = resource.scope_metrics
    assert (of.scope.name, of.scope.version) == ("osmia", osmia.__version__)
    metrics = receiver.last()
    packets = metrics["bpf_flows_packets"]
    assert packets.description == "flows.packets of a BPF program."
    assert packets.sum.is_monotonic
    assert packets.sum.aggregation_temporality == CUMULATIVE
    (point,) = packets.sum.data_points
    assert (point.WhichOneof("value"), point.as_int) == ("as_int", 3)
    assert 0 < point.start_time_unix_nano < point.time_unix_nano < time.time_ns()
    assert before < point.time_unix_nano
    (gauge,) = metrics["bpf_only"].gauge.data_points
    assert (gauge.as_int, gauge.start_time_unix_nano) == (-1, 0)
    headers = receiver.headers[-1]
    assert (headers["authorization"], headers["Content-Encoding"]) == ("Bearer me", "gzip")


@pytest.mark.kernel
def test_programs_runs_are_sums_that_began_when_they_were_loaded(receiver: Receiver) -> None:
    loading = time.time_ns()
    with osmia.compile(SUMMARIES / "numbers.bpf.c").load() as loaded:
        loaded_at = time.time_ns()
        metrics = sent(receiver, loaded, programs=True)
    assert metrics["bpf_program_seconds"].unit == "s"
    for name in ("bpf_program_runs", "bpf_program_seconds", "bpf_seen"):
        points = getattr(metrics[name], "sum" if name != "bpf_seen" else "gauge").data_points
        assert [attributes(each.attributes) for each in points] == (
            [{"program": "count"}] if name != "bpf_seen" else [{}]
        )
        if name != "bpf_seen":
            start = points[0].start_time_unix_nano
            assert loading - 50_000_000 < start < loaded_at + 1_000_000_000


COUNTERS = """
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
struct key { __u32 port; __u32 host; };
struct value { __u64 packets; __u64 bytes; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64);
  __type(key, struct key); __type(value, struct value); } flows SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
  __type(key, __u32); __type(value, __u64); } each_cpu SEC(".maps");
__u64 seen, huge;
SEC("xdp") int count(struct xdp_md *ctx)
{ return bpf_map_lookup_elem(&flows, &seen) || bpf_map_lookup_elem(&each_cpu, &seen) || huge; }
char L[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def counters(tmp_path_factory: pytest.TempPathFactory) -> osmia.Object:
    path = tmp_path_factory.mktemp("counters") / "counters.bpf.c"
    path.write_text(COUNTERS)
    return osmia.compile(path)


def starts(metric: Metric) -> dict[str, int]:
    return {
        attributes(each.attributes).get("port", ""): each.start_time_unix_nano
        for each in metric.sum.data_points
    }


def test_sums_begin_anew_where_they_were_set_back_and_keep_their_start_otherwise(
    receiver: Receiver, counters: osmia.Object
) -> None:
    def read() -> None:
        count = len(receiver.metrics)
        receiver.wait(lambda: len(receiver.metrics) >= count + 2)  # one that began behind this

    with counters.load("vm") as loaded:
        flows = loaded.maps["flows"]
        loaded.data["seen"] = 7
        flows[(80, 0)] = {"packets": 5, "bytes": 9}
        with export(loaded, Otlp(receiver.url, interval=0.02), say=pytest.fail):
            read()
            first = receiver.last()
            loaded.data["seen"] = 9
            flows[(80, 0)] = {"packets": 2, "bytes": 10}
            flows[(443, 0)] = {"packets": 1, "bytes": 1}
            read()
            second = receiver.last()
            loaded.data["seen"] = 8
            read()
            third = receiver.last()
    assert starts(second["bpf_seen"]) == starts(first["bpf_seen"])
    assert starts(third["bpf_seen"])[""] > starts(first["bpf_seen"])[""]
    packets = starts(second["bpf_flows_packets"])
    assert packets["80"] > starts(first["bpf_flows_packets"])["80"]
    assert packets["443"] > starts(first["bpf_flows_packets"])["80"]
    assert starts(second["bpf_flows_bytes"])["80"] == starts(first["bpf_flows_bytes"])["80"]
    assert second["bpf_flows_bytes"].unit == "By"


def test_cpus_are_added_up_and_numbers_that_otlp_has_no_integer_for_are_floats(
    receiver: Receiver, counters: osmia.Object
) -> None:
    with counters.load("vm") as loaded:
        cpus = len(loaded.maps["each_cpu"][0])
        loaded.maps["each_cpu"][0] = [3] * cpus
        loaded.data["huge"] = (1 << 64) - 1
        metrics = sent(receiver, loaded)
    assert metrics["bpf_each_cpu"].sum.data_points[0].as_int == 3 * cpus
    (point,) = metrics["bpf_huge"].sum.data_points
    assert (point.WhichOneof("value"), point.as_double) == ("as_double", float(1 << 64))


def test_views_say_which_numbers_and_what_they_are_called(
    receiver: Receiver, counters: osmia.Object
) -> None:
    views = (
        View("flows", "packets", "net_packets", "Packets.", "{packet}", labels={"port": "to"}),
        View("flows", "bytes", "net_bytes_total", labels=()),
        View("seen", kind="gauge"),
    )
    with counters.load("vm") as loaded:
        flows = loaded.maps["flows"]
        for host in range(3):
            flows[(80, host)] = {"packets": 5, "bytes": 100}
        flows[(443, 0)] = {"packets": 1, "bytes": 1}
        metrics = sent(receiver, loaded, views=views)
        assert otlp_values(metrics) == prometheus_values(Metrics(loaded, views=views))
        rest = sent(receiver, loaded, views=views, rest=True)
    assert set(metrics) == {"net_packets", "net_bytes", "bpf_seen"}
    assert (metrics["net_packets"].description, metrics["net_packets"].unit) == (
        "Packets.",
        "{packet}",
    )
    assert otlp_values(metrics) == {
        ("net_packets_total", frozenset({("to", "80")})): 15,
        ("net_packets_total", frozenset({("to", "443")})): 1,
        ("net_bytes_total", frozenset()): 301,
        ("bpf_seen", frozenset()): 0,
    }
    assert set(rest) == {*metrics, "bpf_huge", "bpf_each_cpu"}


class Large:
    """A source of more points than a request has."""

    def read(self) -> list[Reading]:
        points = [Point((("at", str(at)),), at) for at in range(12_000)]
        return [Reading("", [Family("large", "counter", "Many.", "", points)])]

    def feed(self, logs: Sequence[EventLog]) -> Feed:
        raise NotImplementedError


def test_many_points_are_several_requests(receiver: Receiver) -> None:
    with export(Large(), Otlp(receiver.url), say=pytest.fail):
        receiver.wait(lambda: len(receiver.metrics) >= 2)
    sums = [
        receiver.metrics[at].resource_metrics[0].scope_metrics[0].metrics[0].sum for at in range(2)
    ]
    assert [len(each.data_points) for each in sums] == [10_000, 2_000]
    assert {(each.is_monotonic, each.aggregation_temporality) for each in sums} == {
        (True, CUMULATIVE)
    }
    assert [each.as_int for part in sums for each in part.data_points] == list(range(12_000))


def test_a_source_that_cannot_be_read_is_told_once_and_tried_again(receiver: Receiver) -> None:
    said: list[str] = []

    class Away(Large):
        away = True

        def read(self) -> list[Reading]:
            if self.away:
                raise OSError("the scheduler is away")
            return [Reading("", [Family("x", "gauge", "", "", [Point((), 1)])])]

    source = Away()
    with export(source, Otlp(receiver.url, interval=0.02), say=said.append):
        receiver.wait(lambda: said)
        source.away = False
        receiver.wait(lambda: receiver.metrics)
    assert said == [
        "OTLP: reading: the scheduler is away; it is tried again",
        f"OTLP: {receiver.url}/v1/metrics takes it again",
    ]


def test_nothing_secret_is_said_of_where_it_does_not_go(receiver: Receiver) -> None:
    said: list[str] = []
    place = receiver.url.replace("http://", "http://me:s3cret@")
    otlp = Otlp(place, headers={"authorization": "Bearer s3cret\n"}, timeout=0.5)
    with export(Large(), otlp, say=said.append) as exporter:
        assert exporter.places == [f"{receiver.url}/v1/metrics"]
    assert said == [
        f"OTLP: {receiver.url}/v1/metrics: a header that HTTP does not allow; it is tried again"
    ]
