"""`osmia.open("oci://…")`: an image is pulled, and its object is read."""

from __future__ import annotations

from osmia.formats.open import read_elf
from osmia.images.image import KERNEL_SIGNATURE, SIGNATURE, Image
from osmia.images.references import SCHEME, Reference
from osmia.images.registries import pull
from osmia.object.model import Object


def open_image(source: str, name: str = "", **options: object) -> Object:
    """The Object of `oci://host/name[:tag][@sha256:…]`, for this machine's platform. Its path is
    the reference with the digest, which is how messages call it, and where its signatures are
    found. ImageError, RegistryError; the errors of `osmia.open`."""
    reference = Reference.parse(source)
    image = pull(reference)
    filename, content = image.object_file()
    named = Reference(reference.host, reference.repository, reference.tag, image.digest)
    return read_elf(content, f"{SCHEME}{named}/{filename}", name, **options)  # type: ignore[arg-type]


def signatures(path: str) -> str:
    """The text of the signatures of an object that `open_image` gave, by its path."""
    reference, _, _ = path.rpartition("/")
    return signatures_of(pull(Reference.parse(reference)))


def kernel_signature(path: str) -> str:
    """The same of the loader that the kernel checks; "" for none."""
    reference, _, _ = path.rpartition("/")
    return pull(Reference.parse(reference)).annotations().get(KERNEL_SIGNATURE, "")


def signatures_of(image: Image, platform: str | None = None) -> str:
    """The text of the signatures in an image; "" for none."""
    return image.annotations(platform).get(SIGNATURE, "")
