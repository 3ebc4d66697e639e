"""Objects whose loader the kernel itself checks: a light skeleton's, signed (since 6.18).

What programs are in the end depends on the kernel that they are loaded into, so that no signature
of theirs can be made before. The program that loads them (`loader_program`) does not, nor do the
bytes that it works on: both are signed, and kept in a file beside the object's,
`x.bpf.o.kernel-sig`. Two forms are made of each, as kernels before 7.3 do not look at the bytes,
and later ones do not let the loader do it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from pathlib import Path
from typing import Any

from osmia.errors import NotSignedError
from osmia.files import write_whole
from osmia.images.image import KERNEL_SIGNATURE, KERNEL_SUFFIX, Image
from osmia.images.opening import kernel_signature
from osmia.images.references import SCHEME
from osmia.images.signing import annotated
from osmia.kernel.load.target import kernel_target
from osmia.kernel.skeletons.contents import contents_of
from osmia.kernel.skeletons.loader_program import Form, LoaderProgram, loader_program, signed_bytes
from osmia.kernel.skeletons.pkcs7 import File, Signer, is_signed
from osmia.object.model import Object
from osmia.object.signatures import text_beside
from osmia.passes.target import Target
from osmia.records import dataclass

#: Bytes of such a file, and of what is unpacked from it.
_LARGEST_FILE, _LARGEST_PART = 64 << 20, 256 << 20


@dataclass(frozen=True)
class SignedLoader:
    """The signed loader of the object with that `digest`: a program and its signature for each
    form."""

    digest: str
    forms: dict[Form, tuple[LoaderProgram, bytes]]

    def to_text(self) -> str:
        """The text of a file, JSON; `from_text` reads it."""
        forms = {
            form.value: {
                "code": _packed(made.code),
                "data": _packed(made.data),
                "pkcs7": _packed(s),
            }
            for form, (made, s) in self.forms.items()
        }
        return json.dumps({"digest": self.digest, "loaders": forms}) + "\n"

    @classmethod
    def from_text(cls, text: str, owner: str) -> SignedLoader:
        """NotSignedError, which names `owner`, for a text that `to_text` did not write."""
        try:
            if len(text) > _LARGEST_FILE:
                raise ValueError
            said = json.loads(text)
            forms = {
                Form(form): (
                    LoaderProgram(_unpacked(each["code"]), _unpacked(each["data"])),
                    _unpacked(each["pkcs7"]),
                )
                for form, each in said["loaders"].items()
            }
            digest = said["digest"]
            if not isinstance(digest, str) or not forms:
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error):
            why = "its signature for the kernel is no text that osmia wrote"
            raise NotSignedError(f"{owner}: {why}") from None
        return cls(digest, forms)


def sign_loader(obj: Object, signer: Signer, *, target: Target | None = None) -> SignedLoader:
    """The signed loader of an object as it is now.

    `__kconfig` values, and how many entries maps have that depend on the number of CPUs, are from
    then on those of `target` (default: the machine that signs). Raises as `light_skeleton`.
    """
    contents = contents_of(obj, target or kernel_target())
    forms = {}
    for form in (Form.CHECKED, Form.COVERED):
        made = loader_program(contents, form)
        forms[form] = made, signer.sign(signed_bytes(form, made))
    return SignedLoader(obj.digest, forms)


def sign_file(path: str | os.PathLike[str], obj: Object, signer: Signer) -> Path:
    """Sign the loader of a file's object, beside which it is kept; the path of that."""
    beside = Path(f"{os.fsdecode(path)}{KERNEL_SUFFIX}")
    write_whole(beside, sign_loader(obj, signer).to_text().encode())
    return beside


def sign_image(image: Image, signer: Signer) -> Image:
    """The image with the signed loader of the object of each platform."""

    def signed(platform: str) -> str:
        return sign_loader(image.object(platform), signer).to_text()

    return annotated(image, KERNEL_SIGNATURE, signed)


def kept_loader(obj: Object) -> SignedLoader:
    """The signed loader beside the file of an object, or in its image. NotSignedError where there
    is none, or one of another object than it is now."""
    owner = obj.path or obj.name
    text = ""
    if obj.path.startswith(SCHEME):
        text = kernel_signature(obj.path)
    elif obj.path:
        text = text_beside(obj.path, KERNEL_SUFFIX, _LARGEST_FILE)
    if not text:
        raise NotSignedError(
            f"{owner} is not signed for the kernel: osmia sign --kernel --key … --cert … {owner}"
        )
    found = SignedLoader.from_text(text, owner)
    if found.digest != obj.digest:
        raise NotSignedError(
            f"{owner} is not what was signed for the kernel: it was changed since, in the file or "
            "by edits"
        )
    return found


def verify_loader(obj: Object, certificate: File) -> None:
    """Return if the loader that is kept with an object was signed by a certificate's key, in all
    its forms; otherwise NotSignedError says why. That it loads what the object says is the
    signer's word. ValueError for what is no certificate."""
    owner = obj.path or obj.name
    for form, (made, signature) in kept_loader(obj).forms.items():
        if not is_signed(signed_bytes(form, made), signature, certificate):
            raise NotSignedError(
                f"{owner}: its signature for the kernel is not by the key of that certificate, or "
                "its loader was changed"
            )


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _unpacked(text: Any) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(text, validate=True), _LARGEST_PART)
    except binascii.Error:
        raise ValueError from None
    if not unpacking.eof:
        raise ValueError
    return content
