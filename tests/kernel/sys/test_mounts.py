"""Mount points are found whatever their names are."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from osmia.kernel.sys.mounts import mounted
from osmia.kernel.sys.pins import is_on_bpffs

MNT_DETACH = 2


@pytest.mark.kernel
@pytest.mark.parametrize(
    "name", ["plain", "a b\tc\nd\\e", "é", "\udcff", "a - bpf", "line\u2028ends\x85\r\x1c", "\\040"]
)
def test_a_mount_point_may_have_any_name(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    where = os.fsencode(place)
    assert libc.mount(b"bpf", where, b"bpf", ctypes.c_ulong(0), b"mode=700") == 0
    try:
        assert (place, "rw,mode=700") in list(mounted("bpf"))
        assert is_on_bpffs(place)
    finally:
        assert libc.umount2(where, MNT_DETACH) == 0
    assert place not in dict(mounted("bpf"))
