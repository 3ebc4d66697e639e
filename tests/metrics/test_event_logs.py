"""Events as log records of OTLP: each field, bounds, and a receiver that misbehaves."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

import osmia

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from osmia.metrics import EventLog, Otlp, export

from .receiver import Receiver, attributes, value_of
from .test_exporting import otlp_values

ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]
SOURCE = """
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
enum why { TOO_LARGE, TOO_MANY };
struct inner { __u16 port; __s32 change; };
struct drop {
  __u64 seen_ns; __be32 saddr; __u32 size; char comm[16]; enum why why; struct inner to;
  __u8 mac[6]; __u8 raw[2]; __u16 list[3]; _Bool last; __u64 large; double share;
};
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1048576);
  __type(value, struct drop); } drops SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
  __uint(value_size, 4); } notes SEC(".maps");
struct short_note { __u32 number; };
struct short_note unused;
__u64 sent;
SEC("xdp") int ingress(struct xdp_md *ctx)
{
  struct drop drop;
  __builtin_memset(&drop, 0, sizeof(drop));
  drop.seen_ns = bpf_ktime_get_ns();
  drop.saddr = 0x0100000a;
  drop.size = ctx->data_end - ctx->data;
  drop.comm[0] = 'm'; drop.comm[1] = 'e';
  drop.why = TOO_MANY;
  drop.to.port = 80; drop.to.change = -2;
  drop.mac[5] = 9; drop.raw[0] = 1; drop.list[2] = 7; drop.last = 1; drop.large = ~0ULL;
  bpf_ringbuf_output(&drops, &drop, sizeof(drop), 0);
  __sync_fetch_and_add(&sent, 1);
  return XDP_DROP;
}
SEC("xdp") int note(struct xdp_md *ctx)
{
  struct short_note note = { ctx->data_end - ctx->data };
  bpf_perf_event_output(ctx, &notes, BPF_F_CURRENT_CPU, &note, sizeof(note));
  return XDP_PASS;
}
char L[] SEC("license") = "GPL";
"""
ATOMIC: Any = "atomic"
#: What is told of an event but for its time.
TOLD = {
    "saddr": "10.0.0.1",
    "size": 64,
    "comm": "me",
    "why": "TOO_MANY",
    "to.port": 80,
    "to.change": -2,
    "mac": "00:00:00:00:00:09",
    "raw": b"\x01\x00",
    "list": [0, 0, 7],
    "last": True,
    "large": str((1 << 64) - 1),
    "share": 0.0,
}


@pytest.fixture(scope="module")
def drops(tmp_path_factory: pytest.TempPathFactory) -> osmia.Object:
    path = tmp_path_factory.mktemp("drops") / "drops.bpf.c"
    path.write_text(SOURCE)
    return osmia.compile(path)


@pytest.fixture(params=ENGINES)
def loaded(drops: osmia.Object, request: pytest.FixtureRequest) -> Iterator[osmia.LoadedObject]:
    with drops.load(request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records wait for no others."""
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")


def counted(receiver: Receiver) -> dict[str, float]:
    """What became of events, as the last metrics say."""
    names = ("bpf_log_records_sent", "bpf_log_records_dropped", "bpf_events_lost")
    values = otlp_values({n: each for n, each in receiver.last().items() if n in names})
    return {name.removesuffix("_total"): value for (name, _), value in values.items()}


def test_a_record_has_each_field_of_the_event(
    receiver: Receiver, loaded: osmia.LoadedObject
) -> None:
    log = EventLog(
        "drops", "packet.dropped", "WARN2", "seen_ns", body="{size} bytes from {saddr}: {why}"
    )
    begin = time.time_ns()
    with export(loaded, Otlp(receiver.url), logs=[log], say=pytest.fail):
        loaded.programs["ingress"].run(bytes(64))
    (record,) = receiver.records()
    assert attributes(record.attributes) == TOLD
    assert record.event_name == "packet.dropped"
    assert value_of(record.body) == "64 bytes from 10.0.0.1: TOO_MANY"
    assert (record.severity_text, record.severity_number) == (
        "WARN2",
        SeverityNumber.SEVERITY_NUMBER_WARN2,
    )
    assert begin - 50_000_000 < record.time_unix_nano <= record.observed_time_unix_nano + 50_000_000
    assert begin < record.observed_time_unix_nano < time.time_ns()
    assert (record.trace_id, record.span_id) == (b"", b"")
    (resource,) = receiver.logs[0].resource_logs
    assert attributes(resource.resource.attributes)["service.name"] == "osmia"
    (of,) = resource.scope_logs
    assert (of.scope.name, of.scope.version) == ("osmia", osmia.__version__)
    assert counted(receiver) == {"bpf_log_records_sent": 1, "bpf_log_records_dropped": 0}


def test_a_record_without_more_said_has_all_members_and_no_time(
    receiver: Receiver, loaded: osmia.LoadedObject
) -> None:
    with export(loaded, Otlp(receiver.url, metrics=False), logs=[EventLog("drops")]):
        loaded.programs["ingress"].run(bytes(64))
    (record,) = receiver.records()
    told = attributes(record.attributes)
    seen = told.pop("seen_ns")
    assert told == TOLD
    assert (record.time_unix_nano, record.event_name) == (0, "bpf.drops")
    assert record.severity_text == "INFO"
    assert value_of(record.body) == (
        f"seen_ns={seen} saddr=10.0.0.1 size=64 comm=me why=TOO_MANY to.port=80 to.change=-2 "
        "mac=00:00:00:00:00:09 raw=0100 list='[0, 0, 7]' last=true "
        "large=18446744073709551615 share=0.0"
    )
    assert receiver.metrics == []


def test_members_can_be_chosen(receiver: Receiver, loaded: osmia.LoadedObject) -> None:
    log = EventLog("drops", attributes=["size", "to.port"], body="")
    with export(loaded, Otlp(receiver.url), logs=[log]):
        loaded.programs["ingress"].run(bytes(64))
    assert attributes(receiver.records()[0].attributes) == {"size": 64, "to.port": 80}


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """This thread stays on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.kernel
@pytest.mark.usefixtures("one_cpu")
def test_what_a_perf_buffer_lost_is_counted(receiver: Receiver, drops: osmia.Object) -> None:
    with drops.load() as loaded:
        notes = loaded.maps["notes"]
        notes.pages = 1
        assert notes.events.read() == []
        for _ in range(400):  # a page has room for far fewer
            loaded.programs["note"].run(bytes(64))
        with export(loaded, Otlp(receiver.url), logs=[EventLog("notes", type="short_note")]):
            receiver.wait(receiver.records)
            loaded.programs["note"].run(bytes(64))
    records = receiver.records()
    told = attributes(records[0].attributes)
    assert (told["number"], set(told)) == (64, {"cpu", "number"})
    found = counted(receiver)
    assert found["bpf_log_records_sent"] == len(records)
    assert found["bpf_events_lost"] == 401 - len(records)


def events(loaded: osmia.LoadedObject, count: int) -> None:
    for _ in range(count):
        loaded.programs["ingress"].run(bytes(64))


def test_more_events_than_there_is_room_wait_in_their_buffer(
    receiver: Receiver, drops: osmia.Object
) -> None:
    with drops.load("vm") as loaded:
        events(loaded, 200)
        otlp = Otlp(receiver.url, queue=20)
        with export(loaded, otlp, logs=[EventLog("drops")], say=pytest.fail):
            receiver.wait(lambda: len(receiver.records()) >= 150)
    assert len(receiver.records()) == 200
    assert counted(receiver)["bpf_log_records_sent"] == 200


def test_what_a_receiver_refuses_is_counted_and_told(
    receiver: Receiver, drops: osmia.Object
) -> None:
    said: list[str] = []
    receiver.refuses = 2
    with drops.load("vm") as loaded:
        events(loaded, 5)
        with export(loaded, Otlp(receiver.url), logs=[EventLog("drops")], say=said.append):
            receiver.wait(receiver.records)
    assert said == [
        f"OTLP: {receiver.url}/v1/logs: 2 were refused: too old; it is tried again",
        "OTLP: 2 log records could not be sent",
    ]
    assert counted(receiver)["bpf_log_records_sent"] == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (503, "HTTP 503 Service Unavailable"),
        (429, "HTTP 429 Too Many Requests"),
        (400, "HTTP 400 Bad Request"),
        ("close", "Remote end closed connection without response"),
        ("hang", "no answer in time"),
    ],
)
def test_a_receiver_that_misbehaves_is_one_message_and_bounds_hold(
    receiver: Receiver, drops: osmia.Object, answer: Any, reason: str, caplog: Any
) -> None:
    said: list[str] = []
    receiver.answer = answer
    with drops.load("vm") as loaded, caplog.at_level(logging.DEBUG):
        otlp = Otlp(receiver.url, timeout=0.2, interval=0.05, queue=10)
        with export(loaded, otlp, logs=[EventLog("drops")], say=said.append):
            receiver.wait(lambda: said)
            events(loaded, 30)
            receiver.wait(lambda: loaded.maps["drops"].events.pending == 0)
            assert loaded.programs["ingress"].run(bytes(64)).verdict == "XDP_DROP"
            receiver.answer = 200
            receiver.ended.set()
            receiver.wait(lambda: len(said) > 1)
            events(loaded, 3)
            receiver.wait(lambda: len(receiver.records()) >= 3)
    assert "OTLP: " + said[0].split(": ", 1)[1] == said[0]
    assert said[0].endswith(f": {reason}; it is tried again")
    assert said[1].endswith(" takes it again")
    found = counted(receiver)
    assert found["bpf_log_records_sent"] == len(receiver.records())
    assert found["bpf_log_records_sent"] + found["bpf_log_records_dropped"] == 34
    told = f"OTLP: {found['bpf_log_records_dropped']} log records could not be sent"
    assert said[2:] == ([told] if found["bpf_log_records_dropped"] else [])
    assert [each for each in caplog.records if each.name.startswith("opentelemetry")] == []


def test_nobody_who_listens_is_one_message_and_ends_soon(drops: osmia.Object) -> None:
    said: list[str] = []
    with drops.load("vm") as loaded:
        events(loaded, 3)
        with export(
            loaded,
            Otlp("http://127.0.0.1:9", timeout=0.2),
            logs=[EventLog("drops")],
            say=said.append,
        ):
            end = time.monotonic() + 10
            while not said and time.monotonic() < end:
                time.sleep(0.01)
            started = time.monotonic()
    assert time.monotonic() - started < 3
    assert len(said) == 2
    assert said[0].endswith(": Connection refused; it is tried again")
    assert said[1] == "OTLP: 3 log records could not be sent"


def test_the_environment_says_where_to(
    receiver: Receiver, drops: osmia.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    with drops.load("vm") as loaded, export(loaded, logs=[EventLog("drops")], say=pytest.fail):
        events(loaded, 1)
        receiver.wait(lambda: len(receiver.metrics) >= 3)
    assert receiver.records()
    assert {each["x-tenant"] for each in receiver.headers} == {"blue"}
    (resource,) = receiver.metrics[0].resource_metrics
    assert attributes(resource.resource.attributes)["service.name"] == "edge"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (lambda: EventLog("drop"), "the object has no map 'drop'; did you mean 'drops'"),
        (lambda: EventLog("drops", time="seen"), "an event of 'drops' has no member 'seen'; did"),
        (lambda: EventLog("drops", time="size"), "time 'size' is no integer of 8 bytes"),
        (lambda: EventLog("drops", body="{sise}"), "no member 'sise'; did you mean 'size'"),
        (lambda: EventLog("drops", attributes=["to"]), "an event of 'drops' has no member 'to'"),
        (lambda: EventLog("drops", time="share"), "time 'share' is no integer of 8 bytes"),
        (lambda: EventLog("drops", body="{cpu}"), "an event of 'drops' has no member 'cpu'"),
        (lambda: EventLog("drops", type="short"), "no type 'short'"),
        (lambda: EventLog("drops", body="{size:>8}"), "braces have the name of a member, no more"),
        (lambda: EventLog("drops", body="{size"), "expected '}' before end of string"),
        (lambda: EventLog("drops", severity="BAD"), "severity 'BAD': TRACE, DEBUG, INFO, WARN,"),
        (lambda: EventLog("drops", clock=ATOMIC), "clock 'atomic': monotonic, boottime, tai,"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    drops: osmia.Object, log: Any, reason: str
) -> None:
    with drops.load("vm") as loaded, pytest.raises(ValueError, match=reason):
        export(loaded, "http://127.0.0.1:9", logs=[log()])


def test_records_of_another_size_are_told_as_bytes(receiver: Receiver, drops: osmia.Object) -> None:
    from osmia.metrics.records import Records

    record: Any = Records(EventLog("drops", name="x", body="got {data}")).raw(b"\x01\x02")
    assert (record.attributes, record.body) == ({"data": b"\x01\x02"}, "got 0102")
    assert LogRecord().body.WhichOneof("value") is None
