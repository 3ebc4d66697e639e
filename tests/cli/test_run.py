"""`osmia run`: packets, attachments, events, Ctrl-C, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from osmia.events import TracePipe, trace_pipe

from .conftest import OSMIA, SOURCE, Result

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.one_at_a_time("trace-pipe"),
    pytest.mark.usefixtures("nothing_left"),
]
Cli = Callable[..., Result]

PCAP_HEADER = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
SMALL, LARGE = "00" * 64, "00" * 1200


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A pcap file of three small packets and a large one."""
    path = tmp_path / "four.pcap"
    records = b"".join(
        struct.pack("<IIII", second, 0, size, size) + bytes(size)
        for second, size in enumerate((64, 64, 80, 1200))
    )
    path.write_bytes(PCAP_HEADER + records)
    return path


def test_packets_are_run_and_verdicts_counted(osmia: Cli, compiled: Path, capture: Path) -> None:
    run = osmia("run", compiled, "--pcap", capture)
    assert run.status == 0, run.err
    assert run.out.count("events: size=") == 4
    assert 'events: size=1200 verdict=XDP_DROP name="packet"' in run.lines
    rows = [line.split() for line in run.lines]
    assert ["XDP_PASS", "3", "75.0%"] in rows
    assert ["XDP_DROP", "1", "25.0%"] in rows
    assert "4 packets in " in run.out
    assert ["64", "2", "128"] in rows
    assert ["seen", "4"] in rows
    assert ["label", '"demo"'] in rows


@pytest.mark.parametrize("engine", ["kernel", "vm"])
def test_of_a_capture_that_is_cut_off_what_was_run_is_reported(
    osmia: Cli, compiled: Path, capture: Path, engine: str
) -> None:
    capture.write_bytes(capture.read_bytes()[:-1])
    run = osmia("run", compiled, "--pcap", capture, "--engine", engine)
    assert run.status == 1
    assert "osmia: " in run.err and "the file ends within a packet" in run.err
    rows = [line.split() for line in run.lines]
    assert ["XDP_PASS", "3", "100.0%"] in rows
    assert ["64", "2", "128"] in rows and ["seen", "3"] in rows
    records = osmia("run", compiled, "--pcap", capture, "--engine", engine, "-j").records
    assert {"event", "packets", "maps"} <= {key for record in records for key in record}
    capture.write_bytes(capture.read_bytes()[:30])
    nothing = osmia("run", compiled, "--pcap", capture, "--engine", engine)
    assert (nothing.status, nothing.out) == (1, "")


def test_packets_as_json_records(osmia: Cli, compiled: Path, capture: Path) -> None:
    run = osmia("run", compiled, "--pcap", capture, "--packet", SMALL, "-j", "-v")
    records = run.records
    events = [each["event"] for each in records if "event" in each]
    assert len(events) == 5
    assert events[0]["map"] == "events"
    assert events[0]["value"] == {"size": 64, "verdict": "XDP_PASS", "name": "packet"}
    packets = [each["packet"] for each in records if "packet" in each]
    assert [each["verdict"] for each in packets].count("XDP_DROP") == 1
    (summary,) = [each["packets"] for each in records if "packets" in each]
    assert summary["verdicts"] == {"XDP_PASS": 4, "XDP_DROP": 1}
    last = records[-1]
    assert last["globals"]["seen"] == 5
    totals = next(each for each in last["maps"] if each["map"] == "totals")
    assert {"key": {"size": 64}, "value": {"packets": 3, "bytes": 192}} in totals["entries"]


def test_globals_are_set_before_load(osmia: Cli, compiled: Path) -> None:
    run = osmia("run", compiled, "--packet", SMALL, "--set", "largest=0x10", "--set", "label=new")
    assert "XDP_DROP" in run.out
    assert ["label", '"new"'] in [line.split() for line in run.lines]
    unknown = osmia("run", compiled, "--packet", SMALL, "--set", "larges=1")
    assert unknown.status == 1 and "did you mean 'largest'" in unknown.err
    assert osmia("run", compiled, "--packet", SMALL, "--set", "largest").status == 2
    too_large = osmia("run", compiled, "--packet", SMALL, "--set", "largest=5000000000")
    assert too_large.status == 1 and "largest" in too_large.err


def test_globals_of_one_name_are_chosen_by_their_files(osmia: Cli, tmp_path: Path) -> None:
    source = """
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        static volatile int count = {start};
        SEC("xdp") int {name}(struct xdp_md *ctx) {{ count += {start}; return XDP_PASS; }}
    """
    for name, start in (("first", 1), ("second", 20)):
        (tmp_path / f"{name}.bpf.c").write_text(source.format(name=name, start=start))
        assert osmia("compile", tmp_path / f"{name}.bpf.c").status == 0
    objects = [tmp_path / f"{name}.bpf.o" for name in ("first", "second")]
    subprocess.run(["bpftool", "gen", "object", tmp_path / "all.o", *objects], check=True)
    rows = [line.split() for line in osmia("inspect", tmp_path / "all.o").lines]
    assert ["second.bpf.c:count", "volatile", "int", "count", ".data", "20"] in rows
    shown = osmia("--json", "inspect", tmp_path / "all.o").json["globals"]
    assert [(each["name"], each["symbol"]) for each in shown] == [
        ("first.bpf.c:count", "count"),
        ("second.bpf.c:count", "count"),
    ]
    command = ("run", tmp_path / "all.o", "--prog", "second", "--packet", SMALL, "--set")
    run = osmia(*command, "second.bpf.c:count=300")
    assert ["second.bpf.c:count", "320"] in [line.split() for line in run.lines]
    assert ["first.bpf.c:count", "1"] in [line.split() for line in run.lines]
    plain = osmia(*command, "count=300")
    assert plain.status == 1 and "'first.bpf.c:count' (.data), 'second.bpf.c" in plain.err


def test_source_is_compiled_first(osmia: Cli) -> None:
    assert osmia("run", SOURCE, "--packet", SMALL).status == 0


def test_the_vm_runs_packets_too(osmia: Cli, compiled: Path, capture: Path) -> None:
    run = osmia("run", compiled, "--pcap", capture, "--packet", "00" * 99, "--engine", "vm")
    assert run.status == 0, run.err
    assert "a packet of 99 bytes" in run.lines
    assert 'events: size=1200 verdict=XDP_DROP name="packet"' in run.lines
    rows = [line.split() for line in run.lines]
    assert ["XDP_PASS", "4", "80.0%"] in rows
    assert ["64", "2", "128"] in rows


def test_bpf_printk_is_shown(osmia: Cli, compiled: Path) -> None:
    run = osmia("run", compiled, "--packet", "00" * 99)
    assert any(line.endswith(": a packet of 99 bytes") for line in run.lines)


def test_another_reader_of_the_trace_pipe_stops_no_run(osmia: Cli, compiled: Path) -> None:
    with TracePipe():
        run = osmia("run", compiled, "--packet", "00" * 99)
    assert run.status == 0
    assert "bpf_printk is not shown: somebody else reads the trace pipe" in run.err


def test_programs_without_a_place_are_named(osmia: Cli, tmp_path: Path) -> None:
    source = tmp_path / "two.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("raw_tp/sched_switch") int switched(void *ctx) { return 0; }\n'
        'SEC("xdp") int packet(struct xdp_md *ctx) { return XDP_PASS; }\n'
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    run = osmia("run", source, "--duration", "0")
    assert run.status == 0
    assert "not attached: program 'packet' (xdp) needs --iface" in run.err
    assert osmia("run", source, "--duration", "-1").status == 2


def test_events_get_the_type_that_is_named(osmia: Cli, compiled: Path) -> None:
    named = osmia("run", compiled, "--packet", SMALL, "--event", "events=struct packet_event")
    assert 'events: size=64 verdict=XDP_PASS name="packet"' in named.lines
    other = osmia("run", compiled, "--packet", SMALL, "--event", "size_key")
    assert any(line.startswith("events: 40 00 00 00 02 00 00 00") for line in other.lines)
    assert osmia("run", compiled, "--packet", SMALL, "--event", "none=total").status == 2
    assert osmia("run", compiled, "--packet", SMALL, "--event", "no_such").status == 1


def test_what_cannot_be_run_is_said(osmia: Cli, compiled: Path, tmp_path: Path) -> None:
    nowhere = osmia("run", compiled)
    assert nowhere.status == 2
    assert nowhere.err.startswith("osmia: program 'count' (xdp) needs --iface, or --pcap")
    assert osmia("run", compiled, "--iface", "none0").status == 1
    (tmp_path / "no.pcap").write_bytes(b"certainly no capture")
    wrong = osmia("run", compiled, "--pcap", tmp_path / "no.pcap")
    assert wrong.status == 1 and "neither a pcap nor a pcapng file" in wrong.err
    assert osmia("run", compiled, "--engine", "vm").status == 2


def test_iterators_print_their_lines(osmia: Cli, tmp_path: Path) -> None:
    source = tmp_path / "maps.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "struct bpf_iter_meta; struct bpf_map;\n"
        "struct bpf_iter_meta { struct seq_file *seq; } __attribute__((preserve_access_index));\n"
        "struct bpf_iter__bpf_map { struct bpf_iter_meta *meta; struct bpf_map *map; }\n"
        "    __attribute__((preserve_access_index));\n"
        'SEC("iter/bpf_map") int maps(struct bpf_iter__bpf_map *ctx) {\n'
        '  static const char text[] = "a map\\n";\n'
        "  if (ctx->map) bpf_seq_write(ctx->meta->seq, text, sizeof(text) - 1);\n"
        "  return 0;\n}\n"
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    run = osmia("run", source)
    assert run.status == 0, run.err
    assert "a map" in run.lines


@contextmanager
def running(
    *arguments: object, verb: str = "run", **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """`osmia run …` in another process, from when its programs are attached."""
    command = subprocess.Popen(
        [*OSMIA, verb, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    try:
        assert command.stderr is not None
        said = []
        for line in command.stderr:
            said.append(line)
            if line == "Ctrl-C ends\n":
                break
        else:
            raise AssertionError("".join(said))
        yield command
    finally:
        if command.poll() is None:
            command.kill()
        command.communicate()


def send_datagrams(count: int = 3) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(b"hello", ("127.0.0.1", 9))


def links_on_lo() -> str:
    return subprocess.check_output(["ip", "link", "show", "dev", "lo"], text=True)


@pytest.mark.usefixtures("own_network")
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_signals_report_detach_and_leave_nothing(
    compiled: Path, bpffs: Path, number: signal.Signals, status: int
) -> None:
    with running(compiled, "--iface", "lo", "--pin-root", bpffs) as command:
        assert "xdp" in links_on_lo()
        send_datagrams()
        assert command.stdout is not None
        assert command.stdout.readline().startswith("events: size=")
        command.send_signal(number)
        out, err = command.communicate(timeout=20)
    assert command.returncode == status
    assert err == ""
    assert "xdp" not in links_on_lo()
    assert "map totals" in out and "globals" in out
    assert not list(bpffs.iterdir())


@pytest.mark.usefixtures("own_network")
def test_what_was_sent_before_a_signal_is_shown(compiled: Path) -> None:
    with running(compiled, "--iface", "lo", "--mode", "generic") as command:
        command.send_signal(signal.SIGSTOP)
        send_datagrams(2)
        command.send_signal(signal.SIGTERM)
        command.send_signal(signal.SIGCONT)
        out, _ = command.communicate(timeout=20)
    assert command.returncode == 143
    assert out.count("events: size=") >= 2


@pytest.mark.usefixtures("own_network")
def test_a_signal_in_the_middle_of_many_events_loses_none(compiled: Path) -> None:
    """More than a pipe takes: the signal comes while the run waits for its reader."""
    with running(compiled, "--iface", "lo", "--mode", "generic", "-j") as command:
        command.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            for _ in range(1500):
                receiver.sendto(b"hello", receiver.getsockname())
        command.send_signal(signal.SIGCONT)
        time.sleep(1)
        command.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        out, _ = command.communicate(timeout=20)
    assert command.returncode == 143
    records = [json.loads(line) for line in out.splitlines()]
    events = [each for each in records if "event" in each]
    assert len(events) == records[-1]["globals"]["seen"] == 1500


def test_a_signal_reports_the_packets_that_were_run(compiled: Path, tmp_path: Path) -> None:
    capture = tmp_path / "endless.pcap"
    os.mkfifo(capture)
    command = subprocess.Popen(
        [*OSMIA, "run", compiled, "--pcap", capture, "--engine", "vm", "-v"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with capture.open("wb", buffering=0) as file:
        file.write(PCAP_HEADER + 64 * (struct.pack("<IIII", 0, 0, 60, 60) + bytes(60)))
        assert command.stdout is not None
        while not command.stdout.readline().startswith("packet 64:"):
            assert command.poll() is None
        command.terminate()
        out, _ = command.communicate(timeout=20)
    assert command.returncode == 143
    assert "64 packets in" in out and "globals" in out


def test_nohup_is_heard(compiled: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += "from osmia.cli.termination import ends_cleanly\n"
    code += "with ends_cleanly() as listen: listen(); signal.raise_signal(signal.SIGHUP)\n"
    code += "print('still here')"
    assert subprocess.check_output([OSMIA[0], "-c", code], text=True) == "still here\n"


@pytest.mark.usefixtures("own_network")
def test_a_run_ends_after_events_or_time(osmia: Cli, compiled: Path) -> None:
    with running(compiled, "--iface", "lo", "--count", 2, "--mode", "generic") as command:
        send_datagrams(5)
        out, _ = command.communicate(timeout=20)
    assert command.returncode == 0
    assert out.count("events: ") == 2
    timed = osmia("run", compiled, "--iface", "lo", "--duration", 0.2)
    assert timed.status == 0
    assert timed.err == "attached program 'count' on interface lo\n"


@pytest.mark.usefixtures("own_network")
def test_classifiers_attach_in_a_direction(tmp_path: Path) -> None:
    source = tmp_path / "tc.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n__u64 passed;\n"
        'SEC("tc") int look(struct __sk_buff *skb) { passed++; return 0; }\n'
    )
    with running(source, "--iface", "lo", "--direction", "egress", "-j") as command:
        send_datagrams()
        command.send_signal(signal.SIGINT)
        out, _ = command.communicate(timeout=20)
    assert command.returncode == 130
    assert '"passed":' in out and '"passed":0' not in out


def test_pins_that_the_run_made_are_removed(osmia: Cli, bpffs: Path, tmp_path: Path) -> None:
    source = tmp_path / "pins.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);\n"
        '  __type(value, __u64); __uint(pinning, LIBBPF_PIN_BY_NAME); } shared SEC(".maps");\n'
        'SEC("xdp") int p(struct xdp_md *ctx) { __u32 zero = 0;\n'
        "  __u64 *value = bpf_map_lookup_elem(&shared, &zero);\n"
        "  if (value) *value += 1;\n  return XDP_PASS; }\n"
    )
    assert osmia("run", source, "--packet", SMALL, "--pin-root", bpffs).status == 0
    assert not list(bpffs.iterdir())
    osmia("map", "create", bpffs / "shared", "--type", "array", "--key", 4, "--value", 8,
          "--entries", 1, "--name", "shared")  # fmt: skip
    again = osmia("run", source, "--packet", SMALL, "--pin-root", bpffs)
    assert ["0", "1"] in [line.split() for line in again.lines], again.err
    assert (bpffs / "shared").exists()
    os.unlink(bpffs / "shared")  # noqa: PTH108 - Path.unlink is the same


def test_a_rejected_program_says_where(osmia: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bpf.c"
    bad.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int bad(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }\n'
    )
    rejected = osmia("run", bad, "--packet", SMALL)
    assert rejected.status == 1
    first = rejected.err.splitlines()[0]
    assert first.startswith("osmia: the verifier rejected program 'bad': ")
    assert "bad.bpf.c" in first
    assert "Traceback" not in rejected.err


def test_a_trace_pipe_that_is_off_is_noted(
    compiled: Path, tmp_path: Path, osmia: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "trace_pipe")
    (tmp_path / "tracing_on").write_text("0\n")
    monkeypatch.setattr(trace_pipe, "tracefs", lambda: tmp_path)
    run = osmia("run", compiled, "--packet", SMALL)
    assert "tracing_on is 0" in run.err and run.status == 0
    # Nobody writes to it: the log goes on until the reader is told to end.
    monkeypatch.setattr(trace_pipe.TracePipe, "__iter__", lambda pipe: iter(()))
    log = osmia("prog", "tracelog")
    assert "tracing_on is 0" in log.err and log.status == 0


def test_engines_are_those_that_there_are(osmia: Cli, compiled: Path) -> None:
    done = osmia("run", compiled, "--engine", "nonsense", "--packet", "00" * 64)
    assert done.status == 2
    assert "no engine 'nonsense'; there are kernel, vm" in done.err
    assert "programs are attached in the kernel" in osmia("run", compiled, "--engine", "vm").err


def test_packets_that_the_kernel_refuses_stop_no_run(osmia: Cli, compiled: Path) -> None:
    run = osmia("run", compiled, "--packet", "00", "--packet", SMALL, "--packet", SMALL)
    assert run.status == 0
    assert "2 packets in" in run.out
    assert run.err.startswith("1 packet not run; the first: number 1, 1 byte: ")
    none = osmia("run", compiled, "--packet", "00")
    assert none.status == 1 and "EINVAL" in none.err


def test_one_packet_has_no_mean(osmia: Cli, compiled: Path) -> None:
    run = osmia("run", compiled, "--packet", SMALL)
    assert "ns in the program, a first run" in run.out and "each" not in run.out
