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
