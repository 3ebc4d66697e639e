"""Who may be a client of a fleet: by TLS with certificates of both sides, anything else is one
clear error, soon, and Dask logs nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import dask
import distributed
import pytest
from distributed.security import Security

from osmia import OsmiaError, OsmiaWarning
from osmia.fleet import Fleet, SchedulerError
from osmia.fleet.certificates import make_certificates

from .conftest import in_network_of, wait_for

pytestmark = [pytest.mark.slow]

_CLIENT: Any = distributed.Client
_RPC: Any = distributed.rpc
_SECURITY: Any = Security
#: Not loopback to those who speak to it, but on this machine.
HERE = "10.78.0.1"
_SERVE = """
import asyncio, sys
from pathlib import Path
from distributed import Scheduler, Security, Worker
here, certificates = sys.argv[1], Path(sys.argv[2])
def security(role):
    names = {f"tls_{role}_cert": f"{role}.pem", f"tls_{role}_key": f"{role}-key.pem"}
    files = {option: str(certificates / name) for option, name in names.items()}
    return Security(require_encryption=True, tls_ca_file=str(certificates / "ca.pem"), **files)
async def main():
    common = dict(host=here, dashboard_address="127.0.0.1:0")
    async with (
        Scheduler(port=8786, protocol="tls", security=security("scheduler"), **common) as first,
        Scheduler(port=8787, **common) as second,
        Scheduler(port=8790, host="127.0.0.1", dashboard_address="127.0.0.1:0") as third,
        Worker(first.address, port=8788, security=security("worker"), **common),
        Worker(second.address, port=8789, **common),
        Worker(third.address, host=here, dashboard_address="127.0.0.1:0"),
    ):
        print("ready", flush=True)
        await first.finished()
asyncio.run(main())
"""


class Served(NamedTuple):
    """A process with schedulers and workers, and the certificates of those with TLS."""

    pid: int
    certificates: Path
    log: Path

    @property
    def ours(self) -> dict[str, Path]:
        return _ours(self.certificates)


def _ours(certificates: Path) -> dict[str, Path]:
    return {
        "ca": certificates / "ca.pem",
        "cert": certificates / "client.pem",
        "key": certificates / "client-key.pem",
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if os.geteuid() != 0:
        pytest.skip("makes namespaces: needs root")
    place = tmp_path_factory.mktemp("served")
    make_certificates(place)
    script = f'ip link set lo up && ip addr add {HERE}/32 dev lo && exec "$@"'
    command = ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, "-c", _SERVE]
    log = place / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, HERE, str(place)], stdout=subprocess.PIPE, stderr=file, text=True
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", log.read_text()
        yield Served(process.pid, place, log)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def _there(served: Served) -> Iterator[None]:
    """Each test speaks from the network that they are in."""
    with in_network_of(served.pid):
        yield


@contextmanager
def refused(said: str, within: float = 3.0) -> Iterator[None]:
    """One error, with these words, soon."""
    begin = time.monotonic()
    with pytest.raises(SchedulerError, match=said):
        yield
    assert time.monotonic() - begin < within


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is logged, nothing written, nothing warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


def test_certificates_of_both_sides_let_a_client_in(served: Served, silent: None) -> None:
    ours = served.ours
    security = _SECURITY(
        tls_ca_file=str(ours["ca"]),
        tls_client_cert=str(ours["cert"]),
        tls_client_key=str(ours["key"]),
    )
    for address, given in (
        (f"tls://{HERE}:8786", ours),
        (f"{HERE}:8786", ours),
        (f"tls://{HERE}", {"security": security}),
    ):
        with Fleet(address, timeout=5, **given) as fleet:
            assert fleet.client.scheduler.address == f"tls://{HERE}:8786"
            assert len(fleet.hosts) == 1


def test_dask_s_configuration_has_certificates_too(served: Served, silent: None) -> None:
    ours = {name: str(path) for name, path in served.ours.items()}
    said = {"ca-file": ours["ca"], "client": {"cert": ours["cert"], "key": ours["key"]}}
    known = dask.config.get("distributed.comm.tls")
    with (
        dask.config.set({"distributed.comm.tls": known | said}),
        Fleet(f"tls://{HERE}:8786", timeout=5) as fleet,
    ):
        assert len(fleet.hosts) == 1


def test_plain_tcp_to_another_machine_is_refused_before_anything_is_sent() -> None:
    with socket.create_server((HERE, 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for address in (f"tcp://{HERE}:{port}", f"{HERE}:{port}"):
            with pytest.raises(OsmiaError, match=r"plain TCP to another machine|TLS needs"):
                Fleet(address, timeout=1)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_insecure_allows_it_and_warns_once() -> None:
    with pytest.warns(OsmiaWarning, match=r"plain TCP: who reaches it runs code") as told:
        fleet = Fleet(f"tcp://{HERE}:8787", insecure=True, name="plain")
    assert len(told) == 1
    assert told[0].filename == __file__
    with fleet:
        assert len(fleet.hosts) == 1


def test_a_plain_client_is_treated_the_same() -> None:
    with _CLIENT(f"tcp://{HERE}:8787", set_as_default=False) as client:
        with pytest.raises(OsmiaError, match="plain TCP to another machine"):
            Fleet(client)
        with pytest.warns(OsmiaWarning, match="plain TCP"):
            assert len(Fleet(client, insecure=True, name="given").hosts) == 1
        with pytest.raises(TypeError, match="a Client has its certificates already"):
            Fleet(client, ca="x")


def test_workers_on_other_machines_count_though_the_scheduler_is_here() -> None:
    with pytest.raises(OsmiaError, match=rf"tcp://{HERE}:\d+ is plain TCP to another machine"):
        Fleet("tcp://127.0.0.1:8790", timeout=5)
    with pytest.warns(OsmiaWarning, match="plain TCP") as told:
        Fleet("tcp://127.0.0.1:8790", timeout=5, insecure=True).disconnect()
    assert len(told) == 1


def test_workers_on_other_machines_count_when_they_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as before:  # as if none was there yet
        before.setattr("osmia.fleet.connecting.check_workers", lambda *given: None)
        fleet = Fleet("tcp://127.0.0.1:8790", timeout=5)
    with fleet, pytest.raises(OsmiaError, match=rf"tcp://{HERE}:\d+ is plain TCP to another"):
        _ = fleet.hosts


def test_a_certificate_of_another_authority_is_refused(
    served: Served, tmp_path: Path, silent: None
) -> None:
    make_certificates(tmp_path)
    others = _ours(tmp_path)
    with refused("does not take our certificate: it is of another authority"):
        Fleet(f"tls://{HERE}:8786", **(others | {"ca": served.ours["ca"]}))  # type: ignore[arg-type]
    with refused("has a certificate that our authority .* does not take"):
        Fleet(f"tls://{HERE}:8786", **others)  # type: ignore[arg-type]


def test_an_expired_certificate_is_refused(served: Served, tmp_path: Path, silent: None) -> None:
    for name in ("ca.pem", "ca-key.pem"):
        (tmp_path / name).write_bytes((served.certificates / name).read_bytes())
    make_certificates(tmp_path, days=1e-9)
    with refused("does not take our certificate: it is expired"):
        Fleet(f"tls://{HERE}:8786", **_ours(tmp_path))  # type: ignore[arg-type]


def test_a_client_s_certificate_does_not_make_a_scheduler(served: Served, silent: None) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(served.ours["cert"], served.ours["key"])
    said = r"our authority \(ca=\) does not take: unsuitable certificate purpose"
    serving = _server(lambda taken: context.wrap_socket(taken, server_side=True))
    with serving as address, refused(said):
        Fleet(f"tls://{address}", **served.ours)  # type: ignore[arg-type]


def test_a_scheduler_without_tls_is_said(served: Served, silent: None) -> None:
    with refused("does not speak TLS: start it with certificates"):
        Fleet(f"tls://{HERE}:8787", **served.ours)  # type: ignore[arg-type]


def test_a_scheduler_with_tls_is_said_to_who_speaks_plain() -> None:
    with warnings.catch_warnings(), refused("speaks TLS: it is tls://, with certificates"):
        warnings.simplefilter("ignore", OsmiaWarning)
        Fleet(f"tcp://{HERE}:8786", insecure=True)


def test_a_scheduler_that_is_not_there_is_said_in_time(served: Served, silent: None) -> None:
    begin = time.monotonic()
    with refused(r"no scheduler answers at tls://10.78.0.1:1 in 0.5 s: Connection refused"):
        Fleet(f"tls://{HERE}:1", timeout=0.5, **served.ours)  # type: ignore[arg-type]
    assert time.monotonic() - begin > 0.3  # it may be about to start
    with refused(r"Name or service not known|Temporary failure in name resolution"):
        Fleet("tls://nowhere.invalid:8786", timeout=0.5, **served.ours)  # type: ignore[arg-type]


def test_one_that_starts_meanwhile_is_found(served: Served) -> None:
    port = 8795
    ended = asyncio.Event()

    async def serve() -> None:
        await asyncio.sleep(0.4)
        how: Any = {"host": "127.0.0.1", "port": port, "dashboard_address": "127.0.0.1:0"}
        async with distributed.Scheduler(**how):
            await ended.wait()

    async def main() -> None:
        serving = asyncio.create_task(serve())
        fleet = await asyncio.to_thread(_in_network, served, lambda: Fleet(f"127.0.0.1:{port}"))
        await asyncio.to_thread(fleet.disconnect)
        ended.set()
        await serving

    asyncio.run(main())


def _in_network(served: Served, work: Callable[[], Any]) -> Any:
    with in_network_of(served.pid):
        return work()


@contextmanager
def _server(answer: Callable[[socket.socket], Any]) -> Iterator[str]:
    """A server that does something with each connection, and keeps it."""
    import threading

    kept: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    taken, _ = server.accept()
                    kept.append(taken)
                    kept.append(answer(taken))
                except OSError:
                    if ended:
                        return

        ended: list[bool] = []
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.append(True)
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in kept:
                if each is not None and hasattr(each, "close"):
                    each.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda taken: None, "no scheduler answers"),
        (lambda taken: taken.close(), "no scheduler answers"),
        (lambda taken: taken.send(b"SSH-2.0-x\r\n"), "is no scheduler of Dask's: "),
    ],
    ids=["silent", "closes", "another protocol"],
)
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_what_is_no_scheduler_is_said_in_time(
    served: Served, answer: Callable[[socket.socket], Any], said: str, scheme: str
) -> None:
    given = served.ours if scheme == "tls" else {}
    said = "does not speak TLS|no scheduler" if scheme == "tls" else said
    with _server(answer) as address, refused(said):
        Fleet(f"{scheme}://{address}", timeout=1.0, **given)  # type: ignore[arg-type]


def test_a_worker_is_no_scheduler(served: Served) -> None:
    with refused("is no scheduler of Dask's"):
        Fleet(f"tls://{HERE}:8788", **served.ours)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ca": None}, r"there is no ca=: give ca=, cert= and key="),
        ({"cert": None, "key": None}, r"there is no cert="),
        ({"ca": "/nowhere/ca.pem"}, r"/nowhere/ca\.pem: No such file or directory"),
        ({"key": "/nowhere/key.pem"}, r"/nowhere/key\.pem: No such file or directory"),
        ({"ca": "/etc/hostname"}, r"the certificates for tls://.* cannot be used"),
        ({"cert": "/etc/hostname"}, r"the certificates for tls://.* cannot be used"),
        ({"key": None}, r"the certificates for tls://.* cannot be used"),
        ({"key": "worker-key.pem"}, r"the certificates for tls://.* cannot be used"),
    ],
)
def test_files_that_are_no_certificates_are_said(
    served: Served, change: dict[str, Any], said: str, silent: None
) -> None:
    given = served.ours | change
    if change.get("key") == "worker-key.pem":
        given["key"] = served.certificates / "worker-key.pem"
    with pytest.raises(OsmiaError, match=said):
        Fleet(f"tls://{HERE}:8786", **given)


@pytest.mark.parametrize("port", [8786, 8788], ids=["scheduler", "worker"])
def test_a_plain_client_cannot_speak_to_a_member(port: int) -> None:
    async def ask() -> Any:
        async with _RPC(f"tcp://{HERE}:{port}", timeout=1) as member:
            return await member.identity()

    with pytest.raises(OSError, match=r"closed|Timed out|reset|before comm was established"):
        asyncio.run(ask())


@pytest.mark.parametrize("port", [8786, 8788], ids=["scheduler", "worker"])
def test_nor_one_without_a_certificate(served: Served, port: int) -> None:
    context = ssl.create_default_context(cafile=served.ours["ca"])
    context.check_hostname = False
    plain = socket.create_connection((HERE, port), timeout=5)
    with (
        context.wrap_socket(plain) as encrypted,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        encrypted.recv(1)


def test_the_command_warns_and_errs_in_one_line(served: Served) -> None:
    where = ["nsenter", "-t", str(served.pid), "-n", sys.executable, "-m", "osmia", "fleet"]

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [*where, "status", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    options = [f"--{name}={path}" for name, path in served.ours.items()]
    done = run(f"tls://{HERE}:8786", *options)
    assert (done.returncode, done.stderr) == (0, "")
    done = run(f"tcp://{HERE}:8787", "--insecure")
    assert done.returncode == 0
    warned, said = done.stderr.splitlines()
    assert warned.startswith("osmia: warning: ")
    assert said.startswith("the cluster has no hosts")
    done = run(f"tls://{HERE}:8787", *options)
    assert done.returncode == 1
    assert done.stderr == f"osmia: tls://{HERE}:8787 does not speak TLS: start it with " + (
        "certificates (dask scheduler --tls-cert …)\n"
    )


def test_the_log_of_the_scheduler_has_only_dask_s_own_lines(served: Served) -> None:
    wait_for(lambda: "TLS handshake failed" in served.log.read_text())
    assert "osmia" not in served.log.read_text().replace("osmia-fleet", "")
