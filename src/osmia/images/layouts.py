"""OCI image layouts: directories, and tars of them, with `index.json` and `blobs/sha256/…`."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osmia.files import write_whole
from osmia.images import media_types
from osmia.images.archives import opened
from osmia.images.errors import ImageError
from osmia.images.image import (
    Image,
    checked,
    descriptor,
    index_manifests,
    manifest_media_type,
    manifest_parts,
    parsed,
)

_NAME = "org.opencontainers.image.ref.name"
_MARK = "oci-layout"
_INDEX = "index.json"
_VERSION = {"imageLayoutVersion": "1.0.0"}
_MANIFEST_TYPES = (*media_types.MANIFESTS, *media_types.INDEXES)

#: The bytes of a file of a layout, by its path in it; None where there is none.
_Reader = Callable[[str], "bytes | None"]


def read(path: str | os.PathLike[str], name: str | None = None) -> Image:
    """The image of a layout, a directory or a tar of one; `name` says which, where it has several.

    ImageError for what is no layout, has no image of that name, or has bytes that do not fit
    their digests; OSError for what cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        return _read(lambda part: _file(place / part), str(path), name)
    with _tar(place) as reader:
        return _read(reader, str(path), name)


def names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the images in a layout. ImageError, OSError as of `read`."""
    place = Path(path)
    if place.is_dir():
        content = _file(place / _INDEX)
    else:
        with _tar(place) as reader:
            content = reader(_INDEX)
    if content is None:
        raise ImageError(f"{path} is no OCI layout: it has no {_INDEX}")
    entries = parsed(content, f"{path}: {_INDEX}").get("manifests")
    found = [_name_of(each) for each in entries] if isinstance(entries, list) else []
    return [each for each in found if each is not None]


def write(image: Image, path: str | os.PathLike[str], name: str) -> None:
    """See Image.save."""
    place = Path(path)
    if place.suffix == ".tar":
        write_whole(place, _as_tar(image, name))
        return
    index = _index_there(place)
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for digest in image.blobs_needed():
        file, content = blobs / digest.partition(":")[2], image.blob(digest)
        if not _is_there(file, content):
            if file.is_symlink():
                file.unlink()
            write_whole(file, content)
    write_whole(place / _MARK, json.dumps(_VERSION).encode())
    others = [each for each in index if _name_of(each) != name]
    write_whole(place / _INDEX, _index([*others, _entry(image, name)]))


def _read(reader: _Reader, path: str, name: str | None) -> Image:
    mark, index = reader(_MARK), reader(_INDEX)
    if mark is None or index is None:
        raise ImageError(f"{path} is no OCI layout: it has no {_MARK} and {_INDEX}")
    entries = parsed(index, f"{path}: {_INDEX}").get("manifests")
    if not isinstance(entries, list):
        raise ImageError(f"{path}: {_INDEX} lists no manifests")
    digest = descriptor(_chosen(entries, path, name), _MANIFEST_TYPES, "manifest")
    blobs: dict[str, bytes] = {}

    def take(digest: str) -> bytes:
        content = reader(f"blobs/sha256/{digest.partition(':')[2]}")
        if content is None:
            raise ImageError(f"{path}: {digest} is missing")
        blobs[digest] = checked(digest, content)
        return blobs[digest]

    collect(digest, take)
    return Image(digest, blobs)


def collect(digest: str, take: Callable[[str], bytes]) -> None:
    """`take` all parts of an image: the manifest or index `digest` first, then what it names.
    ImageError where they are too much together."""
    top = parsed(take(digest), digest)
    if manifest_media_type(top) in media_types.MANIFESTS:
        manifests = [top]
    else:
        manifests = [parsed(take(each), each) for _, each in index_manifests(top)]
    size = 0
    for each in dict.fromkeys(part for manifest in manifests for part in manifest_parts(manifest)):
        size += len(take(each))
        if size > media_types.LARGEST_IMAGE:
            raise ImageError(f"{digest} has more than {media_types.LARGEST_IMAGE:,} bytes")


def _chosen(entries: list[Any], path: str, name: str | None) -> Any:
    names = [_name_of(each) for each in entries]
    if name is None and len(entries) == 1:
        return entries[0]
    wanted = "latest" if name is None else name
    for each, called in zip(entries, names, strict=True):
        if called == wanted:
            return each
    has = ", ".join(str(each) for each in names[:20]) or "no image"
    raise ImageError(f"{path} has no image {wanted!r}: {has}")


def _name_of(entry: Any) -> str | None:
    notes = entry.get("annotations") if isinstance(entry, dict) else None
    found = notes.get(_NAME) if isinstance(notes, dict) else None
    return str(found) if found is not None else None


def _is_there(file: Path, content: bytes) -> bool:
    """Whether a file has that content; a link, or a file that was cut off, is replaced."""
    try:
        return _file(file) == content
    except OSError:
        return False


def _index_there(place: Path) -> list[Any]:
    """The entries of a layout that is written into; none of one that is not there yet."""
    if not place.exists():
        return []
    if not place.is_dir():
        raise ImageError(f"{place} is a file: a layout is a directory, or a file named .tar")
    content = _file(place / _INDEX)
    if content is None:
        if any(place.iterdir()):
            raise ImageError(f"{place} has files and is no OCI layout")
        return []
    entries = parsed(content, f"{place / _INDEX}").get("manifests")
    return entries if isinstance(entries, list) else []


def _entry(image: Image, name: str) -> dict[str, Any]:
    return {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": len(image.blob(image.digest)),
        "annotations": {_NAME: name},
    }


def _index(entries: list[Any]) -> bytes:
    index = {"schemaVersion": 2, "mediaType": media_types.INDEX, "manifests": entries}
    return json.dumps(index).encode()


def _as_tar(image: Image, name: str) -> bytes:
    files = {_MARK: json.dumps(_VERSION).encode(), _INDEX: _index([_entry(image, name)])}
    for digest in sorted(image.blobs_needed()):
        files[f"blobs/sha256/{digest.partition(':')[2]}"] = image.blob(digest)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _file(path: Path) -> bytes | None:
    """A regular file's bytes, of a bounded number; a link in a layout is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):  # fdopen would raise, and leave it open
        os.close(descriptor)
        raise ImageError(f"{path} is a directory")
    with os.fdopen(descriptor, "rb") as file:
        return _bounded(file.read(media_types.LARGEST_BLOB + 1), str(path))


@contextmanager
def _tar(place: Path) -> Iterator[_Reader]:
    with place.open("rb") as file, opened(file, f"{place} is no OCI layout") as (archive, entries):
        by_name = {each.name.removeprefix("./"): each for each in entries}

        def member(path: str) -> bytes | None:
            entry = by_name.get(path)
            found = archive.extractfile(entry) if entry is not None else None
            if found is None:
                return None
            return _bounded(found.read(media_types.LARGEST_BLOB + 1), path)

        yield member


def _bounded(content: bytes, path: str) -> bytes:
    if len(content) > media_types.LARGEST_BLOB:
        raise ImageError(f"{path} has more than {media_types.LARGEST_BLOB:,} bytes")
    return content
