"""Signatures of an image's objects, put into its manifests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from osmia.images.building import as_json
from osmia.images.image import SIGNATURE, Image, digest_of, parsed
from osmia.object.signatures import PrivateKey, private_key
from osmia.object.signatures import sign as sign_object


def sign(image: Image, key: PrivateKey) -> Image:
    """The image with a signature by `key` of the object of each platform; others' stay.

    Labels, layers and all that osmia does not know stay as they are; the manifests' digests, and
    so the image's, are others. ImageError; ValueError for what is no private Ed25519 key.
    """
    private = private_key(key)

    def signature(platform: str) -> str:
        kept = image.annotations(platform).get(SIGNATURE, "")
        return sign_object(image.object(platform), private, kept)

    return annotated(image, SIGNATURE, signature)


def annotated(image: Image, name: str, text: Callable[[str], str]) -> Image:
    """The image whose manifests have `text` of their platform as the annotation `name`."""
    blobs = dict(image.blobs)
    changed: dict[str, bytes] = {}
    for platform in image.platforms:
        digest, manifest = image.manifest_of(platform)
        notes = {**image.annotations(platform), name: text(platform)}
        changed[digest] = as_json({**manifest, "annotations": notes})
    for digest, content in changed.items():
        del blobs[digest]
        blobs[digest_of(content)] = content
    if image.digest in changed:
        return Image(digest_of(changed[image.digest]), blobs)
    index = parsed(blobs.pop(image.digest), image.digest)
    index["manifests"] = [_entry(each, changed) for each in index["manifests"]]
    top = as_json(index)
    blobs[digest_of(top)] = top
    return Image(digest_of(top), blobs)


def _entry(entry: Any, changed: dict[str, bytes]) -> Any:
    content = changed.get(entry["digest"])
    if content is None:  # no platform's: another tool's attestation
        return entry
    return {**entry, "digest": digest_of(content), "size": len(content)}
