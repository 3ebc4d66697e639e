"""The same objects loaded by osmia and by libbpf: the kernel must see no difference.

Every file in corpus/ is one case. What a peer cannot load is listed in `UNKNOWN`, each with
the reason; those cases are still loaded by osmia, and test_alone.py says what must be so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kernel

CASES = sorted(path.name.removesuffix(".bpf.c") for path in (Path(__file__).parent / "corpus").glob("*.bpf.c"))

#: Peer: case: why the peer cannot load it.
UNKNOWN: dict[str, dict[str, str]] = {"bpftool": {}, "libbpf": {}}


@pytest.mark.parametrize("peer", UNKNOWN)
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_sees_the_same(
    case: str,
    peer: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
) -> None:
    path = corpus_object(case)
    mine = by_osmia(path, bpffs)
    assert mine.programs or mine.maps, "the case loads nothing"
    if case in UNKNOWN[peer]:
        with pytest.raises(Exception, match=""):
            peers[peer].see(path, bpffs)
        return
    theirs = peers[peer].see(path, bpffs)
    assert mine.programs.keys() == theirs.programs.keys()
    for name in mine.programs:
        assert mine.programs[name] == theirs.programs[name], name
    assert mine.maps == theirs.maps


@pytest.mark.parametrize("peer", UNKNOWN)
def test_reasons_name_real_cases(peer: str) -> None:
    assert UNKNOWN[peer].keys() <= set(CASES)
    assert all(UNKNOWN[peer].values())
