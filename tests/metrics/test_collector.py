"""Maps and variables as Prometheus metrics, on both engines, read by Prometheus' own parsers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia

pytest.importorskip("prometheus_client")
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families

from osmia.metrics import Metrics

SUMMARIES = Path(__file__).parent.parent / "summaries"
ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]


@pytest.fixture(scope="module", params=ENGINES)
def numbers(request: pytest.FixtureRequest) -> Iterator[osmia.LoadedObject]:
    """numbers.bpf.c after two runs."""
    with osmia.compile(SUMMARIES / "numbers.bpf.c").load(request.param) as loaded:
        for _ in range(2):
            loaded.programs["count"].run(bytes(64))
        yield loaded


@pytest.fixture(scope="module", params=ENGINES)
def sizes(request: pytest.FixtureRequest) -> Iterator[osmia.LoadedObject]:
    """histograms.bpf.c after packets of these sizes."""
    with osmia.compile(SUMMARIES / "histograms.bpf.c").load(request.param) as loaded:
        for size in (64, 64, 65, 1500):
            loaded.programs["measure"].run(bytes(size))
        yield loaded


def scraped(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Names, labels and values, as both formats have them."""
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()
    found = [s for each in text_string_to_metric_families(text) for s in each.samples]
    assert len({(s.name, frozenset(s.labels.items())) for s in found}) == len(found), text
    open_text = exposition.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    families = parser.text_string_to_metric_families(open_text)  # type: ignore[no-untyped-call]
    told = [s for each in families for s in each.samples]
    assert {s.name for s in told} == {s.name for s in found}
    return {(s.name, frozenset(s.labels.items())): s.value for s in found}


def labels(**given: str) -> frozenset[tuple[str, str]]:
    return frozenset(given.items())


def kinds(metrics: Metrics) -> dict[str, str]:
    return {each.name: each.type for each in metrics.collect()}


def test_numbers_are_metrics_with_labels_from_keys(numbers: osmia.LoadedObject) -> None:
    found = scraped(Metrics(numbers))
    flow = {"from_port": "80", "from_dev": "lo", "mark": "7"}
    assert found["bpf_flows_packets_total", labels(**flow)] == 3
    assert found["bpf_flows_sizes_total", labels(**flow, element="1")] == 2
    assert found["bpf_drops_total", labels(index="1")] == 2
    assert found["bpf_ports_total", labels(index="900")] == 8
    assert found["bpf_only", labels()] == -1
    assert found["bpf_seen", labels()] == 10
    assert found["bpf_ready", labels()] == 1
    assert not any("limit" in name or "rodata" in name for name, _ in found)


def test_unsigned_numbers_are_counters_unless_told(numbers: osmia.LoadedObject) -> None:
    told = kinds(Metrics(numbers))
    assert (told["bpf_flows_packets"], told["bpf_drops"]) == ("counter", "counter")
    assert (told["bpf_seen"], told["bpf_only"], told["bpf_ready"]) == ("gauge", "gauge", "gauge")
    told = kinds(Metrics(numbers, gauges=["flows.packets", "drops"], prefix="my-app"))
    assert (told["my_app_flows_packets"], told["my_app_drops"]) == ("gauge", "gauge")
    assert told["my_app_flows_sizes"] == "counter"
    with pytest.raises(ValueError, match="no map and no variable 'flow'"):
        Metrics(numbers, gauges=["flow"])


def test_addresses_are_labels_and_moments_gauges(engine: str) -> None:
    with osmia.compile(SUMMARIES / "addresses.bpf.c").load(engine) as loaded:
        loaded.programs["watch"].run(bytes(64))
        found, told = scraped(Metrics(loaded)), kinds(Metrics(loaded))
    peer = {"saddr": "10.0.0.1", "dport": "443", "mac": "02:00:00:00:00:09"}
    assert found["bpf_peers_packets_total", labels(**peer)] == 1
    assert found["bpf_networks_total", labels(key="10.0.0.0/8")] == 3
    assert told == {
        "bpf_peers_packets": "counter",
        "bpf_peers_last_seen_ns": "gauge",
        "bpf_networks": "counter",
    }


def test_histograms_are_histograms(sizes: osmia.LoadedObject) -> None:
    found = scraped(Metrics(sizes))
    name = "bpf_size_hist_bucket"
    assert [found[name, labels(le=le)] for le in ("63.0", "127.0", "1023.0", "2047.0", "+Inf")] == [
        0,
        3,
        3,
        4,
        4,
    ]
    by_key = {"parity": "1", "name": "veth"}
    assert found["bpf_sizes_bucket", labels(**by_key, le="127.0")] == 1
    assert found["bpf_by_parity_bucket", labels(key="0", le="+Inf")] == 3
    assert found["bpf_all_bucket", labels(le="+Inf")] == 4
    assert found["bpf_counters_total", labels(index="6")] == 3  # it does not say what it is
    told = kinds(Metrics(sizes))
    assert told["bpf_size_hist"] == told["bpf_lengths_hist"] == "histogram"


def test_a_map_that_is_too_large_is_cut_and_says_so(numbers: osmia.LoadedObject) -> None:
    found = scraped(Metrics(numbers, most_entries=1))
    assert found["bpf_truncated", labels(map="drops")] == 1
    assert ("bpf_drops_total", labels(index="1")) not in found
    assert found["bpf_drops_total", labels(index="0")] == 0
    assert ("bpf_truncated", labels(map="flows")) not in found


def test_a_closed_collector_and_a_closed_object_tell_nothing(engine: str) -> None:
    loaded: Any = osmia.compile(SUMMARIES / "numbers.bpf.c").load(engine)
    with loaded:
        with Metrics(loaded) as metrics:
            assert kinds(metrics)
        assert kinds(metrics) == {}
        other = Metrics(loaded)
    assert kinds(other) == {}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


NAMES = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct key { __u32 __x; __u32 le; char text[8]; };
struct value { __u64 b_c; __u64 total; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
  __type(key, struct key); __type(value, struct value); } a SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
  __type(key, struct key); __type(value, __u64); } a_b_c SEC(".maps");
SEC("xdp") int x(struct xdp_md *c) { return bpf_map_lookup_elem(&a, c) || a_b_c_total; }
"""


def test_names_that_meet_and_text_that_is_no_text_stay_valid(tmp_path: Path) -> None:
    path = tmp_path / "names.bpf.c"
    path.write_text(
        NAMES.replace('SEC("xdp")', '__u64 a_b_c_total = 3;\nSEC("xdp")').replace(
            "bpf_map_lookup_elem(&a, c)", "0"
        )
    )
    with osmia.compile(path).load("vm") as loaded:
        key = {"__x": 1, "le": 2, "text": b'\xff"\n\\'}
        loaded.maps["a"][key] = {"b_c": 1, "total": 7}
        loaded.maps["a_b_c"][key] = 2
        found = scraped(Metrics(loaded, prefix=""))
    values = {name: value for (name, _), value in found.items()}
    assert values == {"a_b_c_total": 1, "a_total": 7, "a_b_c_2_total": 2, "a_b_c_3_total": 3}
    told = dict(next(labels for name, labels in found if name == "a_b_c_total"))
    assert told == {"key_x": "1", "le": "2", "text": '\\xff"\n\\'}
