"""`osmia map dump` beside `bpftool map dump`, in one run: time and memory of whole processes.

Run it as root: `.venv/bin/python bench/bench_dump.py [ENTRIES]` (1,000,000 by default). The map
is a hash with BTF: a flow's addresses, ports and protocol; counters, times, a state and a name.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import osmia

_SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
enum state { NEW, ESTABLISHED, CLOSING };
struct flow { __be32 source, destination; __be16 source_port, destination_port; __u8 protocol; };
struct seen { __u64 packets, bytes, first, last; enum state state; char comm[16]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, ENTRIES);
         __type(key, struct flow); __type(value, struct seen); } flows SEC(".maps");
SEC("xdp") int p(struct xdp_md *ctx)
{ struct flow f = {}; bpf_map_delete_elem(&flows, &f); return 2; }
char LICENSE[] SEC("license") = "GPL";
"""
_NEWER_BPFTOOL = Path(__file__).resolve().parent.parent / "build" / "newer-bpftool" / "bpftool"
_OSMIA = Path(sys.executable).with_name("osmia")
_ROUNDS = 3
#: In a small process of its own: a child's figure starts with the size of who started it.
_MEASURE = """
import os, resource, sys, time
null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
status = os.waitpid(child, 0)[1]
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def main(entries: int) -> None:
    """Fill the map, dump it by both, as text and as JSON, and show what that took."""
    bpftool = str(_NEWER_BPFTOOL) if _NEWER_BPFTOOL.exists() else shutil.which("bpftool")
    with osmia.compile(_SOURCE.replace("ENTRIES", str(entries))).load() as bpf:
        flows = bpf.maps["flows"]
        flows.update_many((_key(number), _value(number)) for number in range(entries))
        print(f"  {entries:,} entries{'':<20} {'seconds':>9} {'MB':>7}")
        for form, options in (("text", []), ("JSON", ["-j"])):
            for name, command in (("bpftool", bpftool), ("osmia", str(_OSMIA))):
                if command is not None:
                    whole = [command, *options, "map", "dump", "id", str(flows.id)]
                    seconds, size = min(measure(whole) for _ in range(_ROUNDS))
                    print(f"  {form} by {name:<26} {seconds:>9.2f} {size / 1e6:>7.1f}", flush=True)
        part = f"{_OSMIA} map dump id {flows.id} | head -n 1000 > /dev/null"
        seconds, size = min(measure(["bash", "-c", part]) for _ in range(_ROUNDS))
        print(f"  {'text by osmia | head':<34} {seconds:>9.2f} {size / 1e6:>7.1f}")


def measure(command: list[str]) -> tuple[float, int]:
    """Seconds that a process takes, and the most bytes that it and its children had resident."""
    told = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _MEASURE, *command], stdout=subprocess.PIPE, check=True
    )
    seconds, kilobytes = told.stdout.split()
    return float(seconds), int(kilobytes) * 1024


def _key(number: int) -> dict[str, int]:
    return {
        "source": 0x0A000000 + number,
        "destination": 0x08080808,
        "source_port": number % 60000,
        "destination_port": 443,
        "protocol": 6,
    }


def _value(number: int) -> dict[str, object]:
    return {
        "packets": number,
        "bytes": 1400 * number,
        "first": 10**15 + number,
        "last": 10**15 + 7 * number,
        "state": number % 4,
        "comm": f"worker-{number % 50}",
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
