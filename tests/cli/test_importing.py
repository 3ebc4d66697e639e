"""`--import` and `--bind`: verbs link what they load against files, libraries and the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import osmia as library_of_osmia

from .conftest import Result

pytestmark = pytest.mark.usefixtures("nothing_left")
Cli = Callable[..., Result]

EXAMPLE = Path(__file__).parents[2] / "examples" / "multi"
KERNEL = pytest.param("kernel", marks=pytest.mark.kernel)
#: UDP from 10.9.0.66:53 to 10.9.0.1:4000, which nobody asked for.
STRANGER = (
    "000000000000000000000000" "0800" "4500002e0000000040110000" "0a0900420a090001" "00350fa0"
).ljust(120, "0")  # fmt: skip


@pytest.mark.parametrize("engine", [KERNEL, "vm"])
def test_a_file_is_loaded_beside_and_linked_against(osmia: Cli, engine: str) -> None:
    run = osmia(
        *("run", EXAMPLE / "ingress.bpf.c", "--import", EXAMPLE / "conntrack.bpf.c"),
        *("-I", EXAMPLE, "--packet", STRANGER, "--engine", engine),
    )
    assert run.status == 0, run.err
    assert ["XDP_DROP", "1", "100.0%"] in [line.split() for line in run.lines]
    assert ["refused", "1"] in [line.split() for line in run.lines]


def test_functions_are_called_in_the_vm(osmia: Cli) -> None:
    run = osmia(
        *("run", EXAMPLE / "ingress.bpf.c", "--import", EXAMPLE / "conntrack.bpf.c"),
        *("-I", EXAMPLE, "--packet", STRANGER, "--engine", "vm", "--bind", "call"),
    )
    assert run.status == 0, run.err
    assert "XDP_DROP" in run.out


def test_without_it_the_externs_are_named(osmia: Cli) -> None:
    run = osmia(
        *("run", EXAMPLE / "ingress.bpf.c", "-I", EXAMPLE),
        *("--packet", STRANGER, "--engine", "vm"),
    )
    assert run.status == 1
    assert "unresolved externs: 'conntrack_known'" in run.err


@pytest.mark.kernel
def test_programs_that_are_pinned_share_what_the_kernel_holds(
    osmia: Cli, bpffs: Path, tmp_path: Path
) -> None:
    library = library_of_osmia.compile(EXAMPLE / "conntrack.bpf.c", includes=[EXAMPLE])
    ingress = tmp_path / "ingress.bpf.o"
    library_of_osmia.compile(EXAMPLE / "ingress.bpf.c", includes=[EXAMPLE]).save(ingress)
    with library.load() as loaded:
        copied = osmia("prog", "load", ingress, bpffs / "ingress", "--import", "kernel")
        assert copied.status == 1
        assert "defines" not in copied.out
        source = tmp_path / "conntrack.bpf.o"
        library.save(source)
        done = osmia("prog", "load", ingress, bpffs / "ingress", "--import", source)
        assert done.status == 0, done.err
        with library_of_osmia.Program.from_pin(bpffs / "ingress") as pinned:
            assert pinned.run(bytes.fromhex(STRANGER)).retval == 1
        assert loaded.data["refused"] == 0  # it has a library of its own
