"""`osmia gen`: files made of objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .conftest import SOURCE, Result


def test_a_light_skeleton_is_written_where_it_is_told(
    osmia: Callable[..., Result], tmp_path: Path
) -> None:
    header = tmp_path / "counter.lskel.h"
    done = osmia("gen", "skeleton", "-L", SOURCE, "-n", "counter", "-o", header)
    assert (done.status, done.out) == (0, "")
    text = header.read_text()
    assert "struct counter {" in text
    assert "counter__open_and_load(void)" in text


def test_it_is_printed_and_called_as_the_file_is(osmia: Callable[..., Result]) -> None:
    done = osmia("gen", "skeleton", "--use-loader", SOURCE)
    assert done.status == 0
    assert f"struct {SOURCE.name.removesuffix('.bpf.c')}_bpf {{" in done.out


def test_a_name_that_c_cannot_have_is_a_usage_error(osmia: Callable[..., Result]) -> None:
    done = osmia("gen", "skeleton", "-L", SOURCE, "-n", "two words")
    assert done.status == 2
    assert "'two words' is no name in C" in done.err
    assert done.out == ""


def test_without_dash_l_libbpf_loads_it(osmia: Callable[..., Result]) -> None:
    done = osmia("gen", "skeleton", SOURCE, "-n", "counter")
    assert done.status == 0
    assert "bpf_object__open_skeleton(obj->skeleton, opts)" in done.out
    assert "counter__open_opts(" in done.out


def test_what_a_light_skeleton_cannot_have_is_one_line(
    osmia: Callable[..., Result], tmp_path: Path
) -> None:
    source = tmp_path / "replaces.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("freplace/f") int g(void *ctx) { return 0; }\n'
    )
    done = osmia("gen", "skeleton", "-L", source)
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "cannot replace functions" in done.err
