"""Signatures of objects: Ed25519 over `Object.digest`, kept in a file beside the object's.

What is signed is what an object says, not its bytes: a file that was read and written anew has the
signatures still, and one in which anything was changed has none. `x.bpf.o.sig` is JSON:

    {"digest": "64 hexadecimal digits", "signatures": [{"key": "…", "ed25519": "base64"}]}

`key` is the SHA-256 of the public key's 32 bytes and only says which one to try. The keys are PEM
files as openssl writes them (`openssl genpkey -algorithm ed25519`). Needs `osmia[images]`.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from osmia.errors import MissingPackageError, NotSignedError
from osmia.files import write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    from osmia.object.model import Object

#: A PEM file, its contents, the 32 bytes of the key itself, or cryptography's object.
PublicKey: TypeAlias = "str | os.PathLike[str] | bytes | Ed25519PublicKey"
PrivateKey: TypeAlias = "str | os.PathLike[str] | bytes | Ed25519PrivateKey"

SUFFIX = ".sig"
#: Before the digest: a signature of something else is none of an object.
_CONTEXT = b"osmia object signature 1\0"
_LARGEST = 1 << 16
_SCHEME = "oci://"
#: Where an object came from an image: found by name, as it is above this layer.
_IMAGES = "osmia.images.opening"


def sign(obj: Object, key: PrivateKey, kept: str = "") -> str:
    """The text of a `.sig` file: the object's signature by `key`, and those of `kept`, such a
    text, that are of the same digest. ValueError for what is no Ed25519 key."""
    private = private_key(key)
    digest = obj.digest
    mine = _key_name(private.public_key())
    others = [
        each
        for each in (_parsed(kept, "the signatures to keep")["signatures"] if kept else [])
        if each["key"] != mine
    ]
    if kept and _parsed(kept, "the signatures to keep")["digest"] != digest:
        others = []
    signature = base64.b64encode(private.sign(_message(digest))).decode()
    signatures = [*others, {"key": mine, "ed25519": signature}]
    return json.dumps({"digest": digest, "signatures": signatures}) + "\n"


def sign_file(path: str | os.PathLike[str], obj: Object, key: PrivateKey) -> Path:
    """Sign the object of a file, beside which the signature is kept; others' stay. The path of the
    signatures."""
    beside = Path(f"{os.fsdecode(path)}{SUFFIX}")
    write_whole(beside, sign(obj, key, kept_signatures(path)).encode())
    return beside


def verify(obj: Object, key: PublicKey, text: str | None = None) -> None:
    """Return if the object, as it is now, was signed by `key`; otherwise NotSignedError says why.

    `text` has the signatures; without it, they are those beside the file that the object was
    read from, or of its image.
    """
    owner = obj.path or obj.name
    public = public_key(key)
    if text is None:
        text = kept_signatures(obj.path) if obj.path else ""
    if not text:
        raise NotSignedError(f"{owner} is not signed, and a signature is required")
    said = _parsed(text, owner)
    digest = obj.digest
    if said["digest"] != digest:
        raise NotSignedError(
            f"{owner} is not what was signed: it was changed since, in the file or by edits"
        )
    wanted = _key_name(public)
    for each in said["signatures"]:
        if each["key"] == wanted:
            _verify_one(public, digest, each["ed25519"], owner)
            return
    raise NotSignedError(f"{owner} is signed, but not by the key that is required")


def kept_signatures(path: str | os.PathLike[str]) -> str:
    """The text of the signatures beside a file or of an image; "" where there are none."""
    if isinstance(path, str) and path.startswith(_SCHEME):
        found: str = importlib.import_module(_IMAGES).signatures(path)
        return found
    return text_beside(path, SUFFIX, _LARGEST)


def text_beside(path: str | os.PathLike[str], suffix: str, largest: int) -> str:
    """The text of the file that has `suffix` behind the path's name, and no more than a byte above
    `largest`; "" where there is none."""
    try:
        beside = os.open(f"{os.fsdecode(path)}{suffix}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(beside, "rb") as file:  # a FIFO keeps nobody waiting
            return (file.read(largest + 1) or b"").decode("utf-8", "replace")
    except OSError:
        return ""


def signers(text: str) -> list[str]:
    """Whose signatures a text has: SHA-256 of public keys, unverified."""
    return [each["key"] for each in _parsed(text, "the object")["signatures"]] if text else []


def new_key() -> tuple[bytes, bytes]:
    """A new private key and its public one, as PEM."""
    serialization = _cryptography("cryptography.hazmat.primitives.serialization")
    private = _ed25519().Ed25519PrivateKey.generate()
    secret: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return secret, public


def public_key(key: PublicKey) -> Ed25519PublicKey:
    """The key of a PEM file, of its contents, or of 32 bytes. ValueError if it is no public
    Ed25519 key, OSError for a file that cannot be read."""
    kind = _ed25519().Ed25519PublicKey
    if isinstance(key, bytes) and len(key) == 32:
        made: Ed25519PublicKey = kind.from_public_bytes(key)
        return made
    found: Ed25519PublicKey = _key(key, kind, "load_pem_public_key", "public")
    return found


def private_key(key: PrivateKey) -> Ed25519PrivateKey:
    """The same of private keys. ValueError for one with a passphrase."""
    kind = _ed25519().Ed25519PrivateKey
    found: Ed25519PrivateKey = _key(key, kind, "load_pem_private_key", "private", password=None)
    return found


def _key(key: Any, kind: Any, loader: str, what: str, **options: Any) -> Any:
    if isinstance(key, kind):
        return key
    named = "the key" if isinstance(key, bytes) else os.fspath(key)
    content = key if isinstance(key, bytes) else Path(key).read_bytes()
    load = getattr(_cryptography("cryptography.hazmat.primitives.serialization"), loader)
    try:
        found = load(content, **options)
    except _cryptography("cryptography.exceptions").UnsupportedAlgorithm:
        raise ValueError(f"{named} is no {what} Ed25519 key: it is one of another kind") from None
    except (ValueError, TypeError) as error:  # TypeError: it has a passphrase
        encrypted = isinstance(error, TypeError)
        why = "it has a passphrase" if encrypted else "it is no PEM of one"
        raise ValueError(f"{named} is no {what} Ed25519 key: {why}") from None
    if not isinstance(found, kind):
        raise ValueError(f"{named} is no {what} Ed25519 key: it is one of another kind")
    return found


def _verify_one(public: Ed25519PublicKey, digest: str, signature: str, owner: str) -> None:
    invalid = _cryptography("cryptography.exceptions").InvalidSignature
    try:
        public.verify(base64.b64decode(signature, validate=True), _message(digest))
    except (invalid, binascii.Error, ValueError):
        raise NotSignedError(f"{owner}: its signature by the required key is wrong") from None


def _message(digest: str) -> bytes:
    return _CONTEXT + digest.encode()


def _key_name(public: Ed25519PublicKey) -> str:
    return sha256(public.public_bytes_raw()).hexdigest()


def _parsed(text: str, owner: str) -> dict[str, Any]:
    """A `.sig` file's content, of the right form; NotSignedError for another."""
    try:
        if len(text) > _LARGEST:
            raise ValueError
        found = json.loads(text)
        digest, signatures = found["digest"], found["signatures"]
        fine = isinstance(digest, str) and all(
            isinstance(each["key"], str) and isinstance(each["ed25519"], str) for each in signatures
        )
        if not fine:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotSignedError(f"{owner}: its signatures are no text that osmia wrote") from None
    return {"digest": digest, "signatures": list(signatures)}


def _ed25519() -> Any:
    return _cryptography("cryptography.hazmat.primitives.asymmetric.ed25519")


def _cryptography(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingPackageError("cryptography", extra="images") from None
