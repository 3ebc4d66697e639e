"""What is wrong with an image, a reference to one, or a registry."""

from __future__ import annotations

from osmia.errors import OsmiaError


class ImageError(OsmiaError, ValueError):
    """No image, no BPF image, or one whose bytes are not what their digests say."""


class RegistryError(OsmiaError, OSError):
    """A registry that cannot be reached, refuses, or breaks off; `status` is HTTP's, or None."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)
