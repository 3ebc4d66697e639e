"""The media types of images, and the largest that each part of one may be, in bytes."""

from __future__ import annotations

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_INDEX)
#: What bpfman's specification allows.
LAYERS = (LAYER, DOCKER_LAYER)

#: What registries take at most (the distribution specification).
LARGEST_MANIFEST = 4 << 20
LARGEST_BLOB = 64 << 20
#: Of all parts of an image, of all its platforms.
LARGEST_IMAGE = 512 << 20
#: Of the object itself; objects with debug information of whole kernels are smaller.
LARGEST_OBJECT = 256 << 20
