"""Names in a bpffs: whatever a map is called, its pin stays in its directory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.kernel.libraries import places
from osmia.kernel.sys.pins import PinNameError


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("flows", "flows"),
        (".bss", "%2ebss"),
        ("../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
        ("..", "%2e%2e"),
        ("100%", "100%25"),
        ("nul\0", "nul%00"),
    ],
)
def test_a_map_has_a_plain_file_name(name: str, file: str) -> None:
    assert places.file_of(name) == file
    assert places.map_of(file) == name


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_names_come_back_and_never_are_paths(name: str) -> None:
    file = places.file_of(name)
    assert not set(file) & set("./\0")
    assert places.map_of(file) == name


@pytest.mark.parametrize("name", ["", "." * 100])
def test_what_fits_into_no_file_name_is_an_error(name: str) -> None:
    with pytest.raises(PinNameError):
        places.file_of(name)
