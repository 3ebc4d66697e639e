"""PKCS#7 signatures as the kernel takes them: detached, by an X.509 certificate's key, SHA-256,
without attributes and certificates. Needs `osmia[images]`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, TypeAlias

from osmia.errors import MissingPackageError

#: The path of a file, or its contents.
File: TypeAlias = "str | os.PathLike[str] | bytes"

_PEM = b"-----BEGIN"
#: DER: the tags of ContentInfo, its content, SignedData, its signers and the first of them; and of
#: an OCTET STRING.
_CONSTRUCTED = (0x30, 0xA0, 0x30, 0x31, 0x30)
_OCTETS = 0x04


class Signer:
    """A private key (PEM: RSA, or ECDSA on a curve of NIST) and its certificate (PEM or DER).

    ValueError for what is none, has a passphrase, or does not belong together; OSError for files
    that cannot be read.
    """

    def __init__(self, key: File, certificate: File) -> None:
        self._key = _private_key(key)
        self._certificate = _certificate(certificate)
        if _public_bytes(self._certificate) != _public_bytes(self._key):
            raise ValueError(f"{_named(certificate)} is the certificate of another key")

    def sign(self, content: bytes) -> bytes:
        """The signature of `content`, DER."""
        pkcs7 = _cryptography("hazmat.primitives.serialization.pkcs7")
        option = pkcs7.PKCS7Options
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(
            self._certificate, self._key, _cryptography("hazmat.primitives.hashes").SHA256()
        )
        options = [option.DetachedSignature, option.Binary, option.NoAttributes, option.NoCerts]
        encoding = _cryptography("hazmat.primitives.serialization").Encoding.DER
        made: bytes = builder.sign(encoding, options)
        return made


def is_signed(content: bytes, signature: bytes, certificate: File) -> bool:
    """Whether a signature, as `Signer.sign` and bpftool make them, is of `content` and by the key
    of a certificate. ValueError for what is no certificate, or one of neither kind of key."""
    primitives = "hazmat.primitives"
    sha256 = _cryptography(f"{primitives}.hashes").SHA256()
    key = _certificate(certificate).public_key()
    rsa = _cryptography(f"{primitives}.asymmetric.rsa").RSAPublicKey
    ec = _cryptography(f"{primitives}.asymmetric.ec")
    if isinstance(key, rsa):
        padding = _cryptography(f"{primitives}.asymmetric.padding").PKCS1v15()
        how: tuple[Any, ...] = (padding, sha256)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        how = (ec.ECDSA(sha256),)
    else:
        raise ValueError(f"{_named(certificate)} is of no RSA or ECDSA key")
    try:
        key.verify(_value(signature), content, *how)
    except (_cryptography("exceptions").InvalidSignature, ValueError):
        return False
    return True


def _value(signature: bytes) -> bytes:
    """The value in a PKCS#7 signature without attributes: what stands last in what stands last,
    from the outermost SEQUENCE to that of the signer. ValueError for something else."""
    for expected in _CONSTRUCTED:
        tag, signature = _last(signature)
        if tag != expected:
            raise ValueError("no PKCS#7 of one signer")
    tag, value = _last(signature)
    if tag != _OCTETS:
        raise ValueError("a PKCS#7 with attributes")
    return value


def _last(der: bytes) -> tuple[int, bytes]:
    """The tag and the content of the last element of DER."""
    at, tag, start = 0, 0, len(der)
    while at < len(der):
        tag, length, start = der[at], (*der[at + 1 : at + 2], -1)[0], at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[start : start + size], "big")
            start += size
        at = start + length
    if at != len(der):
        raise ValueError("no DER")
    return tag, der[start:]


def certificate_der(certificate: File) -> bytes:
    """The DER of a certificate, which is what the kernel's keyrings take. ValueError, OSError."""
    encoding = _cryptography("hazmat.primitives.serialization").Encoding.DER
    der: bytes = _certificate(certificate).public_bytes(encoding)
    return der


def _private_key(key: File) -> Any:
    serialization = _cryptography("hazmat.primitives.serialization")
    asymmetric = "hazmat.primitives.asymmetric"
    try:
        found = serialization.load_pem_private_key(_content(key), password=None)
    except _cryptography("exceptions").UnsupportedAlgorithm:
        found = None
    except (ValueError, TypeError) as error:  # TypeError: it has a passphrase
        why = "it has a passphrase" if isinstance(error, TypeError) else "it is no PEM of one"
        raise ValueError(f"{_named(key)} is no private key: {why}") from None
    kinds = (
        _cryptography(f"{asymmetric}.rsa").RSAPrivateKey,
        _cryptography(f"{asymmetric}.ec").EllipticCurvePrivateKey,
    )
    if not isinstance(found, kinds):
        raise ValueError(f"{_named(key)} is no RSA or ECDSA key, which kernels' signatures are of")
    return found


def _certificate(certificate: File) -> Any:
    x509 = _cryptography("x509")
    content = _content(certificate)
    load = x509.load_pem_x509_certificate if _PEM in content else x509.load_der_x509_certificate
    try:
        return load(content)
    except ValueError:
        raise ValueError(f"{_named(certificate)} is no X.509 certificate") from None


def _public_bytes(owner: Any) -> bytes:
    serialization = _cryptography("hazmat.primitives.serialization")
    found: bytes = owner.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


def _content(file: File) -> bytes:
    return file if isinstance(file, bytes) else Path(file).read_bytes()


def _named(file: File) -> str:
    return "what is given" if isinstance(file, bytes) else os.fsdecode(file)


def _cryptography(module: str) -> Any:
    try:
        return importlib.import_module(f"cryptography.{module}")
    except ImportError:
        raise MissingPackageError("cryptography", extra="images") from None
