"""Objects that were opened and saved: the same when opened again, to the kernel and to libbpf."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.object import Object
from osmia.object.unrelocated import unrelocated_code

from .test_corpus import (
    CASES,
    DIFFERENT_IN_THE_PEER,
    REFUSED_BY_THE_KERNEL,
    UNKNOWN_TO_THE_PEER,
)

LOADABLE = [case for case in CASES if case not in REFUSED_BY_THE_KERNEL]
PEER = "libbpf"
TAKEN_BY_THE_PEER = [
    case
    for case in LOADABLE
    if case not in UNKNOWN_TO_THE_PEER[PEER] and case not in DIFFERENT_IN_THE_PEER[PEER]
]


def saved(original: Path, directory: Path) -> Path:
    """What osmia makes of a file, under the same name: maps are called after it."""
    path = directory / original.name
    osmia.open(original).save(path)
    return path


def parts(obj: Object) -> dict[str, Any]:
    """Everything that an object says, in what can be compared."""
    return {
        "license": (obj.license, obj.kernel_version, obj.byteorder, obj.dialect),
        "code": {key: unrelocated_code(f, obj.byteorder) for key, f in obj.functions.items()},
        "relocations": {key: f.relocations for key, f in obj.functions.items()},
        "core": {key: f.core_relocations for key, f in obj.functions.items()},
        "lines": {key: obj.source_lines(key) for key in obj.functions},
        "names": {
            key: (f.name, f.section, f.file, f.btf_id, f.linkage, f.weak, f.hidden)
            for key, f in obj.functions.items()
        },
        "programs": obj.programs,
        "maps": obj.maps,
        "data": obj.data_sections,
        "externs": obj.externs,
        "jump tables": obj.jump_tables,
        "other sections": obj.other_sections,
        "types": obj.btf.to_bytes() if obj.btf is not None else b"",
    }


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_and_opened_says_the_same(
    case: str, corpus_object: Callable[[str], Path], tmp_path: Path
) -> None:
    original = corpus_object(case)
    before, after = osmia.open(original), osmia.open(saved(original, tmp_path))
    assert parts(after) == parts(before)
    assert after.digest == before.digest
    assert after.to_bytes() == before.to_bytes()


@pytest.mark.kernel
@pytest.mark.parametrize("case", LOADABLE)
def test_the_kernel_sees_what_it_sees_of_the_original(
    case: str,
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
    tmp_path: Path,
) -> None:
    original = corpus_object(case)
    pins = bpffs / "saved"
    pins.mkdir()
    assert by_osmia(saved(original, tmp_path), pins) == by_osmia(original, bpffs)


@pytest.mark.kernel
@pytest.mark.parametrize("case", TAKEN_BY_THE_PEER)
def test_libbpf_loads_it_as_osmia_loads_the_original(
    case: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
    tmp_path: Path,
) -> None:
    original = corpus_object(case)
    pins = bpffs / "saved"
    pins.mkdir()
    theirs, mine = peers[PEER].see(saved(original, tmp_path), pins), by_osmia(original, bpffs)
    assert theirs.programs == mine.programs
    assert sorted(theirs.maps, key=repr) == sorted(mine.maps, key=repr)


def test_llvm_readelf_reads_it_without_a_warning(
    corpus_object: Callable[[str], Path], tmp_path: Path
) -> None:
    for case in CASES:
        path = saved(corpus_object(case), tmp_path)
        read = subprocess.run(
            ["llvm-readelf", "--all", path], capture_output=True, text=True, check=True
        )
        assert not read.stderr, case
