"""`osmia sign`: signatures of objects, by the user's key."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from osmia.images import Image
    from osmia.object import Object


@click.command("sign", cls=Verb, json=True)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="The private key that signs: Ed25519, with --kernel RSA or ECDSA.",
)
@click.option(
    "--kernel",
    is_flag=True,
    help="Sign what the kernel itself checks (since 6.18): the program that loads each of FILES.",
)
@click.option(
    "--cert",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="The X.509 certificate (PEM, DER) of KEY, with --kernel.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path, exists=True),
    metavar="PEM",
    help="Sign nothing: check that this public key's owner (with --kernel: this certificate's)"
    " signed FILES, or images (oci://…).",
)
@click.option("--new-key", is_flag=True, help="Make KEY first, and KEY.pub for those who check.")
@pass_output
def sign_command(
    output: Output,
    files: tuple[Path, ...],
    key: Path | None,
    kernel: bool,
    cert: Path | None,
    check: Path | None,
    new_key: bool,
) -> int:
    """Sign FILES (objects); the signature is kept beside each, in FILE.sig.

    Of an image in a registry, oci://HOST/NAME:TAG, the signature goes into the manifest, which is
    pushed under its tag.

    What is signed is what the object says (its digest), which `load(require_signature=KEY.pub)`
    and `--check` compare: a change of code, data, types or maps makes the signature void. Other
    keys' signatures of the same object stay. `osmia image build` takes them along.

    With --kernel it is a program that makes the object's maps and loads its programs, kept in
    FILE.kernel-sig: `osmia prog load --keyring`, `load(keyring=…)` run it, if the kernel finds the
    certificate in that keyring.
    """
    if (key is None) == (check is None):
        raise click.UsageError("either --key signs, or --check checks")
    if new_key and key is None:
        raise click.UsageError("--new-key makes the file that --key names")
    if not files and not new_key:
        raise click.UsageError("no FILES")
    if (kernel and check is None) != (cert is not None) or (kernel and new_key):
        raise click.UsageError("--kernel goes with --key and --cert, of a key that there is")
    if new_key and key is not None:
        _make(output, key)
    if check is not None:
        return _check(output, files, check, kernel=kernel)
    assert key is not None
    if cert is not None:
        _sign_loaders(output, files, key, cert)
    else:
        _sign(output, files, key)
    return 0


def _make(output: Output, path: Path) -> None:
    from osmia.object.signatures import new_key

    public = Path(f"{path}.pub")
    for each in (path, public):
        if each.exists():
            raise click.UsageError(f"{each} is there already")
    private_pem, public_pem = new_key()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private_pem)
    public.write_bytes(public_pem)
    if not output.json:
        output.line(printable(f"{path}, {public}: a new key"))


def _sign(output: Output, files: tuple[Path, ...], key: Path) -> None:
    from osmia import images
    from osmia.object.signatures import private_key, sign_file

    private = private_key(key)
    _sign_each(
        output,
        files,
        "signed",
        lambda path, obj: sign_file(path, obj, private),
        lambda image: images.sign(image, private),
    )


def _sign_loaders(output: Output, files: tuple[Path, ...], key: Path, cert: Path) -> None:
    from osmia.kernel.skeletons.pkcs7 import Signer
    from osmia.kernel.skeletons.signed import sign_file, sign_image

    signer = Signer(key, cert)
    _sign_each(
        output,
        files,
        "signed for the kernel",
        lambda path, obj: sign_file(path, obj, signer),
        lambda image: sign_image(image, signer),
    )


def _sign_each(
    output: Output,
    files: tuple[Path, ...],
    how: str,
    sign_file: Callable[[Path, Object], Path],
    sign_image: Callable[[Image], Image],
) -> None:
    from osmia.cli.sources import image_reference
    from osmia.formats import open_object

    for path in files:
        if reference := image_reference(path):
            _sign_image(output, reference, sign_image)
            continue
        obj = open_object(path)
        beside = sign_file(path, obj)
        if output.json:
            output.record({"file": str(path), "signatures": str(beside), "digest": obj.digest})
        else:
            output.line(printable(f"{path}: {how}, in {beside}"))


def _sign_image(output: Output, reference: str, sign: Callable[[Image], Image]) -> None:
    from osmia.images import Reference, pull, push

    image = sign(pull(reference))
    named = Reference.parse(reference)
    pushed = push(image, Reference(named.host, named.repository, named.tag))
    if output.json:
        output.record({"file": reference, "signatures": str(pushed), "digest": image.digest})
    else:
        output.line(printable(f"{reference}: signed, as {pushed}"))


def _check(output: Output, files: tuple[Path, ...], check: Path, *, kernel: bool) -> int:
    from osmia.cli.sources import image_reference, open_source
    from osmia.errors import NotSignedError
    from osmia.object.signatures import public_key, verify

    if kernel:
        from osmia.kernel.skeletons.pkcs7 import certificate_der
        from osmia.kernel.skeletons.signed import verify_loader

        signed_by = partial(verify_loader, certificate=certificate_der(check))
    else:
        signed_by = partial(verify, key=public_key(check))
    failed = False
    for path in files:
        shown = image_reference(path) or str(path)
        obj, reason = open_source(path), ""
        try:
            signed_by(obj)
        except NotSignedError as error:
            failed, reason = True, str(error)
        if output.json:
            output.record({"file": shown, "signed": not reason, "reason": reason or None})
        else:
            output.line(printable(reason or f"{shown}: signed by the key"))
    return int(failed)
