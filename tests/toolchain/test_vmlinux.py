"""vmlinux.h is made once for each BTF."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia import toolchain
from osmia.btf import BTF
from osmia.elf import ElfFile
from osmia.toolchain import Compiler, vmlinux_header

pytestmark = pytest.mark.slow


def small_btf(zig: Compiler, name: str) -> BTF:
    made = toolchain.compile(f"struct {name} {{ int x; }} v;\n", compiler=zig)
    section = ElfFile.parse(made.data).section(".BTF")
    assert section is not None
    return BTF(section.data)


def test_the_running_kernel_s_types_are_there() -> None:
    text = vmlinux_header().read_text()
    assert "struct task_struct {" in text
    assert "#ifndef __VMLINUX_H__" in text


def test_the_header_is_made_once(zig: Compiler) -> None:
    types = small_btf(zig, "once")
    path = vmlinux_header(types)
    before = path.stat()
    assert vmlinux_header(types).stat() == before


def test_each_btf_has_its_own(zig: Compiler, tmp_path: Path) -> None:
    first, second = small_btf(zig, "first"), small_btf(zig, "second")
    raw = tmp_path / "raw"
    raw.write_bytes(first.to_bytes())
    assert vmlinux_header(first) == vmlinux_header(raw) != vmlinux_header(second)
    assert "struct first" in vmlinux_header(raw).read_text()


def test_old_headers_go(zig: Compiler, fresh_cache: Path) -> None:
    for number in range(12):
        vmlinux_header(small_btf(zig, f"number{number}"))
    assert len(list((fresh_cache / "osmia/vmlinux").iterdir())) == 8
