"""The same objects loaded by osmia and by libbpf (Debian's bpftool): the kernel must see no
difference. Every file in corpus/ is one case.

What libbpf 1.1 cannot load is listed in `UNKNOWN_TO_THE_PEER`, each with its reason; those
cases are still loaded by osmia.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import osmia
from osmia.kernel.maps import Map
from osmia.kernel.programs import Program

pytestmark = pytest.mark.kernel

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.bpf.c"))

#: File: why the peer cannot load it.
UNKNOWN_TO_THE_PEER: dict[str, str] = {}


@dataclass(frozen=True)
class SeenMap:
    """A map as the kernel describes it."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    map_extra: int
    has_btf: bool


@dataclass(frozen=True)
class SeenProgram:
    """A program as the kernel describes it; maps in no order."""

    name: str
    type: int
    tag: str
    instructions: int
    has_btf: bool
    functions: int
    lines: int
    attach_btf_id: int
    gpl: bool
    maps: frozenset[SeenMap]


def seen_map(identifier: int) -> SeenMap:
    with Map.from_id(identifier) as found:
        info = found.info
    return SeenMap(
        name=info.name,
        type=int(info.type),
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=int(info.flags),
        map_extra=info.map_extra,
        has_btf=bool(info.btf_id),
    )


def seen_program(program: Program) -> SeenProgram:
    info = program.info
    return SeenProgram(
        name=info.name,
        type=int(info.type),
        tag=info.tag,
        instructions=info.xlated_len // 8,
        has_btf=bool(info.btf_id),
        functions=info.function_count,
        lines=info.line_count,
        attach_btf_id=info.attach_btf_id,
        gpl=info.gpl_compatible,
        maps=frozenset(seen_map(identifier) for identifier in info.map_ids),
    )


def loaded_by_osmia(path: Path, bpffs: Path) -> dict[str, SeenProgram]:
    with osmia.open(path).load(pin_root=bpffs) as bpf:
        return {name: seen_program(program) for name, program in bpf.programs.items()}


def loaded_by_bpftool(path: Path, bpffs: Path) -> dict[str, SeenProgram]:
    directory = bpffs / "programs"
    command = ["bpftool", "prog", "loadall", str(path), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = {}
    for pin in directory.iterdir():
        with Program.from_pin(pin) as program:
            seen[pin.name] = seen_program(program)
    return seen


@pytest.fixture(scope="module")
def bpftool() -> Iterator[str]:
    path = shutil.which("bpftool")
    assert path, "bpftool is not installed; see tools/debian-packages.txt"
    yield path


@pytest.fixture
def compiled(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    source: Path = request.param
    path = tmp_path / (source.name.removesuffix(".bpf.c") + ".bpf.o")
    from osmia.toolchain import compile as compile_source

    path.write_bytes(compile_source(source).data)
    return path


@pytest.mark.parametrize("compiled", CORPUS, ids=lambda p: p.name, indirect=True)
def test_the_kernel_sees_the_same(
    compiled: Path, bpffs: Path, bpftool: str, request: pytest.FixtureRequest
) -> None:
    mine = loaded_by_osmia(compiled, _made(bpffs / "osmia"))
    assert mine, "the case loads no program"
    if request.node.callspec.id in UNKNOWN_TO_THE_PEER:
        return
    theirs = loaded_by_bpftool(compiled, _made(bpffs / "peer"))
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert mine[name] == theirs[name], name


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_reasons_name_real_cases() -> None:
    assert UNKNOWN_TO_THE_PEER.keys() <= {source.name for source in CORPUS}
    assert all(UNKNOWN_TO_THE_PEER.values())
