"""Objects of several sources, joined by bpftool as its users do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia import toolchain

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char {license}[] SEC("license") = "GPL";
"""

Link = Callable[..., Path]


@pytest.fixture(scope="session")
def link(tmp_path_factory: pytest.TempPathFactory) -> Link:
    """`link(first, second, …)`: the object file that `bpftool gen object` makes of C sources,
    which are called a.bpf.c, b.bpf.c, …"""

    def linked(*sources: str) -> Path:
        place = tmp_path_factory.mktemp("linked")
        objects = []
        for letter, source in zip("abcdef", sources, strict=False):
            path = place / f"{letter}.bpf.c"
            path.write_text(HEADERS.format(license=f"license_{letter}") + source)
            objects.append(path.with_suffix(".o"))
            objects[-1].write_bytes(toolchain.compile(path).data)
        out = place / "joined.bpf.o"
        subprocess.run(["bpftool", "gen", "object", out, *objects], check=True, timeout=60)
        return out

    return linked
