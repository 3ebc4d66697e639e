"""Names of images: `host[:port]/name[:tag][@sha256:…]`, as the OCI distribution specification has
them. The host is always said: osmia knows no registry that would be meant otherwise."""

from __future__ import annotations

import re

from osmia.images.errors import ImageError
from osmia.records import dataclass

SCHEME = "oci://"

_HOST = r"(?P<host>(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?)"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"{_HOST}/(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
#: The longest name that a repository may have, host included, in the specification.
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is. A digest says which bytes it is; a tag, which the registry calls so now.
    With neither, the tag is "latest"."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference that `text` is, with `oci://` in front or without; ImageError for none."""
        bare = text.removeprefix(SCHEME)
        match = _REFERENCE.fullmatch(bare)
        if match is None or not _names_a_host(match["host"]):
            raise ImageError(
                f"{text!r} names no image: host[:port]/name[:tag][@sha256:…], all but host and tag "
                "in lower case"
            )
        if len(match["host"]) + 1 + len(match["repository"]) > _LONGEST:
            raise ImageError(f"{bare[:60]!r}… is longer than {_LONGEST} characters")
        tag, digest = match["tag"] or "", match["digest"] or ""
        if not tag and not digest:
            tag = "latest"
        return cls(match["host"], match["repository"], tag, digest)

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest, where there is one."""
        return self.digest or self.tag

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def _names_a_host(first: str) -> bool:
    """As docker has it: a first part with a dot or a port, or `localhost`, is a host's name."""
    return "." in first or ":" in first or first == "localhost"
