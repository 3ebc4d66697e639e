"""Who may speak to whom: a fleet's client, by TLS with certificates of both sides.

Dask runs what its clients send, so who can be a client owns the hosts. Plain TCP lets everybody
be one who reaches the port; it is refused beyond this machine unless `insecure` asks for it. What
is wrong with an address or a certificate is found by one connection of our own, which sends
nothing: Dask would try again and again, and log what it sees.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

from osmia.errors import OsmiaError, OsmiaWarning
from osmia.fleet.errors import SchedulerError
from osmia.named_tuples import NamedTuple

#: Dask's protocols with TLS; inproc is a cluster inside this process.
_ENCRYPTED = ("tls", "wss", "inproc")
_PORT = 8786
#: How long a scheduler may say nothing before it is asked whether it speaks TLS, in seconds.
_SILENCE = 0.5
#: How long to wait between two tries of a scheduler that is not there yet, in seconds.
_PAUSE = 0.1
#: What servers answer to a certificate that they do not take (RFC 8446, section 6.2).
_REFUSALS = {
    "UNKNOWN_CA": "it is of another authority than the scheduler's",
    "CERTIFICATE_REQUIRED": "it asks for a certificate: give cert= and key=",
    "CERTIFICATE_EXPIRED": "it is expired",
    "UNSUPPORTED_CERTIFICATE": "it is no client's",
    "BAD_CERTIFICATE": "the scheduler finds it bad",
    "HANDSHAKE_FAILURE": "the scheduler has no encryption in common with us, or refuses it",
}


class Access(NamedTuple):
    """How a client shows who it is: PEM files, or a `distributed.Security`; with none of them what
    Dask's configuration has (`distributed.comm.tls`). `insecure` allows plain TCP to anywhere."""

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    security: Any = None
    insecure: bool = False


def connected(cluster: str, access: Access, timeout: float) -> Any:
    """A Client of the scheduler at an address: "tls://host:port", "tcp://host:port", or
    "host:port", which is TCP on this machine where no certificate is given, otherwise TLS.

    OsmiaError for an address or certificates that do not do, SchedulerError where no scheduler
    answers within `timeout` seconds, or it refuses us.
    """
    from distributed import Client

    scheme, host, port = _parsed(cluster, access)
    security = None
    if scheme == "tcp":
        host = _plain_host(host, f"tcp://{host}:{port}", access)
    else:
        security = _security(access)
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        context = security.get_connection_args("client")["ssl_context"] if security else None
    except (OSError, ValueError) as error:
        raise OsmiaError(f"the certificates for {address} cannot be used: {error}") from None
    _look(address, host, port, context, timeout)
    _identify(address, security, timeout)
    client: Any = Client
    try:
        return client(address, security=security, timeout=timeout, set_as_default=False)
    except OSError as error:  # TimeoutError is one
        raise SchedulerError(f"no scheduler answers at {address}: {error}") from None


def check_client(client: Any, access: Access) -> None:
    """The same for a Client that somebody made. TypeError for what is none."""
    if access.ca or access.cert or access.key or access.security:
        raise TypeError("a Client has its certificates already")
    address = getattr(getattr(client, "scheduler", None), "address", None)
    if not isinstance(address, str):
        raise TypeError(f"cluster is an address or a Client, not {type(client).__name__}")
    if is_plain(address):
        _plain_host(_split(address.partition("://")[2], address)[0], address, access)


def check_workers(address: str, workers: Sequence[str], access: Access) -> None:
    """The same for what the scheduler speaks to in our name: a cluster whose scheduler is on this
    machine may have workers on others."""
    plain = [] if is_plain(address) else [each for each in workers if is_plain(each)]
    if plain:
        _plain_host(_split(plain[0].partition("://")[2], plain[0])[0], plain[0], access, depth=5)


def is_plain(address: str) -> bool:
    """Whether an address of Dask's is one of another machine without TLS."""
    scheme, _, rest = address.partition("://")
    return scheme not in _ENCRYPTED and not loopback(_split(rest, address)[0])


def _parsed(cluster: str, access: Access) -> tuple[str, str, int]:
    scheme, mark, rest = cluster.partition("://")
    if not mark:
        scheme, rest = "", cluster
    elif scheme not in ("tcp", "tls"):
        raise OsmiaError(f"{cluster!r}: a fleet's scheduler is at tls:// or tcp://")
    host, port = _split(rest, cluster)
    given = access.ca or access.cert or access.key or access.security
    if scheme == "tcp" and given:
        raise OsmiaError(f"{cluster!r} is plain TCP, which has no certificates: it is tls:// then")
    if not scheme:
        scheme = "tls" if given or not loopback(host) else "tcp"
    return scheme, host, port


def _split(rest: str, address: str) -> tuple[str, int]:
    """Host and port; ValueError for what is no address."""
    host, colon, port = rest.rpartition(":")
    if not colon or (rest.startswith("[") and rest.endswith("]")):
        host, port = rest, str(_PORT)
    host = host.removeprefix("[").removesuffix("]")
    bracketed = rest.startswith("[") and "]" in rest
    if not host or (":" in host) != bracketed or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is no address of a scheduler: tls://host:8786")
    return host, int(port)


def _plain_host(host: str, address: str, access: Access, depth: int = 4) -> str:
    """The address to speak plain TCP to: on loopback that which was looked at, as a name may mean
    another one the next time."""
    local = loopback(host)
    if local:
        return local
    if not access.insecure:
        raise OsmiaError(
            f"{address} is plain TCP to another machine: who reaches it runs code on all hosts. "
            "Use tls:// with certificates (osmia fleet certificates), or insecure=True (--insecure)"
        )
    warnings.warn(
        f"{address} is plain TCP: who reaches it runs code on all hosts, and reads what is said",
        OsmiaWarning,
        stacklevel=depth,  # of who makes the Fleet,
    )
    return host


def loopback(host: str) -> str:
    """The loopback address of a host that is this machine: 127.0.0.0/8, ::1, and names that mean
    nothing else; "" for others, and for names that mean nothing."""
    try:
        found = (
            [host]
            if _literal(host)
            else [
                str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            ]
        )
    except OSError:
        return ""
    return found[0] if found and all(map(_is_loopback, found)) else ""


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _security(access: Access) -> Any:
    """OsmiaError where there is no certificate, or no such file."""
    from distributed.security import Security

    if access.security is not None:
        if access.ca or access.cert or access.key:
            raise TypeError("security= has the certificates: not ca=, cert= or key=, too")
        made = access.security
    else:
        given: dict[str, Any] = {}
        if access.ca:
            given["tls_ca_file"] = os.fspath(access.ca)
        if (
            access.cert
        ):  # its file may have the key behind it: that of the configuration is not meant
            given["tls_client_cert"] = os.fspath(access.cert)
            given["tls_client_key"] = os.fspath(access.key) if access.key else None
        make: Any = Security
        made = make(require_encryption=True, **given)
    for what, option in (("tls_ca_file", "ca"), ("tls_client_cert", "cert")):
        if not getattr(made, what):
            raise OsmiaError(
                f"TLS needs certificates of both sides, and there is no {option}=: give ca=, cert= "
                "and key= (--ca, --cert, --key), or distributed.comm.tls in Dask's configuration"
            )
    for what in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        _check_file(getattr(made, what))
    return made


def _check_file(path: str | None) -> None:
    if not path or "\n" in path:  # PEM itself
        return
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            file.read(1)
    except OSError as error:
        raise OsmiaError(f"{path}: {error.strerror}") from None


def _look(
    address: str, host: str, port: int, context: ssl.SSLContext | None, timeout: float
) -> None:
    """Return when a scheduler of Dask's is there and lets us in; it speaks first."""
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        try:
            with socket.create_connection((host, port), timeout=max(left, 0.01)) as plain:
                _hear(address, plain, context, end)
            return
        except socket.gaierror as error:
            raise SchedulerError(f"{address}: {error.strerror}") from None
        except OSError as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                raise SchedulerError(f"{address} {_refusal(error)}") from None
            silent = context is None and isinstance(error, TimeoutError)
            if silent and _speaks_tls(host, port):
                why = f"{address} speaks TLS: it is tls://, with certificates"
                raise SchedulerError(why) from None
            if time.monotonic() + _PAUSE > end:
                said = error.strerror or "no answer"
                why = f"no scheduler answers at {address} in {timeout:g} s: {said}"
                raise SchedulerError(why) from None
        time.sleep(_PAUSE)


def _hear(address: str, plain: socket.socket, context: ssl.SSLContext | None, end: float) -> None:
    """Return when the other side has said something that we understand. TLS 1.3 tells only then
    what it thinks of our certificate."""
    if context is None:
        plain.settimeout(min(_SILENCE, max(end - time.monotonic(), 0.01)))
        heard = plain.recv(1)
    else:
        host = address.partition("://")[2].rpartition(":")[0].strip("[]")
        with context.wrap_socket(plain, server_hostname=host) as encrypted:
            encrypted.settimeout(max(end - time.monotonic(), 0.01))
            heard = encrypted.recv(1)
    if not heard:
        raise ConnectionResetError(104, "it closed the connection")


def _speaks_tls(host: str, port: int) -> bool:
    """Whether TLS is what a silent server speaks, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=_SILENCE) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False


def _identify(address: str, security: Any, timeout: float) -> None:
    """Return if it is a scheduler of Dask's: a Client of something else would not end well."""

    async def ask() -> Any:
        from distributed.comm.core import connect
        from distributed.core import send_recv

        speak: Any = connect
        given = security.get_connection_args("client") if security else {}
        comm = await speak(address, timeout=timeout, **given)
        try:
            return await send_recv(comm, op="identity", n_workers=0, reply=True)
        finally:
            comm.abort()

    async def ask_in_time() -> Any:
        async with asyncio.timeout(timeout):
            return await ask()

    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop that runs
            said = thread.submit(asyncio.run, ask_in_time()).result()
    except Exception as error:  # what speaks another protocol has errors of every kind
        raise SchedulerError(f"{address} is no scheduler of Dask's: {_told(error)}") from None
    if not isinstance(said, dict) or said.get("type") != "Scheduler":
        raise SchedulerError(f"{address} is no scheduler of Dask's")


def _told(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _refusal(error: ssl.SSLError) -> str:
    """What a TLS error says of the certificates."""
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that our authority (ca=) does not take: {error.verify_message}"
    if "WRONG_VERSION" in reason or "RECORD_LAYER" in reason or "PACKET_LENGTH" in reason:
        return "does not speak TLS: start it with certificates (dask scheduler --tls-cert …)"
    for word, why in _REFUSALS.items():
        if word in reason:
            return f"does not take our certificate: {why}"
    return f"cannot be spoken to by TLS: {reason.replace('_', ' ').lower()}"
