"""Options of signatures that the kernel checks, and loads with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from osmia.kernel.load.loaded import KernelObject
    from osmia.kernel.skeletons.pkcs7 import Signer
    from osmia.object import Object
    from osmia.passes.target import Target

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)


def takes_signer(function: F) -> F:
    """`--key`, `--cert`: who signs."""
    for option in (
        click.option(
            "--cert", type=_FILE, metavar="FILE", help="Its X.509 certificate (PEM, DER)."
        ),
        click.option("--key", type=_FILE, metavar="PEM", help="Sign with this RSA or ECDSA key."),
    ):
        function = option(function)
    return function


def takes_keyring(function: F) -> F:
    """`--keyring`, `--key`, `--cert`: a load that the kernel looks at the signature of."""
    for option in (
        click.option(
            "--cert",
            type=_FILE,
            metavar="FILE",
            help="Put this X.509 certificate (PEM, DER) into the keyring first.",
        ),
        click.option(
            "--key",
            type=_FILE,
            metavar="PEM",
            help="Sign FILE now, with --cert's RSA or ECDSA key.",
        ),
        click.option(
            "--keyring",
            metavar="KEYRING",
            help="Load by a signed loader, if the signer's certificate is in this keyring of the"
            " kernel's (since 6.18): session, user, builtin, secondary, platform, a serial number."
            "  [default: the command's own, with --cert]",
        ),
    ):
        function = option(function)
    return function


def signer_of(key: Path | None, cert: Path | None) -> Signer | None:
    """Who signs, if anybody; UsageError for a key without a certificate, or one without a key."""
    if (key is None) != (cert is None):
        raise click.UsageError("--key goes with --cert")
    if key is None or cert is None:
        return None
    from osmia.kernel.skeletons.pkcs7 import Signer

    return Signer(key, cert)


def load_by_signed_loader(
    obj: Object,
    keyring: str | None,
    key: Path | None,
    cert: Path | None,
    target: Target | None,
    options: Mapping[str, Any],
) -> KernelObject:
    """Load an object by the loader that is kept beside its file, or by one that is signed now, for
    `target`. UsageError for `options`: a loader does as it was signed."""
    from osmia.kernel.skeletons.pkcs7 import certificate_der
    from osmia.kernel.skeletons.signed import sign_loader
    from osmia.kernel.skeletons.signed_load import load_loader, load_signed
    from osmia.kernel.sys.keyrings import add_certificate, keyring_number

    name = keyring or "process"
    try:
        keyring_number(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if any(options.values()):
        raise click.UsageError(f"a signed loader does as it was signed, without {_first(options)}")
    signer = signer_of(key, cert) if key is not None else None
    signed = sign_loader(obj, signer, target=target) if signer is not None else None
    if cert is not None:
        add_certificate(certificate_der(cert), name)
    return load_signed(obj, name) if signed is None else load_loader(obj, signed, name)


def _first(options: Mapping[str, Any]) -> str:
    return next(f"--{name.replace('_', '-')}" for name, value in options.items() if value)
