"""Skeletons over libbpf: compiled against the installed one, run, and beside bpftool's."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia.kernel.skeletons import plain_skeleton
from osmia.object import Object
from osmia.passes.kernel_files import version_of
from osmia.toolchain import compile as compile_source
from osmia.toolchain.objects import compile_object

pytestmark = pytest.mark.kernel

HERE = Path(__file__).parent
PROGRAM = """\
#include <stdio.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "skeleton.h"

int main(void)
{
    struct it *skel = it__open();
    LIBBPF_OPTS(bpf_test_run_opts, opts);
    __u64 then;

    if (!skel)
        return 2;
    skel->rodata->factor = 100;
    skel->data->pair.large = 4;
    skel->bss->wanted = getpid();
    bpf_map__set_max_entries(skel->maps.seen, 77);
    if (it__load(skel))
        return 3;
    bpf_prog_test_run_opts(bpf_program__fd(skel->progs.sum), &opts);
    printf("%llu %llu\\n", (unsigned long long)skel->bss->total,
           (unsigned long long)skel->bss->version);
    printf("%u %d\\n", bpf_map__max_entries(skel->maps.seen), skel->kconfig->LINUX_KERNEL_VERSION);
    bpf_program__set_autoattach(skel->progs.sum, false);
    printf("%d\\n", it__attach(skel));
    getppid();
    printf("%d\\n", skel->bss->entered > 0);
    it__detach(skel);
    then = skel->bss->entered;
    getppid();
    printf("%d\\n", skel->bss->entered == then);
    it__destroy(skel);
    return 0;
}
"""


@pytest.fixture(scope="module")
def obj() -> Object:
    return compile_object(HERE / "skeleton.bpf.c")


def run(header: str, directory: Path) -> list[str]:
    (directory / "skeleton.h").write_text(header)
    (directory / "program.c").write_text(PROGRAM)
    program = directory / "program"
    flags = ["-Wall", "-Werror", "-Wno-unused-function"]
    command: list[str | Path] = ["gcc", *flags, "-o", program, directory / "program.c", "-lbpf"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    ran = subprocess.run([program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


VERSION = version_of(platform.release())
EXPECTED = [f"{100 * 5 + 6 + 6} {VERSION}", f"77 {VERSION}", "0", "1", "1"]


def test_values_go_in_and_out_and_programs_attach(obj: Object, tmp_path: Path) -> None:
    assert run(plain_skeleton(obj, "it"), tmp_path) == EXPECTED


def test_a_program_for_bpftools_skeleton_takes_ours_instead(tmp_path: Path) -> None:
    bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin")
    if bpftool is None:
        pytest.skip("needs bpftool")
    path = tmp_path / "it.bpf.o"
    path.write_bytes(compile_source(HERE / "skeleton.bpf.c").data)
    command: list[str | Path] = [bpftool, "gen", "skeleton", path, "name", "it"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert run(theirs, tmp_path) == EXPECTED
    ours = plain_skeleton(osmia.open(path), "it")
    assert members(ours) == members(theirs)


def members(header: str) -> list[str]:
    """The lines of the skeleton's struct, without what only C++ has of it."""
    found = re.search(r"^struct it \{\n(.*?)^(?:\};|#ifdef)", header, re.MULTILINE | re.DOTALL)
    assert found is not None
    return [line.strip() for line in found[1].splitlines() if line.strip()]


def test_an_object_without_anything_has_a_skeleton_that_compiles(
    tmp_path: Path, compile_header: Callable[[str], None]
) -> None:
    compile_header(plain_skeleton(Object("nothing", license="GPL"), "it"))


def test_struct_ops_have_maps_and_links(compile_header: Callable[[str], None]) -> None:
    ops = compile_object("""
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        char LICENSE[] SEC("license") = "GPL";
        struct tcp_congestion_ops { void (*init)(void *); char name[16]; };
        SEC("struct_ops") void started(void *ctx) {}
        SEC(".struct_ops") struct tcp_congestion_ops ours = { .init = started, .name = "ours" };
    """)
    header = plain_skeleton(ops, "it")
    assert "struct bpf_map *ours;" in header
    assert "struct bpf_link *ours;" in header
    compile_header(header)


@pytest.fixture
def compile_header(tmp_path: Path) -> Callable[[str], None]:
    def compiled(header: str) -> None:
        path = tmp_path / "alone.h"
        path.write_text(header)
        command: list[str | Path] = ["gcc", "-Wall", "-Wno-unused-function", "-fsyntax-only", path]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return compiled
