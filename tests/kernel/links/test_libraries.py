"""Libraries by name: exactly the file that a name means, or none."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from osmia.kernel.links.libraries import find_library, mapped_library
from osmia.kernel.links.symbols import SymbolNotFoundError, find_binary


def test_a_version_that_is_not_there_is_not_replaced_by_another() -> None:
    for name in ("libc.so.5", "libz.so.0", "libosmia.so.1"):
        assert find_library(name) is None
        with pytest.raises(SymbolNotFoundError, match=f"'{name}'"):
            find_binary(name)


def test_a_file_name_is_the_file_of_that_name() -> None:
    found = find_library("libc.so.6")
    assert found is not None
    assert found.name == "libc.so.6"


def test_the_search_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [tmp_path / name for name in ("libc.so.6", "libmine.so", "libmany.so.9")]
    for path in (*own, tmp_path / "libmany.so.10"):
        path.touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{tmp_path}")
    assert find_library("libc.so.6") == own[0]
    assert find_library("libmine.so") == own[1]
    assert find_library("mine") == own[1]
    assert find_library("libmany") == tmp_path / "libmany.so.10"
    monkeypatch.delenv("LD_LIBRARY_PATH")
    assert find_library("libmine.so") is None


def test_of_what_a_process_has_mapped_only_libraries_count(tmp_path: Path) -> None:
    translations = tmp_path / "libc.mo"
    translations.write_bytes(bytes(mmap.PAGESIZE))
    script = (
        f"import mmap; file = open({str(translations)!r}, 'rb');"
        " kept = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for name in ("libc", "c", "libc.so.6"):
            found = mapped_library(name, child.pid)
            assert found is not None
            assert found.name.startswith("libc")
            assert ".so" in found.name
        assert mapped_library("libc.so.5", child.pid) is None
        assert mapped_library("libc.mo", child.pid) is not None  # by its whole name
        child.communicate(b"\n")


def test_a_process_that_is_gone_has_nothing_mapped() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert mapped_library("libc", child.pid) is None
    assert mapped_library("libc", os.getpid()) is not None
