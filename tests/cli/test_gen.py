"""`osmia gen object`: files linked on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import osmia as library

from .conftest import Result

Cli = Callable[..., Result]

HEADERS = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
LIBRARY = "__noinline int f(int x) { return x + 1; }\n"
USER = 'extern int f(int x);\nSEC("xdp") int p(struct xdp_md *ctx) { return f(1); }\n'


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    user, other = tmp_path / "user.bpf.o", tmp_path / "library.bpf.c"
    library.compile(HEADERS + USER).save(user)
    other.write_text(HEADERS + LIBRARY)
    return user, other


def test_objects_and_sources_become_one(
    osmia: Cli, files: tuple[Path, Path], tmp_path: Path
) -> None:
    target = tmp_path / "both.bpf.o"
    done = osmia("gen", "object", target, *files, "-v")
    assert (done.status, done.out, done.err) == (0, "", f"{target}: 1 programs, 0 maps of 2"
                                                 " objects\n")  # fmt: skip
    with library.open(target).load("vm") as bpf:
        assert bpf.programs["p"].run(bytes(64)).retval == 2
        assert bpf.part("user").programs["p"] is bpf.programs["p"]


def test_json_tells_what_there_is(osmia: Cli, files: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "half.bpf.o"
    told = osmia("gen", "object", target, files[0], "--allow-undefined", "-j").json
    assert told == {
        "file": str(target),
        "linked": [str(files[0])],
        "programs": ["p"],
        "maps": [],
        "undefined": ["f"],
    }


@pytest.mark.parametrize("before", [None, b"what was there"])
def test_what_cannot_be_linked_leaves_the_output_as_it_was(
    osmia: Cli, files: tuple[Path, Path], tmp_path: Path, before: bytes | None
) -> None:
    target = tmp_path / "out.o"
    if before is not None:
        target.write_bytes(before)
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF" + bytes(60))
    for inputs, message in (
        (files[:1], f"cannot link {files[0]}:\n  'f' is not defined anywhere"),
        ((*files, files[1]), "'f' is defined in "),
        ((*files, broken), str(broken)),
        ((*files, tmp_path / "missing.o"), "No such file"),
    ):
        done = osmia("gen", "object", target, *inputs)
        assert done.status == 1 and message in done.err
        assert (target.read_bytes() if target.exists() else None) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_gc_is_an_option(osmia: Cli, files: tuple[Path, Path], tmp_path: Path) -> None:
    files[1].write_text(
        HEADERS + LIBRARY + "static __attribute__((used)) int unused(int x) { return x; }\n"
    )
    kept = {}
    for option in ("--gc", "--no-gc"):
        assert osmia("gen", "object", tmp_path / "out.o", *files, option).status == 0
        kept[option] = {*library.open(tmp_path / "out.o").functions}
    assert kept == {"--gc": {"f", "p"}, "--no-gc": {"f", "p", "unused"}}


def test_without_files_it_says_how_it_is_used(osmia: Cli, tmp_path: Path) -> None:
    assert osmia("gen", "object", tmp_path / "out.o").status == 2
