"""Configurations in TOML: what they say as code, and one clear error for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.metrics import (
    Choice,
    Configuration,
    ConfigurationError,
    EventLog,
    Otlp,
    Telemetry,
    View,
)
from osmia.metrics.checks import facts_of
from osmia.metrics.configuration import FleetObjects, ObjectFile, Pinned

SUMMARIES = Path(__file__).parent.parent / "summaries"
WHOLE = """
[object]
file = "flows.bpf.c"
programs = ["ingress"]
globals = { limit = 5, verbose = true, name = "x" }
interface = "eth0"
direction = "egress"

[metrics]
prefix = "net"
rest = true
most_entries = 100
programs = false

[[metric]]
map = "flows"
member = "packets"
name = "net_packets"
help = "Packets of a flow."
unit = "{packet}"
labels = { from_port = "port" }

[[metric]]
variable = "seen"
kind = "gauge"

[[metric]]
map = "drops"
labels = ["index"]

[[log]]
map = "events"
name = "packet.dropped"
severity = "WARN"
time = "seen_ns"
clock = "boottime"
attributes = ["size", "to.port"]
body = "dropped {size} bytes"
type = "event"

[prometheus]
listen = "0.0.0.0:9435"

[otlp]
endpoint = "https://collector:4318"
headers = { authorization = "Bearer x" }
compression = "gzip"
certificate = "ca.pem"
timeout = 5
interval = 7.5
queue = 100
resource = { "service.name" = "edge" }
metrics = false
"""


def read(tmp_path: Path, text: str) -> Configuration:
    path = tmp_path / "telemetry.toml"
    path.write_text(text)
    return Configuration.read(path)


def test_a_file_says_what_code_says(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert found.subject == ObjectFile(
        str(tmp_path / "flows.bpf.c"),
        ("ingress",),
        {"limit": "5", "verbose": "true", "name": "x"},
        interface="eth0",
        direction="egress",
    )
    assert found.telemetry == Telemetry(
        Choice(
            "net",
            (
                View(
                    "flows",
                    "packets",
                    "net_packets",
                    "Packets of a flow.",
                    "{packet}",
                    labels={"from_port": "port"},
                ),
                View("seen", kind="gauge"),
                View("drops", labels=("index",)),
            ),
            rest=True,
            most_entries=100,
        ),
        (
            EventLog(
                "events",
                "packet.dropped",
                "WARN",
                "seen_ns",
                "boottime",
                ("size", "to.port"),
                "dropped {size} bytes",
                "event",
            ),
        ),
        "0.0.0.0:9435",
        Otlp(
            "https://collector:4318",
            {"authorization": "Bearer x"},
            "gzip",
            "ca.pem",
            timeout=5.0,
            interval=7.5,
            queue=100,
            resource={"service.name": "edge"},
            metrics=False,
        ),
    )


def test_what_is_not_said_is_as_code_has_it(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Configuration(tmp_path / "telemetry.toml")
    assert read(tmp_path, "[otlp]").telemetry == Telemetry(otlp=Otlp())
    pinned = read(tmp_path, '[object]\npinned = "/sys/fs/bpf/flows"')
    assert pinned.subject == Pinned(Path("/sys/fs/bpf/flows"))
    fleet = read(tmp_path, '[fleet]\nscheduler = "tls://one:8786"\nobjects = ["limit"]')
    assert fleet.subject == FleetObjects("tls://one:8786", names=("limit",))
    fleet = read(tmp_path, '[fleet]\nscheduler = "tls://one:8786"\nca = "ca.pem"\ninsecure = true')
    access = {"ca": tmp_path / "ca.pem", "insecure": True}
    assert fleet.subject == FleetObjects("tls://one:8786", access=access)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("otlp", ": no TOML: Expected '=' after a key in a key/value pair"),
        ("[oltp]", " has no table 'oltp'; did you mean 'otlp'?"),
        ("[otlp]\nintervall = 5", ": [otlp] has no key 'intervall'; did you mean 'interval'?"),
        ("[[log]]\nmap = 'a'\nlevel = 'x'\n[otlp]", ": [[log]] 1 has no key 'level'"),
        ("[otlp]\ninterval = '5'", ": [otlp] interval: a number is wanted, not '5'"),
        ("[otlp]\ninterval = 0", ": [otlp] interval 0: a number of seconds above 0"),
        ("[otlp]\ntimeout = nan", ": [otlp] timeout nan: a number of seconds above 0"),
        ("[otlp]\nqueue = 0", ": [otlp] queue: 0: from 1 to 10000000"),
        ("[otlp]\nqueue = true", ": [otlp] queue: a whole number is wanted, not True"),
        ("[otlp]\nendpoint = 'here'", ": [otlp] endpoint 'here' begins with neither http:// nor"),
        ("[otlp]\nheaders = { a = 1 }", ": [otlp] headers.a: text is wanted, not 1"),
        ("[otlp]\ncompression = 'zstd'", ": [otlp] compression 'zstd': none, gzip or deflate"),
        ("[otlp]\nclient_key = 'k'", ": [otlp] client_key: there is no client_certificate that"),
        ("otlp = 5", ": [otlp]: a table is wanted, not 5"),
        ("[prometheus]", ": [prometheus] listen: is missing"),
        ("[prometheus]\nlisten = ''", ": [prometheus] listen: is empty"),
        ("[prometheus]\nlisten = 'x'", ": [prometheus] listen: 'x' is no address: [HOST]:PORT"),
        ("[metrics]\nmost_entries = -1", ": [metrics] most_entries: -1: from 1 to 10000000"),
        ("[[metric]]", ": [[metric]] 1 map: a map or a variable is wanted, one of them"),
        ("[metric]\nmap = 'a'", ": metric: tables are wanted: [[metric]]"),
        ("[[metric]]\nmap = 'a'\nname = 'x.y'", ": [[metric]] 1 name 'x.y': letters, digits"),
        (
            "[[metric]]\nmap = 'a'\n[[metric]]\nmap = 'a'\nkind = 'sum'",
            ": [[metric]] 2 kind 'sum': counter or gauge",
        ),
        ("[[metric]]\nmap = 'a'\nlabels = [1]", ": [[metric]] 1 labels: text is wanted in the"),
        ("[[metric]]\nmap = 'a'\nlabels = {a='b', c='b'}", ": [[metric]] 1 labels: two are called"),
        ("[[log]]\nmap = 'a'", ": [[log]]: logs are sent by OTLP, there is no [otlp]"),
        ("[[log]]\nmap='a'\n[[log]]\nmap='a'\n[otlp]", ": [[log]]: map 'a' has two logs"),
        ("[[log]]\nmap = 'a'\nbody = '{}'\n[otlp]", ": [[log]] 1 body '{}': braces have the name"),
        ("[object]", ": [object] file: is missing"),
        ("[object]\nfile = 'a'\npinned = 'b'", ": [object] pinned: there is a file, too"),
        ("[object]\nfile = 'a'\nmode = 'fast'", ": [object] mode: 'fast': native or generic"),
        ("[object]\nfile = 'a'\nglobals = { a = [] }", ": [object] globals.a: text or a number"),
        ("[object]\nfile='a'\n[fleet]\nscheduler='b'", ": [object] and [fleet]: it is of one"),
        ("[fleet]\nobjects = 'limit'", ": [fleet] scheduler: is missing"),
        ("[fleet]\nscheduler='s'\nobjects = 'limit'", ": [fleet] objects: an array is wanted, not"),
    ],
)
def test_each_mistake_is_one_error_with_file_table_and_key(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        read(tmp_path, text)
    assert str(told.value).startswith(f"{tmp_path / 'telemetry.toml'}{said}")
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(osmia.OsmiaError, match=r"cannot read .*/none: No such file or directory"):
        Configuration.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("map = 'flow'", "the object has no map or variable 'flow'; did you mean 'flows'?"),
        ("map = 'calls'", "'calls' has no numbers"),
        ("map = 'flows'\nmember = 'packet'", "member: the value of 'flows' has no 'packet'; did"),
        ("map = 'flows'\nlabels = ['port']", "labels: the key of 'flows' has no member 'port': fr"),
        ("map = 'only'\nlabels = ['index']", "labels: the key of 'only' has no member 'index', it"),
        ("map = 'drops'\nlabels = ['element']", "labels: the key of 'drops' has no member 'elem"),
        ("variable = 'limit'", "the object has no map or variable 'limit'"),
    ],
)
def test_what_an_object_does_not_have_is_said_without_a_load(
    tmp_path: Path, text: str, said: str
) -> None:
    found = read(tmp_path, f"[[metric]]\nmap = 'flows'\n[[metric]]\n{text}")
    facts = facts_of(osmia.compile(SUMMARIES / "numbers.bpf.c"))
    with pytest.raises(ConfigurationError) as told:
        found.check([facts])
    assert str(told.value).startswith(f"{found.path}: [[metric]] 2: {said}")
    read(
        tmp_path,
        "[[metric]]\nmap='flows'\nmember='sizes'\nlabels=['from.port','mark','element']\n"
        "[[metric]]\nmap='drops'\nlabels=['index']\n[[metric]]\nvariable='seen'",
    ).check([facts])
