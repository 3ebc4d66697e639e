"""`osmia iter`: iterators pinned to files, which are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.engine.maps import KeyedMap, Map
from osmia.object import MapType

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

HEAD = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
"""
TASKS = """
const volatile int twice = 0;
SEC("iter/task") int tasks(struct bpf_iter__task *ctx) {
    struct task_struct *task = ctx->task;
    if (task) BPF_SEQ_PRINTF(ctx->meta->seq, "%d\\n", task->tgid + (twice ? task->tgid : 0));
    return 0;
}
"""
ELEMENTS = """
SEC("iter/bpf_map_elem") int elements(struct bpf_iter__bpf_map_elem *ctx) {
    __u32 *key = ctx->key;
    __u64 *value = ctx->value;
    if (key && value) BPF_SEQ_PRINTF(ctx->meta->seq, "%u=%llu\\n", *key, *value);
    return 0;
}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "iterators.bpf.c"
        path.write_text(HEAD + text)
        return path

    return written


def test_reading_the_pin_runs_the_program(
    osmia: Cli, write: Callable[[str], Path], bpffs: Path
) -> None:
    done = osmia("iter", "pin", write(TASKS), bpffs / "tasks")
    assert (done.status, done.err) == (0, "")
    assert str(os.getpid()) in (bpffs / "tasks").read_text().split()


def test_one_process_and_globals(osmia: Cli, write: Callable[[str], Path], bpffs: Path) -> None:
    options = ["--pid", os.getpid(), "--set", "twice=1"]
    assert osmia("iter", "pin", write(TASKS), bpffs / "me", *options).status == 0
    assert set((bpffs / "me").read_text().split()) == {str(2 * os.getpid())}


def test_map_elements(osmia: Cli, write: Callable[[str], Path], bpffs: Path) -> None:
    with Map.create(MapType.HASH, key_size=4, value_size=8, max_entries=4) as numbers:
        assert isinstance(numbers, KeyedMap)
        numbers[7] = 70
        where = ["map", "id", numbers.id]
        done = osmia("iter", "pin", write(ELEMENTS), bpffs / "numbers", *where)
    assert (done.status, done.err) == (0, "")
    assert (bpffs / "numbers").read_text() == "7=70\n"


def test_which_iterator_must_be_said(
    osmia: Cli, write: Callable[[str], Path], compiled: Path, bpffs: Path
) -> None:
    two = write(TASKS + TASKS.replace("twice", "thrice").replace("int tasks", "int others"))
    unsaid = osmia("iter", "pin", two, bpffs / "x")
    assert (unsaid.status, "tasks, others" in unsaid.err) == (1, True)
    assert osmia("iter", "pin", two, bpffs / "x", "-p", "others").status == 0
    assert "no iterators" in osmia("iter", "pin", compiled, bpffs / "y").err
    assert osmia("iter", "pin", two, bpffs / "y", "-p", "tasks", "maps", "z").status == 2
    assert {path.name for path in bpffs.iterdir()} == {"x"}
