"""The same objects loaded by osmia and by libbpf: the kernel must see no difference.

Every file in corpus/ is one case. Where a peer cannot be compared, a table says why, case by
case; osmia loads those all the same, and test_alone.py says what must be so then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import OsmiaError
from osmia.object.uapi import MapFlag

from .peers import PeerError

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(path.name.removesuffix(".bpf.c") for path in CORPUS.glob("*.bpf.c"))
PEERS = ("bpftool", "libbpf", "newer bpftool")

#: What neither osmia nor the peers can load on this kernel; all must refuse it.
REFUSED_BY_THE_KERNEL = {
    "ksyms_typed": "the kernel was built without CONFIG_KALLSYMS_ALL: no variable has an address",
    "sections_hooks": "the kernel here has no trampolines for functions",
}

#: Peer: case: why the peer refuses what osmia loads.
UNKNOWN_TO_THE_PEER = {
    "bpftool": {
        "kfuncs_flavours": "flavours of kernel functions came with libbpf 1.3",
        "maps_pinned": "bpftool pins maps under /sys/fs/bpf only, and not a second time",
        "maps_typed_ring": "it passes the event's type on, and the kernel wants none",
        "arena": "arenas came with libbpf 1.4",
        "exceptions": "exception callbacks came with libbpf 1.3",
        "sections_data": "sections .bss.* came with libbpf 1.2",
        "sections_newer": "these sections came later",
        "sections_sessions": "these sections came later",
        "sections_off": "bpftool 7.1 tries to pin programs that were not loaded",
        "struct_ops_link": "struct_ops with a link came with libbpf 1.2",
        "struct_ops_optional": "struct_ops with a link came with libbpf 1.2",
    },
    "libbpf": {
        "maps_typed_ring": "it passes the event's type on, and the kernel wants none",
    },
    "newer bpftool": {
        "maps_pinned": "bpftool pins maps under /sys/fs/bpf only, and not a second time",
        "maps_typed_ring": "it passes the event's type on, and the kernel wants none",
        "sections_off": "bpftool tries to pin programs that were not loaded",
        "struct_ops_optional": "bpftool tries to pin programs that were not loaded",
    },
}

#: Peer: case: why the peer loads something else; osmia does what libbpf 1.8 does.
DIFFERENT_IN_THE_PEER = {
    "bpftool": {
        "kernel_lists": "hidden variables were not yet static for the kernel before libbpf 1.5",
        "kfuncs_weak": "calls of missing functions were poisoned otherwise before libbpf 1.4",
    },
    "libbpf": {},
    "newer bpftool": {},
}


#: Cases for the second kernel (6.1, emulated and slow): what depends on its types.
SECOND_KERNEL = [
    case
    for case in CASES
    if case.startswith(("core_", "ksyms_", "tool_"))
    or case in ("callbacks", "context_arguments", "kconfig_linux", "kfuncs_weak", "maps_in_maps")
    or case in ("maps_pinned", "net_balancer", "sections_data", "sections_hooks")
    or case in ("sections_trace", "sections_typed", "struct_ops_optional", "struct_ops_tcp")
    or case == "subprograms"
]


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("case", [case for case in CASES if case not in REFUSED_BY_THE_KERNEL])
def test_the_kernel_sees_the_same(
    case: str,
    peer: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
) -> None:
    compare(case, peer, corpus_object(case), peers, by_osmia, bpffs)


def compare(
    case: str,
    peer: str,
    path: Path,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    bpffs: Path,
) -> None:
    """Load the object twice and hold what the kernel says of it side by side."""
    mine = by_osmia(path, bpffs)
    assert mine.programs or mine.maps, "the case loads nothing"
    if case in UNKNOWN_TO_THE_PEER[peer]:
        try:
            with pytest.raises(PeerError):
                peers[peer].see(path, bpffs)
        finally:
            # What bpftool pinned before it failed; it knows no other place.
            for each in osmia.open(path).maps.values():
                if each.pinning:
                    Path("/sys/fs/bpf", each.name).unlink(missing_ok=True)
        return
    theirs = peers[peer].see(path, bpffs)
    if case in DIFFERENT_IN_THE_PEER[peer]:
        assert mine != theirs
        return
    assert mine.programs.keys() == theirs.programs.keys()
    for name in mine.programs:
        assert mine.programs[name] == theirs.programs[name], name
    assert _forgiven(mine.maps, peer) == _forgiven(theirs.maps, peer)


def _forgiven(maps: list[Any], peer: str) -> list[Any]:
    """libbpf before 1.2 made data sections mappable in which no variable can be seen."""
    if peer == "bpftool":
        kept = ~MapFlag.MMAPABLE
        maps = [replace(m, flags=m.flags & kept) if "." in m.name else m for m in maps]
    return sorted(maps, key=repr)


@pytest.mark.second_kernel
@pytest.mark.parametrize("peer", ["libbpf", "newer bpftool"])
@pytest.mark.parametrize("case", SECOND_KERNEL)
def test_the_second_kernel_sees_the_same(
    case: str,
    peer: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
) -> None:
    compare(case, peer, corpus_object(case), peers, by_osmia, bpffs)


@pytest.mark.parametrize("case", REFUSED_BY_THE_KERNEL)
def test_nobody_loads_what_the_kernel_refuses(
    case: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
) -> None:
    path = corpus_object(case)
    with pytest.raises(OsmiaError):
        by_osmia(path, bpffs)
    for peer in PEERS:
        with pytest.raises(PeerError):
            peers[peer].see(path, bpffs)


def test_reasons_name_real_cases() -> None:
    for table in (*UNKNOWN_TO_THE_PEER.values(), *DIFFERENT_IN_THE_PEER.values()):
        assert table.keys() <= set(CASES)
        assert all(table.values())
