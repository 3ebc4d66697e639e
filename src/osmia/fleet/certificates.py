"""The certificates of a fleet: an authority of its own, and one for each who may speak.

Who has a certificate of the authority is a member, so its key, `ca-key.pem`, makes members and is
needed nowhere but here. `scheduler.pem`, `worker.pem` (or one a host, by its name) and `client.pem`
have their keys beside them. A client's certificate is no server's (extended key usage), so that
who has it cannot pose as the scheduler or a worker. ECDSA on P-256.
"""

from __future__ import annotations

import datetime
import importlib
import os
import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from osmia.errors import MissingPackageError, OsmiaError
from osmia.files import write_whole

#: What a directory has: the authority, and a certificate for each part.
AUTHORITY, SCHEDULER, WORKER, CLIENT = "ca", "scheduler", "worker", "client"
#: How long certificates hold, in days.
DAYS = 365
#: Clocks differ: what is new holds since then.
_BEFORE = datetime.timedelta(hours=1)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]{0,61}[A-Za-z0-9])?")


def make_certificates(
    directory: str | os.PathLike[str], hosts: Sequence[str] = (), *, days: float = DAYS
) -> list[Path]:
    """Make what a directory lacks: the authority, the scheduler's certificate, a client's, and a
    worker's, or with `hosts` one for each of them. What is there stays, so that hosts can be added
    later; gives the certificates that were made. OsmiaError for what cannot be.

    `NAME.pem` is a certificate, `NAME-key.pem` its key, which only the owner can read.
    """
    place = Path(directory)
    for each in hosts:
        if not _NAME.fullmatch(each) or each in (AUTHORITY, SCHEDULER, CLIENT):
            raise OsmiaError(f"{each[:80]!r} is no name of a host that a certificate can have")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, made = _authority(place, days)
    for name in (SCHEDULER, CLIENT, *(dict.fromkeys(hosts) or (WORKER,))):
        if not _is_there(place, name):
            certificate, key = _issued(authority, name, days, serves=name != CLIENT)
            made.append(_write(place, name, certificate, key))
    return made


def _authority(place: Path, days: float) -> tuple[tuple[Any, Any], list[Path]]:
    """Its certificate and key, and what was made for it."""
    serialization = _cryptography("hazmat.primitives.serialization")
    if _is_there(place, AUTHORITY):
        try:
            known = _cryptography("x509").load_pem_x509_certificate(
                (place / f"{AUTHORITY}.pem").read_bytes()
            )
            key = serialization.load_pem_private_key(
                (place / f"{AUTHORITY}-key.pem").read_bytes(), None
            )
        except (ValueError, TypeError) as error:
            raise OsmiaError(
                f"{place / AUTHORITY}.pem or its key cannot be read: {error}"
            ) from None
        if known.public_key() != key.public_key():
            raise OsmiaError(f"{place / AUTHORITY}-key.pem is not the key of {AUTHORITY}.pem")
        if known.not_valid_after_utc <= _now():
            raise OsmiaError(f"{place / AUTHORITY}.pem is expired: start with another directory")
        return (known, key), []
    key = _new_key()
    x509 = _cryptography("x509")
    named = _named(f"osmia fleet {os.urandom(4).hex()}")  # two in one file are told apart
    builder = _builder(named, named, key, days * 10).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = builder.add_extension(identifier, critical=False).sign(key, _sha256())
    return (made, key), [_write(place, AUTHORITY, made, key)]


def _issued(authority: tuple[Any, Any], name: str, days: float, *, serves: bool) -> tuple[Any, Any]:
    """A certificate and its key. Who serves is a client as well: workers speak to each other."""
    x509 = _cryptography("x509")
    usages = x509.oid.ExtendedKeyUsageOID
    issuer, issuer_key = authority
    key = _new_key()
    allowed = [usages.CLIENT_AUTH, *([usages.SERVER_AUTH] if serves else [])]
    try:
        alternative = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    builder = _builder(_named(name), issuer.subject, key, days, latest=issuer.not_valid_after_utc)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage(allowed), False),
        (x509.SubjectAlternativeName([alternative]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, _sha256()), key


def _builder(
    subject: Any, issuer: Any, key: Any, days: float, *, latest: datetime.datetime | None = None
) -> Any:
    x509 = _cryptography("x509")
    end = _now() + datetime.timedelta(days=days)
    if latest is not None:  # none outlives who vouches for it
        end = min(end, latest)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(_now(), end) - _BEFORE)
        .not_valid_after(end)
    )


def _usage(**allowed: bool) -> Any:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return _cryptography("x509").KeyUsage(**dict.fromkeys(every.split(), False) | allowed)


def _named(name: str) -> Any:
    x509 = _cryptography("x509")
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])


def _new_key() -> Any:
    elliptic = _cryptography("hazmat.primitives.asymmetric.ec")
    return elliptic.generate_private_key(elliptic.SECP256R1())


def _sha256() -> Any:
    return _cryptography("hazmat.primitives.hashes").SHA256()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _is_there(place: Path, name: str) -> bool:
    """OsmiaError for a half: a certificate without a key was moved here, or its key taken away."""
    both = [place / f"{name}.pem", place / f"{name}-key.pem"]
    there = [each for each in both if each.exists()]
    if len(there) == 1 and there[0] == both[0]:
        raise OsmiaError(f"{both[0]} is there, and its key {both[1].name} is not")
    return len(there) == 2  # a key alone is what was written first, and no more


def _write(place: Path, name: str, certificate: Any, key: Any) -> Path:
    """The key first: a certificate that is there has one."""
    serialization = _cryptography("hazmat.primitives.serialization")
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_whole(place / f"{name}-key.pem", secret, mode=0o600)
    path = place / f"{name}.pem"
    write_whole(path, certificate.public_bytes(pem), mode=0o644)
    return path


def _cryptography(module: str) -> Any:
    try:
        return importlib.import_module(f"cryptography.{module}")
    except ImportError:
        raise MissingPackageError("cryptography", extra="fleet") from None
