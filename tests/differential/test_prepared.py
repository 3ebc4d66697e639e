"""The corpus loaded from records: the kernel sees what it sees of ordinary loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia.formats import open as reader
from osmia.kernel.load.replayed import ReplayedObject

from .seen import see_loaded
from .test_corpus import CASES, REFUSED_BY_THE_KERNEL

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

LOADABLE = [case for case in CASES if case not in REFUSED_BY_THE_KERNEL]

#: What goes the ordinary way each time, and why.
NOT_KEPT = {
    "arena": "an arena has the address that its first mapping gives it",
    "context_arguments": "kernels before 6.8 get its types in other words",
    "kconfig_linux": "features are probed",
    "kconfig_types": "the configuration is asked",
    "ksyms_untyped": "addresses change with each boot",
    "maps_pinned": "what is pinned may be there already",
    "sections_newer": "what static probes are linked by is probed",
    "sections_trace": "what static probes are linked by is probed",
    "struct_ops_link": "struct_ops are matched with the kernel's",
    "struct_ops_optional": "struct_ops are matched with the kernel's",
    "struct_ops_tcp": "struct_ops are matched with the kernel's",
    "subprogram_arguments": "kernels before 6.8 get its types in other words",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OSMIA_CACHE", raising=False)


@pytest.mark.parametrize("case", LOADABLE)
def test_the_kernel_sees_the_same_from_a_record(
    case: str,
    bpffs: Path,
    corpus_object: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = corpus_object(case)
    seen, kinds = [], list[type]()
    for turn in range(2):
        monkeypatch.setattr(reader, "_remembered", {})  # as in a new process
        (bpffs / str(turn)).mkdir()
        with osmia.open(path).load(pin_root=bpffs / str(turn)) as bpf:
            kinds.append(type(bpf))
            seen.append(see_loaded(bpf))
    assert (kinds[1] is not ReplayedObject) == (case in NOT_KEPT)
    assert seen[0] == seen[1]
