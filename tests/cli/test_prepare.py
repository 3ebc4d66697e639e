"""`osmia prepare`: what it keeps is loaded without reading files, what it cannot keep it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia import cache
from osmia.kernel.sys import syscall
from osmia.toolchain import compile as compile_source

from .conftest import Result

HEADERS = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar L[] SEC("license") = "GPL";\n'
PLAIN = HEADERS + 'SEC("xdp") int ingress(struct xdp_md *ctx) { return XDP_PASS; }\n'
UNTYPED = (
    HEADERS
    + """
extern const void bpf_prog_put __ksym;
SEC("xdp") int ingress(struct xdp_md *ctx) { return (long)&bpf_prog_put >> 32; }
"""
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    monkeypatch.delenv("OSMIA_CACHE", raising=False)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.bpf.o"
    path.write_bytes(compile_source(PLAIN).data)
    return path


@pytest.mark.kernel
def test_a_process_loads_what_was_prepared_without_reading_it(
    osmia: Callable[..., Result], plain: Path
) -> None:
    assert osmia("prepare", plain).out == f"{plain}: prepared for any kernel\n"
    code = f"import sys, osmia; osmia.open({str(plain)!r}).load().close(); "
    code += "print('osmia.elf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_it_says_what_it_cannot_keep_and_goes_on(
    osmia: Callable[..., Result], plain: Path, tmp_path: Path
) -> None:
    untyped, broken = tmp_path / "untyped.bpf.o", tmp_path / "broken.bpf.o"
    untyped.write_bytes(compile_source(UNTYPED).data)
    broken.write_bytes(b"no object")
    result = osmia("prepare", "--json", untyped, broken, plain)
    assert result.status == 1
    first, second, third = result.records
    assert first["prepared_for"] is None
    assert "the address of 'bpf_prog_put', which changes with each boot" in first["reason"]
    assert "not an ELF file" in second["reason"]
    assert third == {"file": str(plain), "prepared_for": "any kernel", "reason": None}


def test_a_file_that_cannot_be_read_does_not_keep_it_from_the_others(
    osmia: Callable[..., Result], plain: Path, tmp_path: Path
) -> None:
    result = osmia("prepare", tmp_path / "missing.bpf.o", tmp_path, plain)
    assert result.status == 1
    assert [line.partition(": ")[2] for line in result.out.splitlines()] == [
        "not prepared: No such file or directory",
        "not prepared: Is a directory",
        "prepared for any kernel",
    ]


def test_without_a_cache_there_is_nothing_to_prepare(
    osmia: Callable[..., Result], plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMIA_CACHE", "off")
    result = osmia("prepare", plain)
    assert result.status == 1
    assert "no cache that lasts (OSMIA_CACHE" in result.out


def test_no_privileges_are_needed(
    osmia: Callable[..., Result], plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: int, attribute: object) -> int:
        raise AssertionError(f"bpf(2) was asked for {command}")

    monkeypatch.setattr(syscall, "invoke", refuse)
    assert osmia("prepare", plain).status == 0


def test_a_full_disk_is_no_success(
    osmia: Callable[..., Result], plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_whole", full)
    result = osmia("prepare", plain)
    assert result.status == 1
    assert "no room for the record" in result.out
