"""Objects as OCI images: built, kept in layouts, pushed to registries, pulled and opened.

    from osmia import images

    image = images.build("limit.bpf.o")
    image.save("limit.tar")                                # an OCI layout: a directory or a tar
    images.push(image, "registry.example/net/limit:1.2")
    obj = osmia.open("oci://registry.example/net/limit:1.2")

An image has the one layer and the labels that bpfman's specification of bytecode images asks for,
so that bpfman loads it, too. Registries need `pip install 'osmia[images]'`. Every byte is checked
against its digest, wherever it comes from.
"""

from __future__ import annotations

from osmia.images.building import build
from osmia.images.errors import ImageError, RegistryError
from osmia.images.image import Image
from osmia.images.layouts import read
from osmia.images.references import Reference
from osmia.images.registries import pull, push
from osmia.images.signing import sign

__all__ = [
    "Image",
    "ImageError",
    "Reference",
    "RegistryError",
    "build",
    "pull",
    "push",
    "read",
    "sign",
]
