"""Groups of objects that are linked by osmia and by `bpftool gen object`."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from osmia.toolchain import compile as compile_source

from .peers import NEWER_BPFTOOL

GROUPS = Path(__file__).parent / "linked"

PLAIN = """
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
"""
VMLINUX = """
#define BPF_NO_KFUNC_PROTOTYPES
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#define __arena __attribute__((address_space(1)))
"""
LICENSE = 'char LICENSE[] SEC("license") = "GPL";\n'


@dataclass(frozen=True)
class Group:
    """Sources by the names of their files."""

    name: str
    sources: dict[str, str] = field(repr=False)
    cpu: str = "v3"

    def objects(self, directory: Path) -> list[Path]:
        """The compiled objects, in their order."""
        paths = []
        for name, source in self.sources.items():
            path = directory / f"{name}.bpf.o"
            path.write_bytes(compiled(name, source, self.cpu))
            paths.append(path)
        return paths


@cache
def compiled(name: str, source: str, cpu: str) -> bytes:
    return compile_source(source, name=f"{name}.bpf.c", cpu=cpu).data


def read_group(name: str) -> Group:
    """A file of `linked`: its parts stand behind lines of "//// NAME"."""
    head, *parts = re.split(r"^//// (\w+)\n", (GROUPS / f"{name}.bpf.c").read_text(), flags=re.M)
    headers = VMLINUX if "\n// vmlinux" in head else PLAIN
    cpu = re.search(r"^// cpu: (\w+)", head, flags=re.M)
    texts = dict(zip(parts[0::2], parts[1::2], strict=True))
    sources = {each: headers + LICENSE + text for each, text in texts.items()}
    return Group(name, sources, cpu[1] if cpu else "v3")


def group_names() -> list[str]:
    return sorted(path.name.removesuffix(".bpf.c") for path in GROUPS.glob("*.bpf.c"))


def by_bpftool(objects: list[Path], target: Path) -> str:
    """What bpftool says against it; "" when it linked the objects to `target`."""
    done = subprocess.run(
        [NEWER_BPFTOOL / "bpftool", "gen", "object", target, *objects],
        capture_output=True,
        text=True,
    )
    return (done.stderr or f"exit status {done.returncode}") if done.returncode else ""
