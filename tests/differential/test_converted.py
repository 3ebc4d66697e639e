"""Objects that went through `osmia convert`: what libbpf opens it opens then, with equal tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from osmia import toolchain
from osmia.cli.running import run

from .test_saved import PEER, TAKEN_BY_THE_PEER

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""
#: What the corpus has not, by name.
MORE = {
    "callback": """
        static int each(__u32 i, void *ctx) { *(__u32 *)ctx += i; return 0; }
        SEC("xdp") int prog(void *ctx) { __u32 n = 0; bpf_loop(4, each, &n, 0); return n == 6; }
    """,
    "loaders_section": """
        struct { int (*priority)[5]; int (*XDP_PASS)[1]; } run_config SEC(".run_config");
        SEC("xdp") int prog(struct xdp_md *c) { return 2; }
    """,
    "classifier": """
        static __noinline int two(int x) { return x + 2; }
        SEC("tc") int prog(struct __sk_buff *c) { return two(c->len); }
    """,
    "two_in_a_section": """
        SEC("tc") int one(struct __sk_buff *c) { return c->len; }
        SEC("tc") int two(struct __sk_buff *c) { return c->mark; }
    """,
}


def converted(original: Path, directory: Path) -> Path:
    """The file by the same name: maps are called after it."""
    path = directory / "converted" / original.name
    path.parent.mkdir()
    assert run(["convert", str(original), "-o", str(path)]) == 0
    return path


def same(theirs: Any, mine: Any) -> bool:
    """Programs to the last bit, but for the types of maps in their BTF, which may be plain
    numbers now."""
    programs = [
        {name: replace(program, btf=b"") for name, program in each.programs.items()}
        for each in (theirs, mine)
    ]
    return programs[0] == programs[1] and len(theirs.maps) == len(mine.maps)


@pytest.mark.parametrize("case", TAKEN_BY_THE_PEER)
def test_libbpf_loads_what_convert_makes_of_what_it_loads(
    case: str,
    peers: dict[str, Any],
    corpus_object: Callable[[str], Path],
    bpffs: Path,
    tmp_path: Path,
) -> None:
    original = corpus_object(case)
    before, after = bpffs / "before", bpffs / "after"
    before.mkdir()
    after.mkdir()
    path = converted(original, tmp_path)
    assert same(peers[PEER].see(path, after), peers[PEER].see(original, before))


@pytest.mark.parametrize("case", MORE)
def test_and_what_no_other_test_has(
    case: str, peers: dict[str, Any], bpffs: Path, tmp_path: Path
) -> None:
    original = tmp_path / f"{case}.o"
    original.write_bytes(toolchain.compile(HEADERS + MORE[case]).data)
    before, after = bpffs / "before", bpffs / "after"
    before.mkdir()
    after.mkdir()
    path = converted(original, tmp_path)
    assert same(peers[PEER].see(path, after), peers[PEER].see(original, before))
