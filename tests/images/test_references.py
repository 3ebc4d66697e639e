"""Names of images."""

from __future__ import annotations

import pytest

from osmia.images import ImageError, Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("registry.example/limit", ("registry.example", "limit", "latest", "")),
        ("oci://registry.example/net/limit:1.2", ("registry.example", "net/limit", "1.2", "")),
        (f"localhost/a_b/c--d@{DIGEST}", ("localhost", "a_b/c--d", "", DIGEST)),
        (f"[::1]:5000/x:1@{DIGEST}", ("[::1]:5000", "x", "1", DIGEST)),
        ("10.0.0.1:5000/x:_Tag.1-2", ("10.0.0.1:5000", "x", "_Tag.1-2", "")),
    ],
)
def test_a_reference_has_a_host_a_name_a_tag_and_a_digest(
    text: str, parts: tuple[str, ...]
) -> None:
    found = Reference.parse(text)
    assert (found.host, found.repository, found.tag, found.digest) == parts
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "limit",
        "net/limit:1",  # docker.io is not meant: no host is
        "host.example/Net/limit",
        "host.example/limit:",
        "host.example/limit@sha256:12",
        f"host.example/limit@md5:{'0' * 64}",
        "host.example/../etc",
        "host.example/limit:1\n",
        "host.example//limit",
        "host.example/" + "a" * 300,
        "oci://",
    ],
)
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(ImageError):
        Reference.parse(text)
