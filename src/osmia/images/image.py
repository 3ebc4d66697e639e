"""An image: blobs by digest, and what they say. Nothing in it is believed before it is checked."""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from osmia.images import media_types
from osmia.images.archives import opened
from osmia.images.errors import ImageError

if TYPE_CHECKING:
    from osmia.object.model import Object

#: Labels of bpfman's specification: JSON objects of names and types.
PROGRAMS_LABEL = "io.ebpf.programs"
MAPS_LABEL = "io.ebpf.maps"
#: The manifest's annotation with the signatures of the object (`osmia.object.signatures`).
SIGNATURE = "dev.osmia.signatures"
#: That with the loader of the object that the kernel checks (`osmia.kernel.skeletons.signed`), and
#: what a file has behind its name that has the same of the file's object.
KERNEL_SIGNATURE = "dev.osmia.kernel-signatures"
KERNEL_SUFFIX = ".kernel-sig"
#: How many platforms an index may name.
_MOST_PLATFORMS = 64


class Image:
    """A BPF object as an OCI image, for one platform or several.

    `digest` names it: "sha256:" and 64 hexadecimal digits, of the manifest or, for several
    platforms, of the index. `blobs` are all its parts by digest. ImageError where one is missing,
    is not what its digest says, or is no part of a BPF image.
    """

    def __init__(self, digest: str, blobs: Mapping[str, bytes]) -> None:
        self.digest = digest
        self.blobs = dict(blobs)
        self._checked: dict[str, bytes] = {}
        self.media_type, self._manifests = self._read_manifests()

    def __repr__(self) -> str:
        return f"<Image {self.digest}: {', '.join(self.platforms)}>"

    @property
    def platforms(self) -> tuple[str, ...]:
        """What it is for: ("linux/amd64",)."""
        return tuple(self._manifests)

    def labels(self, platform: str | None = None) -> dict[str, str]:
        """The labels of the platform's config; of this machine's, or the only one, by default."""
        config = self._config(self._manifest(platform))
        inner = config.get("config")
        return _texts(inner.get("Labels") if isinstance(inner, dict) else None, "labels")

    def annotations(self, platform: str | None = None) -> dict[str, str]:
        """The annotations of the platform's manifest."""
        return _texts(self._manifest(platform).get("annotations"), "annotations")

    def programs(self, platform: str | None = None) -> dict[str, str]:
        """Program names and what bpfman calls their types, from the label."""
        return _names_and_types(self.labels(platform), PROGRAMS_LABEL)

    def maps(self, platform: str | None = None) -> dict[str, str]:
        """Map names and what bpfman calls their types, from the label."""
        return _names_and_types(self.labels(platform), MAPS_LABEL)

    def object_file(self, platform: str | None = None) -> tuple[str, bytes]:
        """The name and the bytes of the object in the platform's one layer."""
        layers = self._manifest(platform).get("layers")
        if not isinstance(layers, list) or len(layers) != 1:
            raise ImageError(f"{self.digest}: a BPF image has one layer, this one another number")
        layer = descriptor(layers[0], media_types.LAYERS, "layer")
        return _only_file(self.blob(layer), layer)

    def object(self, platform: str | None = None) -> Object:
        """The Object in the image, as `osmia.open` gives it."""
        from osmia.formats.open import read_elf

        filename, content = self.object_file(platform)
        return read_elf(content, f"oci:{self.digest}/{filename}", "")

    def save(self, path: str | os.PathLike[str], name: str = "latest") -> None:
        """Write an OCI layout: a tar, if the path ends with .tar, otherwise a directory, which
        may be there already and have other images. `name` is how the image is called in it."""
        from osmia.images.layouts import write

        write(self, path, name)

    def blob(self, digest: str) -> bytes:
        """One of its parts, checked once for as long as `blobs` has those bytes. ImageError."""
        content = self.blobs.get(digest)
        if content is None:
            raise ImageError(f"{digest} is missing")
        if self._checked.get(digest) is not content:
            self._checked[digest] = checked(digest, content)
        return content

    def blobs_needed(self) -> list[str]:
        """The digests of all its parts, manifests behind what they name."""
        needed: list[str] = []
        for digest, manifest in self._manifests.values():
            needed += manifest_parts(manifest)
            needed.append(digest)
        return [*dict.fromkeys(needed), *([self.digest] if self.digest not in needed else [])]

    def _read_manifests(self) -> tuple[str, dict[str, tuple[str, dict[str, Any]]]]:
        top = parsed(self.blob(self.digest), self.digest)
        media_type = manifest_media_type(top)
        if media_type in media_types.MANIFESTS:
            config = self._config(top)
            return media_type, {_platform(config): (self.digest, top)}
        manifests: dict[str, tuple[str, dict[str, Any]]] = {}
        for platform, digest in index_manifests(top):
            manifests[platform] = digest, parsed(self.blob(digest), digest)
        return media_type, manifests

    def manifest_of(self, platform: str | None = None) -> tuple[str, dict[str, Any]]:
        """The digest and the manifest of a platform."""
        wanted = platform or (self.platforms[0] if len(self.platforms) == 1 else _own())
        try:
            return self._manifests[wanted]
        except KeyError:
            has = ", ".join(self.platforms)
            raise ImageError(f"{self.digest} has nothing for {wanted}: {has}") from None

    def _manifest(self, platform: str | None) -> dict[str, Any]:
        return self.manifest_of(platform)[1]

    def _config(self, manifest: dict[str, Any]) -> dict[str, Any]:
        digest = descriptor(manifest.get("config"), None, "config")
        return parsed(self.blob(digest), digest)


def digest_of(content: bytes) -> str:
    """ "sha256:" and 64 hexadecimal digits."""
    return f"sha256:{sha256(content).hexdigest()}"


def checked(digest: str, content: bytes) -> bytes:
    """`content`, if it is what its digest says; otherwise ImageError."""
    found = digest_of(content)
    if found != digest:
        raise ImageError(f"what should be {digest} is {found}")
    return content


def parsed(content: bytes, digest: str) -> dict[str, Any]:
    """The JSON object of a manifest, an index or a config."""
    if len(content) > media_types.LARGEST_MANIFEST:
        raise ImageError(f"{digest} has {len(content):,} bytes, too many for a manifest")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ImageError(f"{digest} is not JSON") from None
    if not isinstance(found, dict):
        raise ImageError(f"{digest} is no JSON object")
    return found


def manifest_media_type(manifest: dict[str, Any]) -> str:
    """Of a manifest or an index that may say it or not (OCI lets them leave it out)."""
    said = manifest.get("mediaType")
    if not said:
        said = media_types.INDEX if "manifests" in manifest else media_types.MANIFEST
    if said not in (*media_types.MANIFESTS, *media_types.INDEXES):
        raise ImageError(f"{str(said)[:80]!r} is no media type of an image's manifest")
    return str(said)


def index_manifests(index: dict[str, Any]) -> list[tuple[str, str]]:
    """(platform, digest) of an index's manifests; those of no platform are no images (cosign's
    and buildkit's attestations)."""
    entries = index.get("manifests")
    if not isinstance(entries, list) or len(entries) > _MOST_PLATFORMS:
        raise ImageError("an index without a list of manifests, or with too many")
    found = []
    for each in entries:
        digest = descriptor(each, media_types.MANIFESTS, "manifest")
        if _is_object(each.get("platform")) and each["platform"].get("os") != "unknown":
            found.append((_platform(each["platform"]), digest))
    return found


def manifest_parts(manifest: dict[str, Any]) -> list[str]:
    """The digests of a manifest's config and layers."""
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_PLATFORMS:
        raise ImageError("a manifest without a list of layers, or with too many")
    return [
        descriptor(manifest.get("config"), None, "config"),
        *(descriptor(each, None, "layer") for each in layers),
    ]


def descriptor(found: Any, wanted: tuple[str, ...] | None, what: str) -> str:
    """The digest of a descriptor that has one of the wanted media types."""
    if not _is_object(found):
        raise ImageError(f"no descriptor of a {what}")
    digest, size = found.get("digest"), found.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise ImageError(f"{str(digest)[:80]!r} is no SHA-256 digest")
    if not isinstance(size, int) or not 0 <= size <= media_types.LARGEST_BLOB:
        raise ImageError(f"{digest}: a {what} of {str(size)[:20]} bytes")
    if wanted is not None and found.get("mediaType") not in wanted:
        said = str(found.get("mediaType"))[:80]
        raise ImageError(f"{digest}: a {what} of media type {said!r}, not {wanted[0]!r}")
    return digest


def is_digest(text: str) -> bool:
    """Whether it is what `digest_of` gives."""
    algorithm, _, digits = text.partition(":")
    return algorithm == "sha256" and len(digits) == 64 and set(digits) <= set("0123456789abcdef")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _platform(record: dict[str, Any]) -> str:
    parts = [record.get("os"), record.get("architecture"), record.get("variant")]
    return "/".join(str(each)[:32] for each in parts if each)


def _own() -> str:
    from osmia.images.building import own_platform

    return own_platform()


def _texts(found: Any, what: str) -> dict[str, str]:
    if not isinstance(found or {}, dict):
        raise ImageError(f"the image's {what} are no JSON object")
    return {str(name): str(text) for name, text in (found or {}).items()}


def _names_and_types(labels: dict[str, str], label: str) -> dict[str, str]:
    try:
        found = json.loads(labels.get(label, "{}"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ImageError(f"the label {label} is no JSON object")
    return {str(name): str(kind) for name, kind in found.items()}


def _only_file(layer: bytes, digest: str) -> tuple[str, bytes]:
    """The one file at a layer's root that is an object."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(layer)) as unpacked:
            archive = unpacked.read(media_types.LARGEST_OBJECT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ImageError(f"{digest} is no gzip: {error}") from None
    if len(archive) > media_types.LARGEST_OBJECT:
        raise ImageError(f"{digest} unpacks to more than {media_types.LARGEST_OBJECT:,} bytes")
    with opened(io.BytesIO(archive), f"{digest} is no tar") as (files, entries):
        found = [(each.name.removeprefix("./"), files.extractfile(each)) for each in entries]
        objects = [(name, file.read()) for name, file in found if file and name.endswith(".o")]
    at_root = [(name, content) for name, content in objects if "/" not in name]
    if len(at_root) != 1:
        raise ImageError(f"{digest}: a BPF image has one .o at its root, this one {len(at_root)}")
    return at_root[0]
