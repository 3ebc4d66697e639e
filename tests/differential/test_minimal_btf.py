"""Objects loaded against a minimal BTF: the same programs as against all of the kernel's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.btf import BTF, kernel_btf, minimise
from osmia.kernel.load.target import kernel_target
from osmia.object.model import CoreKind, CoreRelocation

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

CORPUS = Path(__file__).parent / "corpus"
#: These cast to a type by its id in the kernel, which a BTF of other ids cannot tell.
CASTS = {"core_fields", "core_type_ids"}
CASES = sorted(
    {
        path.name.removesuffix(".bpf.c")
        for pattern in ("core_*.bpf.c", "tool_*.bpf.c")
        for path in CORPUS.glob(pattern)
    }
    - CASTS
)


def records(obj: osmia.Object) -> Iterator[CoreRelocation]:
    for function in obj.functions.values():
        yield from function.core_relocations


def loaded_tags(obj: osmia.Object, core_btf: BTF | None = None) -> dict[str, str]:
    with obj.load(target=kernel_target(core_btf=core_btf)) as bpf:
        return {name: program.info.tag for name, program in bpf.programs.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_minimal_btf_gives_the_same_programs(
    case: str, corpus_object: Callable[[str], Path]
) -> None:
    obj = osmia.open(corpus_object(case))
    assert obj.btf is not None
    small = minimise(obj.btf, records(obj), kernel_btf())
    assert loaded_tags(obj, small) == loaded_tags(obj)


@pytest.mark.parametrize("case", sorted(CASTS))
def test_casts_need_the_kernels_own_ids(case: str, corpus_object: Callable[[str], Path]) -> None:
    obj = osmia.open(corpus_object(case))
    assert obj.btf is not None
    assert any(record.kind == CoreKind.TYPE_ID_TARGET for record in records(obj))
    small = minimise(obj.btf, records(obj), kernel_btf())
    assert len(small.to_bytes()) < 20_000


@pytest.mark.parametrize("peer", ["libbpf", "newer bpftool"])
@pytest.mark.parametrize("case", CASES)
def test_libbpf_takes_it_too(
    case: str,
    peer: str,
    corpus_object: Callable[[str], Path],
    peers: dict[str, Any],
    tmp_path: Path,
    bpffs: Path,
) -> None:
    path = corpus_object(case)
    obj = osmia.open(path)
    assert obj.btf is not None
    small = tmp_path / "small.btf"
    small.write_bytes(minimise(obj.btf, records(obj), kernel_btf()).to_bytes())
    theirs = peers[peer].see(path, bpffs, btf=small)
    assert {name: seen.tag for name, seen in theirs.programs.items()} == loaded_tags(obj)


@pytest.mark.parametrize("peer", ["bpftool", "newer bpftool"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_about_as_small_as_bpftools_and_either_serves(
    case: str,
    peer: str,
    corpus_object: Callable[[str], Path],
    peers: dict[str, Any],
    tmp_path: Path,
) -> None:
    path, theirs = corpus_object(case), tmp_path / "theirs.btf"
    command = [peers[peer].command, "gen", "min_core_btf", "/sys/kernel/btf/vmlinux"]
    subprocess.run([*command, theirs, path], check=True, capture_output=True)
    obj = osmia.open(path)
    assert obj.btf is not None
    mine = minimise(obj.btf, records(obj), kernel_btf())
    assert len(mine.to_bytes()) <= 1.1 * theirs.stat().st_size + 100
    assert loaded_tags(obj, BTF(theirs.read_bytes())) == loaded_tags(obj)
