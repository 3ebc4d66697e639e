"""A Dask cluster whose workers are hosts to osmia: each in a network, a mount and a cgroup
namespace of its own, with a bpffs and a control group of its own, joined to the scheduler's by a
bridge and veth pairs."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import dask
import distributed  # its defaults come with it  # noqa: F401
import pytest

from osmia.fleet import Fleet
from osmia.fleet.certificates import make_certificates
from osmia.object import Object
from osmia.toolchain.objects import compile_object

from .groups import Group

SCHEDULER = "tls://10.77.0.1:8786"
_CLONE_NEWNET = 0x4000_0000
#: TCP tries again each second behind a cable that was cut, not after twice as long each time.
RTO_MAX = Path("/proc/sys/net/ipv4/tcp_rto_max_ms")  # of each network, since Linux 6.15
_PATIENCE = f"if [ -e {RTO_MAX} ]; then echo 1000 > {RTO_MAX}; fi"
_LIBC = ctypes.CDLL(None, use_errno=True)

_RUN_SCHEDULER = """
import asyncio, sys
from distributed import Scheduler, Security
async def main():
    where = dict(host=sys.argv[1], protocol=sys.argv[2], port=8786, dashboard=False)
    async with Scheduler(**where, security=Security()) as scheduler:
        await scheduler.finished()
asyncio.run(main())
"""
_RUN_WORKER = """
import asyncio, sys
from distributed import Security, Worker
async def main():
    how = dict(nthreads=2, name=sys.argv[2], dashboard=False, security=Security())
    async with Worker(sys.argv[1], **how) as worker:
        await worker.finished()
asyncio.run(main())
"""

SOURCE = """#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
struct flow { __u32 source; __u32 zone; };
struct traffic { __u64 packets; __u64 bytes; };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow);
	__type(value, struct traffic);
} flows SEC(".maps");
struct drop { __u64 seen_ns; __u32 size; __u32 number; };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1048576);
	__type(value, struct drop);
} drops SEC(".maps");
__u64 seen;
__u64 limit = 1000000;
SEC("xdp") int ingress(struct xdp_md *ctx)
{
	__u32 size = ctx->data_end - ctx->data;
	struct flow flow = { size, 0 };
	struct traffic fresh = { 1, size }, *known = bpf_map_lookup_elem(&flows, &flow);
	__u64 number = __sync_fetch_and_add(&seen, 1);
	struct drop drop = { bpf_ktime_get_ns(), size, number };
	if (known) {
		__sync_fetch_and_add(&known->packets, 1);
		__sync_fetch_and_add(&known->bytes, size);
	} else {
		bpf_map_update_elem(&flows, &flow, &fresh, BPF_ANY);
	}
	if (number < limit)
		return ANSWER;
	bpf_ringbuf_output(&drops, &drop, sizeof(drop), 0);
	return XDP_DROP;
}
char L[] SEC("license") = "GPL";
"""


def compiled(answer: str = "XDP_PASS", entries: int = 65536, ring: int = 1 << 20) -> Object:
    """The program of the tests; `answer` is what it gives below its limit, `entries` what its map
    has room for, `ring` the bytes of its buffer of events."""
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "limit.bpf.c"
        sized = SOURCE.replace("65536", str(entries)).replace("1048576", str(ring))
        path.write_text(sized.replace("ANSWER", answer))
        return compile_object(path)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def limit() -> Object:
    return compiled()


@contextmanager
def in_network_of(pid: int) -> Iterator[None]:
    """This thread, and threads that it starts, in the network namespace of a process."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(other)
        try:
            yield
        finally:
            _setns(own)
    finally:
        os.close(other)
        os.close(own)


def _setns(fd: int) -> None:
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def configured(certificates: Path, **more: str) -> Iterator[None]:
    """Dask's configuration, here and in processes that are started meanwhile: TLS with what
    `osmia fleet certificates` made, and nothing else."""
    values = {"require-encryption": "True", "tls.ca-file": str(certificates / "ca.pem"), **more}
    for role in ("scheduler", "worker", "client"):
        values[f"tls.{role}.cert"] = str(certificates / f"{role}.pem")
        values[f"tls.{role}.key"] = str(certificates / f"{role}-key.pem")
    paths = {f"distributed.comm.{name}": value for name, value in values.items()}
    words = {"DASK_" + path.upper().replace(".", "__").replace("-", "_"): path for path in paths}
    before = {word: os.environ.get(word) for word in words}
    os.environ.update({word: paths[path] for word, path in words.items()})
    try:
        with dask.config.set({**paths, "distributed.comm.require-encryption": True}):
            yield
    finally:
        for word, value in before.items():
            os.environ.pop(word, None)
            os.environ.update({} if value is None else {word: value})


class Cluster:
    """A scheduler and workers as hosts; `start` and `kill` them by number. They speak TLS, whose
    certificates are in `certificates`, unless they are not `secure`."""

    def __init__(self, held: ExitStack, logs: Path, *, secure: bool = True) -> None:
        self._held, self.logs = held, logs
        self.secure = secure
        self.address = SCHEDULER if secure else SCHEDULER.replace("tls:", "tcp:")
        if secure:
            self.certificates = Path(held.enter_context(tempfile.TemporaryDirectory()))
            make_certificates(self.certificates)
            held.enter_context(configured(self.certificates))
        self.group = Group.made()
        held.callback(self.group.remove)
        self._hosts: dict[int, subprocess.Popen[bytes]] = {}
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        script = (
            f"{_PATIENCE}; ip link set lo up && ip link add bridge0 type bridge && "
            "ip addr add 10.77.0.1/24 dev bridge0 && ip link set bridge0 up && "
            'exec "$@"'
        )
        command = ["unshare", "-n", "-m", "sh", "-c", script, "sh", sys.executable, "-c"]
        where = ["10.77.0.1", self.address.partition(":")[0]]
        self.scheduler = self._spawn("scheduler", [*command, _RUN_SCHEDULER, *where])
        held.callback(self.close)
        self._wait(lambda: self._in_hub("ip", "link", "show", "bridge0") == 0)

    @property
    def workers(self) -> list[int]:
        """The numbers of their processes."""
        return [each.pid for each in self._workers.values()]

    def start(
        self, number: int, *, capabilities: str | None = None, command: Sequence[str] = ()
    ) -> None:
        """A worker on a host, named host<number>, which is made if it is not there; with those
        capabilities alone ("bpf,net_admin"), where they are given. `command` is another way to
        start one."""
        if number not in self._hosts:
            self._make_host(number)
        where = self._on_host(number)
        if capabilities is not None:
            kept = "".join(f",+{each}" for each in capabilities.split(",") if each)
            where += ["setpriv", f"--bounding-set=-all{kept}"]
        usual = [sys.executable, "-c", _RUN_WORKER, self.address, f"host{number}"]
        self._workers[number] = self._spawn(
            f"host{number}",
            [*where, *(command or usual)],
            {"OSMIA_FLEET_HOST": f"host{number}"},
        )

    def _make_host(self, number: int) -> None:
        """The host's first process, which has its namespaces, its bpffs and its groups."""
        script = "mount -t bpf none /sys/fs/bpf && ip link set lo up && exec sleep infinity"
        script = f"{_PATIENCE}; {script}"
        namespaces = ["unshare", "-n", "-m"]
        if self.group:  # the host's own one is its root
            script = f"mount -t cgroup2 none /sys/fs/cgroup && {script}"
            namespaces.append("-C")
        command = [*self._in_group(number), *namespaces, "sh", "-c", script]
        host = self._spawn(f"init{number}", command)
        self._hosts[number] = host
        self._wait(lambda: _has_own_network(host.pid))
        name = f"veth{number}"
        peer = ["peer", "name", "eth0", "netns", str(host.pid)]
        self._in_hub("ip", "link", "add", name, "type", "veth", *peer)
        self._in_hub("ip", "link", "set", name, "master", "bridge0", "up")
        self._in(host.pid, "ip", "addr", "add", f"10.77.0.{10 + number}/24", "dev", "eth0")
        self._in(host.pid, "ip", "link", "set", "eth0", "up")

    def _in_group(self, number: int) -> list[str]:
        """What has a command run in the host's control group."""
        procs = self.group.part(f"host{number}").procs
        return ["sh", "-c", f'echo $$ > {procs} && exec "$@"', "sh"]

    def _on_host(self, number: int) -> list[str]:
        """What has a command run as a process of a host."""
        groups = ["-C"] if self.group else []
        namespaces = ["nsenter", "-t", str(self._hosts[number].pid), "-n", "-m", *groups]
        return [*self._in_group(number), *namespaces]

    def kill(self, number: int) -> None:
        """kill -9, as far as a host's processes go."""
        process = self._workers[number]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def is_dead(self, number: int) -> bool:
        return self._workers[number].poll() is not None

    def cut(self, number: int) -> None:
        """Take the host's cable out."""
        self._in_hub("ip", "link", "set", f"veth{number}", "down")

    def join(self, number: int) -> None:
        """Put it in again."""
        self._in_hub("ip", "link", "set", f"veth{number}", "up")

    def on(self, number: int, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a host."""
        words = [*self._on_host(number), *command]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def fleet(self, name: str, timeout: float = 20.0) -> Fleet:
        """A Fleet, whose client is in the scheduler's network."""
        with in_network_of(self.scheduler.pid):
            return Fleet(self.address, name=name, timeout=timeout, insecure=not self.secure)

    def close(self) -> None:
        self.group.kill()
        for process in [*self._workers.values(), *self._hosts.values(), self.scheduler]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _spawn(
        self, name: str, command: list[str], more: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = self._held.enter_context((self.logs / f"{name}.log").open("ab"))
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],  # whoever ends the tests ends these
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **(more or {})},
        )

    def _in_hub(self, *command: str) -> int:
        return self._in(self.scheduler.pid, *command)

    def _in(self, pid: int, *command: str) -> int:
        where = ["nsenter", "-t", str(pid), "-n"]
        return subprocess.run([*where, *command], capture_output=True, check=False).returncode

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            if time.monotonic() > end or self.scheduler.poll() is not None:
                logs = "\n".join(path.read_text() for path in self.logs.iterdir())
                pytest.fail(f"the cluster does not start: {logs}")
            time.sleep(0.02)


def _has_own_network(pid: int) -> bool:
    """Whether `unshare` has come so far."""
    networks = {Path(f"/proc/{each}/ns/net").stat().st_ino for each in (pid, os.getpid())}
    return len(networks) == 2


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


@contextmanager
def new_cluster(logs: Path, hosts: int = 0) -> Iterator[Cluster]:
    """A cluster with so many hosts; skips the test where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("makes namespaces: needs root")
    with ExitStack() as held:
        made = Cluster(held, logs)
        for number in range(hosts):
            made.start(number)
        yield made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four hosts."""
    with new_cluster(tmp_path_factory.mktemp("cluster"), 4) as made:
        yield made


_FLEETS = count()


@pytest.fixture
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    """A fleet of the test's own on the four hosts."""
    made = cluster.fleet(f"test{next(_FLEETS)}")
    wait_for(lambda: len(made.hosts) == 4)
    yield made
    made.close()
