"""Registries: images pushed to and pulled from them, through `oras`.

Authentication is docker's: `~/.docker/config.json` (or `$DOCKER_CONFIG`), its `auths` and
credential helpers. Hosts on loopback are spoken to by HTTP, all others by HTTPS, unless said
otherwise. What was pulled is kept (`osmia.cache`): an image named by its digest needs no network a
second time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from osmia import cache
from osmia.errors import MissingPackageError, OsmiaError
from osmia.images import media_types
from osmia.images.errors import ImageError, RegistryError
from osmia.images.image import Image, checked, digest_of, is_digest
from osmia.images.layouts import collect
from osmia.images.references import Reference
from osmia.images.transport import Answer, Transport, ask_again, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

#: In the cache: parts of images by digest, and the digests that names had when they were pulled.
_BLOBS, _NAMES = "images/blobs", "images/names"
#: The header that says which digest a manifest has.
_DIGEST = "docker-content-digest"
_ACCEPTED = ", ".join((*media_types.MANIFESTS, *media_types.INDEXES))

#: Called with the number of bytes that were moved, and what all have.
Progress = Callable[[int, int], None]


def push(
    image: Image,
    reference: Reference | str,
    *,
    plain_http: bool | None = None,
    progress: Progress | None = None,
) -> Reference:
    """Put an image into a registry under the tag of `reference`; the reference with its digest.

    Parts that are there are not sent again; the manifest comes last, so that a transfer that
    broke off leaves no image. RegistryError, ImageError for a reference with another digest.
    """
    where = _parsed(reference)
    if where.digest and where.digest != image.digest:
        raise ImageError(f"{where} names another image than {image.digest}")
    registry = _Registry(where, plain_http)
    manifests = {image.digest, *(digest for digest, _ in image._manifests.values())}
    parts = [each for each in image.blobs_needed() if each not in manifests]
    whole = sum(len(image.blob(each)) for each in parts)
    moved = 0
    for digest in parts:
        content = image.blob(digest)
        if not registry.has_blob(digest):
            registry.put_blob(digest, content)
        moved += len(content)
        if progress is not None:
            progress(moved, whole)
    for digest in manifests - {image.digest}:
        registry.put_manifest(digest, image.blob(digest), media_types.MANIFEST)
    tag = where.tag or image.digest
    registry.put_manifest(tag, image.blob(image.digest), image.media_type)
    return Reference(where.host, where.repository, where.tag, image.digest)


def pull(
    reference: Reference | str,
    *,
    plain_http: bool | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> Image:
    """Get an image from the registry that `reference` names, or from the cache.

    Every part is checked against its digest, and the whole against the reference's, if it has
    one. With `offline` nothing is asked: what the cache does not have is a RegistryError; a tag
    means what it did when it was last pulled.
    """
    where = _parsed(reference)
    registry: _Registry | None = None
    blobs: dict[str, bytes] = {}
    moved = 0

    def connected() -> _Registry:
        nonlocal registry
        if offline:
            raise RegistryError(f"{where} is not in the cache, and no registry shall be asked")
        if registry is None:
            registry = _Registry(where, plain_http)
        return registry

    digest = where.digest
    if not digest and offline:
        digest = _last_digest(where)
    if digest:
        top = _kept(digest) or connected().manifest(digest)
        blobs[digest] = checked(digest, top)
    else:
        try:
            top = connected().manifest(where.tag)
        except RegistryError as error:
            raise _with_way_out(error, where) from error.__cause__
        digest = digest_of(top)
        blobs[digest] = top

    def take(each: str) -> bytes:
        nonlocal moved
        if each not in blobs:
            found = _kept(each)
            if found is None:
                found = checked(each, _fetch(connected(), each))
            blobs[each] = found
            moved += len(found)
            if progress is not None:
                progress(moved, 0)
        return blobs[each]

    collect(digest, take)
    image = Image(digest, blobs)
    for each, content in blobs.items():
        cache.write_if_possible(_BLOBS, each.partition(":")[2], content)
    if where.tag:
        cache.write_if_possible(_NAMES, _key(where), digest.encode())
    return image


def _last_digest(where: Reference) -> str:
    """What the tag meant when it was last pulled; "" where it never was."""
    found = (cache.read(_NAMES, _key(where)) or b"").decode("ascii", "replace")
    return found if is_digest(found) else ""


def _with_way_out(error: RegistryError, where: Reference) -> RegistryError:
    """The error, with what the cache has, where the registry could not be asked for a tag."""
    last = _last_digest(where) if error.status is None else ""
    if not last or _kept(last) is None:
        return error
    named = Reference(where.host, where.repository, where.tag, last)
    return RegistryError(f"{error}; what it was last is in the cache: {named}")


def _fetch(registry: _Registry, digest: str) -> bytes:
    """A blob; manifests of an index lie elsewhere in a registry."""
    found = registry.blob(digest)
    return registry.manifest(digest) if found is None else found


def _parsed(reference: Reference | str) -> Reference:
    return Reference.parse(reference) if isinstance(reference, str) else reference


def _key(where: Reference) -> str:
    """The name of a tag's entry in the cache."""
    return digest_of(f"{where.name}:{where.tag}".encode()).partition(":")[2]


def _kept(digest: str) -> bytes | None:
    """A part that was pulled before. Its file is not believed: what is not as its digest says is
    pulled again."""
    content = cache.read(_BLOBS, digest.partition(":")[2])
    return content if content is not None and digest_of(content) == digest else None


class _Registry:
    """One repository of a registry. All its errors are RegistryErrors that name it."""

    def __init__(self, where: Reference, plain_http: bool | None) -> None:
        oras = _oras()
        self.where = where
        host = urlsplit(f"//{where.host}").hostname or ""
        http = is_loopback(host) if plain_http is None else plain_http
        self._registry = registry = oras.Registry(hostname=where.host, insecure=http)
        self._base = f"{registry.prefix}://{where.host}/v2/{where.repository}"
        self._container = container = registry.get_container(f"{where.name}:latest")
        with self._told("its credentials"):
            self._transport = Transport(registry.session, self._base)
            registry.auth.load_configs(container, _config_files())
            self._transport.password = getattr(registry.auth, "_basic_auth", None) or ""
        registry.do_request = self._transport.request

    def manifest(self, wanted: str) -> bytes:
        """The bytes of a manifest or index, by tag or digest."""
        url = f"{self._base}/manifests/{wanted}"

        def attempt() -> tuple[str, bytes]:
            answer = self._transport.request(url, headers={"Accept": _ACCEPTED}, stream=True)
            content = self._content(answer, wanted, media_types.LARGEST_MANIFEST)
            return answer.headers.get(_DIGEST, ""), content

        with self._told(wanted):
            said, content = ask_again(attempt)
            if said.startswith("sha256:") and said != digest_of(content):
                raise ImageError(f"the registry says {said[:80]}, and sent {digest_of(content)}")
            return content

    def blob(self, digest: str) -> bytes | None:
        """The bytes of a blob; None where there is none."""

        def attempt() -> bytes | None:
            answer = self._registry.get_blob(self._container, digest, stream=True)
            if answer.status_code == 404:
                answer.close()
                return None
            return self._content(answer, digest, media_types.LARGEST_BLOB)

        with self._told(digest):
            return ask_again(attempt)

    def has_blob(self, digest: str) -> bool:
        with self._told(digest):
            response = self._registry.get_blob(self._container, digest, head=True)
            if response.status_code in (200, 404):
                return bool(response.status_code == 200)
            raise self._refused(response, digest)

    def put_blob(self, digest: str, content: bytes) -> None:
        with self._told(digest), tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            layer = {"digest": digest, "size": len(content), "mediaType": media_types.LAYER}
            response = self._registry.put_upload(file.name, self._container, layer)
            if response.status_code not in (200, 201, 202):
                raise self._refused(response, digest)

    def put_manifest(self, name: str, content: bytes, media_type: str) -> None:
        with self._told(name):
            response = self._transport.request(
                f"{self._base}/manifests/{name}",
                "PUT",
                data=content,
                headers={"Content-Type": media_type},
            )
            if response.status_code not in (200, 201, 202):
                raise self._refused(response, name)

    def _content(self, answer: Answer, what: str, largest: int) -> bytes:
        with answer:
            if answer.status_code != 200:
                raise self._refused(answer, what)
            return answer.read(largest)

    def _refused(self, answer: Answer, what: str) -> RegistryError:
        status = answer.status_code
        try:
            errors = answer.json().get("errors") or [{}]
            said = str(errors[0].get("message") or errors[0].get("code") or "")[:200]
        except (OsmiaError, ValueError, AttributeError, LookupError, TypeError):
            said = ""
        told = f": {said}" if said else ""
        reason = "there is none" if status == 404 else f"HTTP {status}"
        return RegistryError(f"{what}: {reason}{told}", status=status)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """The library's errors and the network's, as ours, with the repository's name."""
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        name = self.where.name
        try:
            yield
        except RegistryError as error:
            raise RegistryError(f"{name}: {error}", status=error.status) from None
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from None
        except (RequestException, HTTPError, ValueError, KeyError, OSError) as error:
            raise RegistryError(f"{name}: {what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What is behind the exceptions that the network's libraries wrap in each other."""
    while inner := getattr(error, "reason", None) or next(
        (each for each in error.args if isinstance(each, BaseException)), None
    ):
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = " ".join(str(error).split()).rpartition("): ")[2].rpartition("connection: ")[2]
    return text[:300] or type(error).__name__


def _config_files() -> list[str] | None:
    """Where docker has its configuration, if not at home."""
    folder = os.environ.get("DOCKER_CONFIG")
    file = os.path.join(folder, "config.json") if folder else ""  # noqa: PTH118
    return [file] if os.path.exists(file) else None  # noqa: PTH110


def _oras() -> Any:
    try:
        import oras.provider
    except ImportError as error:
        raise MissingPackageError("oras", extra="images") from error
    return oras.provider
