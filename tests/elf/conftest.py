"""A real object of either byte order, compiled once, and a way to read all of a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.elf import ElfFile

SOURCE = Path(__file__).with_name("object.bpf.c")


def _compile(target: str, output: Path) -> bytes:
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-freestanding"]
    options = ["-O2", "-g", "-fno-sanitize=all", "-fno-stack-protector", "-c"]
    subprocess.run([*command, *options, str(SOURCE), "-o", str(output)], check=True)
    return output.read_bytes()


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Compiled `object.bpf.c` by byte order."""
    directory = tmp_path_factory.mktemp("elf")
    paths = {order: directory / f"{order}.bpf.o" for order in ("little", "big")}
    _compile("bpfel", paths["little"])
    _compile("bpfeb", paths["big"])
    return paths


@pytest.fixture(scope="session")
def little(objects: dict[str, Path]) -> bytes:
    return objects["little"].read_bytes()


@pytest.fixture(scope="session")
def read_everything() -> Callable[[bytes], ElfFile]:
    """Reads all that a file says, so that whatever is wrong in it is found."""

    def read(data: bytes) -> ElfFile:
        file = ElfFile.parse(data, "hostile.o")
        _ = file.symbols, file.dynamic_symbols, file.segments
        for section in file.sections:
            file.relocations(section)
        file.file_offset(0)
        return file

    return read
