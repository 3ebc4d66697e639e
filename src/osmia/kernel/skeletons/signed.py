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
from osmia.kernel.load.target import kernel_target
from osmia.kernel.skeletons.contents import contents_of
from osmia.kernel.skeletons.loader_program import Form, LoaderProgram, loader_program, signed_bytes
from osmia.kernel.skeletons.pkcs7 import Signer
from osmia.object.model import Object
from osmia.passes.target import Target
from osmia.records import dataclass

SUFFIX = ".kernel-sig"
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
            said = json.loads(text)
            forms = {
                Form(form): (
                    LoaderProgram(_unpacked(each["code"]), _unpacked(each["data"])),
                    _unpacked(each["pkcs7"]),
                )
                for form, each in said["loaders"].items()
            }
            digest = said["digest"]
            if not isinstance(digest, str):
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
    beside = Path(f"{os.fsdecode(path)}{SUFFIX}")
    write_whole(beside, sign_loader(obj, signer).to_text().encode())
    return beside


def kept_loader(obj: Object) -> SignedLoader:
    """The signed loader beside the file of an object. NotSignedError where there is none, or one of
    another object than it is now."""
    owner = obj.path or obj.name
    found = SignedLoader.from_text(_beside(obj.path, owner), owner)
    if found.digest != obj.digest:
        raise NotSignedError(
            f"{owner} is not what was signed for the kernel: it was changed since, in the file or "
            "by edits"
        )
    return found


def _beside(path: str, owner: str) -> str:
    try:
        if not path:
            raise FileNotFoundError
        beside = os.open(f"{path}{SUFFIX}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(beside, "rb") as file:  # a FIFO keeps nobody waiting
            content = file.read(_LARGEST_FILE + 1) or b""
    except OSError:
        raise NotSignedError(
            f"{owner} is not signed for the kernel: osmia sign --kernel --key … --cert … {owner}"
        ) from None
    if len(content) > _LARGEST_FILE:
        raise NotSignedError(f"{owner}{SUFFIX} has more than {_LARGEST_FILE:,} bytes")
    return content.decode("utf-8", "replace")


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
