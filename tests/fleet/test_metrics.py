"""What a fleet counts, told by host; a host that is lost is down, and the others go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from osmia.fleet import Fleet, FleetMetrics
from osmia.metrics import EventLog, Otlp, View, export
from osmia.metrics.choice import Choice
from osmia.object import Object
from osmia.toolchain.objects import compile_object

from ..metrics.receiver import Receiver, attributes, receiving, value_of
from .conftest import SCHEDULER, Cluster, compiled, in_network_of, wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
    with receiving() as made:
        yield made


def samples(collector: FleetMetrics) -> dict[tuple[str, str], float]:
    """The values by name and host."""
    registry = CollectorRegistry()
    registry.register(collector)
    found: list[Metric] = list(registry.collect())
    return {(s.name, s.labels["host"]): s.value for each in found for s in each.samples}


def test_each_host_is_a_resource_with_what_it_counts(
    fleet: Fleet, limit: Object, receiver: Receiver
) -> None:
    loading = time.time_ns()
    running = fleet.load(limit)
    for host, runs in (("host0", 1), ("host1", 3)):
        for _ in range(runs):
            fleet.ask_host(host, "run", running.name, "ingress", bytes(64))
    source = FleetMetrics(running)
    with export(source, Otlp(receiver.url), say=pytest.fail):
        pass
    running.close()
    resources = {
        attributes(each.resource.attributes)["host.name"]: attributes(each.resource.attributes)
        for each in receiver.metrics[-1].resource_metrics
    }
    assert sorted(resources) == ["host0", "host1", "host2", "host3"]
    assert {each["service.name"] for each in resources.values()} == {"osmia"}
    assert {each["service.instance.id"] for each in resources.values()} == set(resources)
    for host, runs in (("host0", 1), ("host1", 3), ("host2", 0)):
        found = receiver.last(host)
        (seen,) = found["bpf_seen"].sum.data_points
        assert seen.as_int == runs
        assert loading - 100_000_000 < seen.start_time_unix_nano < time.time_ns()
        assert found["bpf_host_up"].gauge.data_points[0].as_int == 1
        points = found["bpf_flows_packets"].sum.data_points if runs else []
        assert [attributes(each.attributes) for each in points] == [
            {"source": "64", "zone": "0"}
        ] * bool(runs)
        (program,) = found["bpf_program_runs"].sum.data_points
        assert attributes(program.attributes) == {"program": "ingress"}


def test_several_objects_are_told_apart_and_views_apply(
    fleet: Fleet, limit: Object, receiver: Receiver
) -> None:
    one, two = fleet.load(limit, name="one"), fleet.load(compiled("XDP_TX"), name="two")
    two.run("ingress", bytes(64))
    choice = Choice(views=(View("seen", name="net_seen"),))
    metrics = FleetMetrics(one, two, choice=choice)
    registry = CollectorRegistry()
    registry.register(metrics)
    told = {
        (s.name, s.labels["host"], s.labels.get("object", "")): s.value
        for each in registry.collect()
        for s in each.samples
    }
    assert told["net_seen_total", "host1", "one"] == 0
    assert told["net_seen_total", "host1", "two"] == 1
    assert {name for name, _, _ in told} == {"bpf_host_up", "net_seen_total"}
    with pytest.raises(ValueError, match="no map or variable 'sean'; did you mean 'seen'"):
        FleetMetrics(one, two, choice=Choice(views=(View("sean"),)))
    one.close()
    two.close()


def test_events_of_all_hosts_are_log_records(
    fleet: Fleet, limit: Object, receiver: Receiver
) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    log = EventLog("drops", "packet.dropped", "WARN", "seen_ns", body="{size} bytes")
    begin = time.time_ns()
    with export(FleetMetrics(running), Otlp(receiver.url), logs=[log], say=pytest.fail):
        for _ in range(2):
            running.run("ingress", bytes(64))
        receiver.wait(lambda: len(receiver.records()) >= 8)
    running.close()
    counted: Counter[str] = Counter()
    for request in receiver.logs:
        for resource in request.resource_logs:
            host = attributes(resource.resource.attributes)["host.name"]
            for record in resource.scope_logs[0].log_records:
                counted[host] += 1
                told = attributes(record.attributes)
                assert (told["size"], set(told)) == (64, {"size", "number"})
                assert value_of(record.body) == "64 bytes"
                assert begin - 50_000_000 < record.time_unix_nano < time.time_ns() + 50_000_000
                assert (record.event_name, record.severity_text) == ("packet.dropped", "WARN")
    assert counted == dict.fromkeys(["host0", "host1", "host2", "host3"], 2)
    sent = receiver.last("host2")["bpf_log_records_sent"].sum.data_points
    assert [(attributes(each.attributes), each.as_int) for each in sent] == [({"map": "drops"}, 2)]


PERF = """
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
struct note { __u32 size; };
struct note last;
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
  __uint(value_size, 4); } notes SEC(".maps");
SEC("xdp") int ingress(struct xdp_md *ctx)
{
  struct note note = { ctx->data_end - ctx->data };
  last = note;
  bpf_perf_event_output(ctx, &notes, BPF_F_CURRENT_CPU, &note, sizeof(note));
  return XDP_PASS;
}
char L[] SEC("license") = "GPL";
"""


def test_events_of_perf_buffers_are_too_with_what_was_lost(
    fleet: Fleet, receiver: Receiver, tmp_path: Path
) -> None:
    source = tmp_path / "notes.bpf.c"
    source.write_text(PERF)
    running = fleet.load(compile_object(source))
    with export(FleetMetrics(running), Otlp(receiver.url), logs=[EventLog("notes")]):
        # A reader has to be there before: a perf buffer keeps nothing for one that comes.
        end = time.monotonic() + 20
        while len({_host(each) for each in receiver.logs}) < 4 and time.monotonic() < end:
            running.run("ingress", bytes(64))
    running.close()
    told = attributes(receiver.records()[0].attributes)
    assert (told["size"], set(told)) == (64, {"cpu", "size"})
    for number in range(4):
        found = receiver.last(f"host{number}")
        assert found["bpf_log_records_sent"].sum.data_points[0].as_int > 0
        assert found["bpf_events_lost"].sum.data_points[0].as_int == 0


def _host(request: ExportLogsServiceRequest) -> str:
    return str(attributes(request.resource_logs[0].resource.attributes)["host.name"])


def test_the_command_tells_as_a_file_says(
    cluster: Cluster, fleet: Fleet, limit: Object, tmp_path: Path
) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    running.run("ingress", bytes(64))
    file = tmp_path / "telemetry.toml"
    with in_network_of(cluster.scheduler.pid):
        receiver = Receiver()
    with receiving(receiver):
        file.write_text(f"""
[fleet]
scheduler = "{SCHEDULER}"
name = "{fleet.name}"
[[metric]]
variable = "seen"
name = "net_seen"
[[log]]
map = "drops"
[otlp]
endpoint = "{receiver.url}"
""")
        command = ["nsenter", "-t", str(cluster.scheduler.pid), "-n", sys.executable, "-m"]
        command += ["osmia", "fleet", "metrics", "--config", str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as telling:
            receiver.wait(lambda: len(receiver.records()) >= 4)
            telling.send_signal(signal.SIGINT)
            _, said = telling.communicate(timeout=30)
        assert telling.returncode == 130
        assert said == "".join(
            [f"sends to {receiver.url}/v1/{each}\n" for each in ("metrics", "logs")]
            + ["Ctrl-C ends\n"]
        )
        assert receiver.last("host3")["net_seen"].sum.data_points[0].as_int == 1
        file.write_text(file.read_text().replace('"seen"', '"sean"'))
        wrong = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith(f"osmia: {file}: [[metric]] 1: the object has no map or")
    running.close()


@pytest.fixture
def impatient(cluster: Cluster) -> Iterator[Fleet]:
    """A fleet of which a host that does not answer is lost soon."""
    made = cluster.fleet("impatient", timeout=2.0)
    wait_for(lambda: len(made.hosts) == 4)
    yield made
    made.close()


def test_a_host_that_is_lost_is_down_and_the_others_are_read(
    cluster: Cluster, impatient: Fleet, limit: Object, receiver: Receiver
) -> None:
    running = impatient.load(limit)
    running.run("ingress", bytes(64))
    metrics = FleetMetrics(running)
    assert samples(metrics)["bpf_seen_total", "host3"] == 1
    with export(metrics, Otlp(receiver.url, interval=0.05), say=pytest.fail):
        receiver.wait(lambda: receiver.metrics)
        seen = {h: receiver.last(h)["bpf_seen"].sum.data_points[0] for h in ("host0", "host3")}
        cluster.kill(3)
        wait_for(lambda: receiver.last("host3")["bpf_host_up"].gauge.data_points[0].as_int == 0)
        assert "bpf_seen" not in receiver.last("host3")
        again = receiver.last("host0")["bpf_seen"].sum.data_points[0]
        assert again.start_time_unix_nano == seen["host0"].start_time_unix_nano
    found = samples(metrics)
    assert ("bpf_seen_total", "host3") not in found
    assert [found["bpf_host_up", f"host{n}"] for n in range(3)] == [1, 1, 1]
    assert [found["bpf_seen_total", f"host{n}"] for n in range(3)] == [1, 1, 1]
    cluster.start(3)
    wait_for(lambda: samples(metrics)["bpf_host_up", "host3"] == 1)
