"""`osmia lib` and `osmia find`: libraries are published, shown, searched and removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia as library_of
from osmia.kernel.libraries import listing

from .conftest import OSMIA, Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32);
         __type(value, __u64); } osmia_flows SEC(".maps");
__u64 calls;
const volatile int limit = 5;
static __attribute__((noinline)) int inside(__u32 n) { return n + limit + calls; }
__attribute__((noinline)) int osmia_lookup(struct xdp_md *ctx, __u32 n) {
    if (bpf_map_lookup_elem(&osmia_flows, &n))
        calls++;
    return ctx ? inside(n) : 0;
}
SEC("xdp") int osmia_uses(struct xdp_md *ctx) { return osmia_lookup(ctx, 1); }
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "conntrack.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def root(bpffs: Path) -> Path:
    return bpffs / "libraries"


@pytest.fixture
def published(osmia: Cli, source: Path, root: Path) -> Path:
    done = osmia("lib", "publish", source, "--set", "limit=7", "--root", root, "-v")
    assert done.status == 0, done.err
    assert done.out == ""
    assert done.err == f"published conntrack, version 1, in {root}/conntrack/1\n"
    return root


def test_publish_takes_the_name_of_the_file_and_sets_globals(published: Path) -> None:
    with library_of.library("conntrack", root=published) as lib:
        assert lib.data["limit"] == 7
        assert set(lib.maps) == {"osmia_flows", ".bss", ".rodata"}


def test_list_and_show(osmia: Cli, published: Path, source: Path) -> None:
    assert osmia("lib", "publish", source, "other", "--root", published, "-j").json["version"] == 1
    assert osmia("lib", "publish", source, "other", "--root", published).status == 0
    first, second = osmia("lib", "list", "--root", published, "-j").json
    assert (first["name"], first["version"], first["object"]) == ("conntrack", 1, "conntrack")
    assert (second["name"], second["version"]) == ("other", 2)
    assert abs(second["published"] - time.time()) < 600
    table = osmia("lib", "list", "--root", published)
    heading = ["name", "version", "object", "size", "published", "maps"]
    assert table.lines[0].split() == heading
    assert table.lines[1].split()[:3] == ["conntrack", "1", "conntrack"]

    shown = osmia("lib", "show", "conntrack", "--root", published, "-j").json
    assert shown["functions"] == ["int osmia_lookup(struct xdp_md *ctx, __u32 n)"]
    assert set(shown["variables"]) == {"__u64 calls", "const volatile int limit"}
    assert shown["digest"] == first["digest"]
    assert (shown["programs"], shown["pids"]) == ([], [])
    text = osmia("lib", "show", "conntrack", "--root", published)
    assert text.lines[0] == "conntrack: version 1"
    assert "  functions: int osmia_lookup(struct xdp_md *ctx, __u32 n)" in text.lines


def test_who_uses_a_library_is_shown_and_said_when_it_is_removed(
    osmia: Cli, published: Path
) -> None:
    with library_of.library("conntrack", root=published) as lib:
        maps = {"osmia_flows": lib.maps["osmia_flows"]}
        with lib.object.load(maps=maps) as bpf:
            identifier = bpf.programs["osmia_uses"].id
            shown = osmia("lib", "show", "conntrack", "--root", published, "-j").json
            assert shown["programs"] == [{"id": identifier, "name": "osmia_uses"}]
            assert os.getpid() in [each["pid"] for each in shown["pids"]]
            removed = osmia("lib", "remove", "conntrack", "--root", published)
            told = f"osmia: conntrack is still used by program {identifier} (osmia_uses)\n"
            assert (removed.status, removed.out, removed.err) == (0, "", told)
            assert lib.maps["osmia_flows"].id in bpf.programs["osmia_uses"].info.map_ids
    assert listing.published(published) == []


def test_what_is_not_there_is_one_line(osmia: Cli, published: Path, source: Path) -> None:
    for verb in ("show", "remove"):
        failed = osmia("lib", verb, "contrack", "--root", published)
        assert failed.status == 1
        assert failed.err == (
            f"osmia: {published} has no library 'contrack'; did you mean 'conntrack'?\n"
        )
    failed = osmia("lib", "publish", source, "../out", "--root", published)
    assert failed.status == 1
    assert "'../out' is no library's name" in failed.err


def test_a_damaged_library_is_listed_with_its_problem_and_can_be_removed(
    osmia: Cli, published: Path
) -> None:
    (published / "conntrack" / "1" / "object").unlink()
    (described,) = osmia("lib", "list", "--root", published, "-j").json
    assert "ENOENT" in described["problem"]
    assert "problem" in osmia("lib", "list", "--root", published).lines[0]
    assert "ENOENT" in osmia("lib", "show", "conntrack", "--root", published).out
    found = osmia("find", "osmia_lookup", "-l", "--root", published)
    assert (found.status, len(found.lines)) == (0, 1)
    assert found.err.startswith("osmia: warning: library 'conntrack': ")
    assert osmia("lib", "remove", "conntrack", "--root", published).status == 0
    assert not (published / "conntrack").exists()


def test_completion_knows_the_libraries(published: Path) -> None:
    words = f"osmia lib show --root {published} con"
    asked = {"_OSMIA_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "5"}
    answer = subprocess.run(
        OSMIA, env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "plain,conntrack\n"


def test_find_in_files_and_libraries(osmia: Cli, published: Path, source: Path) -> None:
    signature = "int osmia_l*(struct xdp_md *, …)"
    (in_file,) = osmia("find", signature, source, "-j").json
    declared = "int osmia_lookup(struct xdp_md *ctx, __u32 n)"
    assert in_file == {
        "name": "osmia_lookup",
        "signature": declared,
        "linkage": "global",
        "is_program": False,
        "file": str(source),
    }
    (in_library,) = osmia("find", signature, "-l", "--root", published, "-j").json
    assert (in_library["library"], in_library["version"]) == ("conntrack", 1)
    both = osmia("find", signature, source, "--libraries", "--root", published)
    assert both.lines[0].split() == ["signature", "linkage", "where", "tag"]
    assert [line.startswith(declared) for line in both.lines[1:]] == [True, True]


def test_find_in_the_kernel(osmia: Cli, published: Path) -> None:
    with library_of.library("conntrack", root=published) as lib, lib.object.load() as bpf:
        info = bpf.programs["osmia_uses"].info
        found = json.loads(osmia("find", "osmia_uses", "-k", "-j").out)
        (mine,) = [each for each in found if each["program_id"] == info.id]
        assert (mine["tag"], mine["is_program"]) == (info.tag, True)
        everywhere = osmia("find", "int (struct xdp_md *)", "--root", published)
        assert f"program {info.id} (osmia_uses)" in everywhere.out
        assert "library conntrack, version 1" in everywhere.out


def test_find_points_at_what_it_cannot_read(osmia: Cli) -> None:
    failed = osmia("find", "int (struct xdp_md *,")
    assert failed.status == 1
    assert failed.err == (
        "osmia: column 22: a type is expected, and the text ends\n"
        "  int (struct xdp_md *,\n"
        f"  {' ' * 21}^\n"
    )


DATAPATH = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
extern int osmia_lookup(struct xdp_md *ctx, __u32 n);
extern __u64 calls;
SEC("xdp") int datapath(struct xdp_md *ctx) {
    calls += 10;
    return osmia_lookup(ctx, 1) == 1 + 5 + 10 ? XDP_DROP : XDP_ABORTED;
}
"""


@pytest.fixture
def datapath(tmp_path: Path) -> Path:
    path = tmp_path / "datapath.bpf.c"
    path.write_text(DATAPATH)
    return path


@pytest.fixture
def usual(osmia: Cli, source: Path, bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library in the usual place of a machine."""
    monkeypatch.setattr("osmia.kernel.sys.pins.find_bpffs", lambda: bpffs)
    assert osmia("lib", "publish", source).status == 0
    return bpffs / "osmia" / "libraries"


def test_programs_are_linked_against_a_library_with_import(
    osmia: Cli, usual: Path, datapath: Path, bpffs: Path
) -> None:
    failed = osmia("prog", "load", datapath, bpffs / "datapath")
    assert failed.status == 1
    assert "osmia_lookup" in failed.err
    done = osmia("prog", "load", datapath, bpffs / "datapath", "--import", "conntrack")
    assert done.status == 0, done.err
    ran = osmia("run", datapath, "--packet", "00" * 64, "--import", "conntrack")
    assert ran.status == 0, ran.err
    assert "XDP_DROP" in ran.out
    with library_of.library("conntrack") as lib:
        assert lib.data["calls"] == 10
    shown = osmia("lib", "show", "conntrack", "-j").json
    assert [each["name"] for each in shown["programs"]] == ["datapath"]


def test_a_library_is_published_that_is_linked_against_another(
    osmia: Cli, usual: Path, datapath: Path
) -> None:
    done = osmia("lib", "publish", datapath, "--import", "conntrack", "-v")
    assert (done.status, done.out) == (0, "")
    assert done.err == f"published datapath, version 1, in {usual}/datapath/1\n"
    missing = osmia("lib", "publish", datapath, "--import", "nothing")
    assert missing.status == 1
    assert "has no library 'nothing'" in missing.err


def test_files_and_the_kernel_are_imported_by_their_words(
    osmia: Cli, usual: Path, datapath: Path, tmp_path: Path
) -> None:
    by_file = osmia("run", datapath, "--packet", "00" * 64, "--import", tmp_path / "nothing.o")
    assert (by_file.status, by_file.err) == (
        1,
        f"osmia: {tmp_path}/nothing.o: No such file or directory\n",
    )
    by_word = osmia("run", datapath, "--packet", "00" * 64, "--import", "kernel")
    assert by_word.status == 1
    assert re.search("osmia_lookup|kernel", by_word.err)
