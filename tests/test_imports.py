"""What an import loads: nothing heavy, and for loading objects nothing that loading does not use.

Timings are in bench/bench_start.py; they depend on the machine, what is imported does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

#: Never before they are used: 20 ms and more each.
HEAVY = {"asyncio", "click", "llvmlite", "numpy", "pyroute2", "rich", "ziglang"}

#: What loading a program that the kernel takes has no use for.
UNUSED_BY_LOAD = {
    "difflib",  # names near to an unknown one
    "gzip",  # /proc/config.gz
    "osmia.btf.sanitize",
    "osmia.events",
    "osmia.formats.iproute2",
    "osmia.kernel.probes.features",
    "osmia.kernel.links",
    "osmia.kernel.rtnetlink",
    "osmia.kernel.programs.test_runs",
    "osmia.kernel.programs.verifier_log",
    "osmia.passes.core",
    "osmia.passes.externs",
    "osmia.toolchain",
    "osmia.vm",
    "platform",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
}

#: What even `import osmia` alone may bring along.
ALONE = {"osmia", "osmia.errors"}


@cache
def imported_by(statement: str) -> frozenset[str]:
    """The modules that a new interpreter has after `statement` and had not before."""
    code = f"import json, sys; before = set(sys.modules); {statement}; "
    code += "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import osmia",
        "import osmia; osmia.open, osmia.Map, osmia.Program",
        "import osmia.kernel.load.loader",
        "import osmia.vm.loader",
        "from osmia.btf import kernel_btf",
        "import osmia.cli",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    assert imported_by(statement) & HEAVY == set()


def test_osmia_alone_is_next_to_nothing() -> None:
    ours = {name for name in imported_by("import osmia") if name.startswith("osmia")}
    assert ours <= ALONE
    assert imported_by("import osmia") & {"dataclasses", "inspect", "pathlib", "ctypes"} == set()


def test_loading_imports_what_loading_uses() -> None:
    assert imported_by("import osmia.kernel.load.loader") & UNUSED_BY_LOAD == set()


def test_system_calls_need_numbers_and_not_the_model() -> None:
    unused = {"osmia.object.model", "osmia.btf", "osmia.values", "osmia.records"}
    assert imported_by("import osmia.kernel.sys.syscall") & unused == set()


def test_opening_needs_no_engine() -> None:
    unused = {"osmia.kernel", "osmia.vm", "ctypes", "hashlib", "osmia.elf.writer"}
    assert imported_by("import osmia; osmia.open") & unused == set()


def test_the_kernels_types_are_found_without_data_classes() -> None:
    unused = {"dataclasses", "inspect", "ctypes", "tempfile", "shutil"}
    code = "from osmia.btf import kernel_btf; kernel_btf().find('int')"
    imported_by(code)  # the first process may have to make the index
    imported_by.cache_clear()
    assert imported_by(code) & unused == set()


@pytest.mark.parametrize("noun", ["map", "prog"])
def test_a_list_needs_neither_types_nor_a_parser(noun: str) -> None:
    statement = f"import osmia.cli.running, osmia.cli.{noun}_list, osmia.cli.tables, "
    statement += "osmia.kernel.inventory.references, osmia.kernel.maps.info"
    unused = {"click", "typing", "inspect", "pathlib", "datetime", "osmia.btf.reader"}
    unused |= {"osmia.values.base", "osmia.engine.maps.base", "osmia.kernel.maps.raw"}
    assert imported_by(statement) & unused == set()


@pytest.mark.parametrize("verb", ["map", "prog"])
def test_listing_needs_no_way_to_attach_and_no_pass(verb: str) -> None:
    statement = f"import osmia.cli.{verb}"
    unused = {"osmia.kernel.links", "osmia.passes.stages", "osmia.toolchain", "tempfile", "rich"}
    assert imported_by(statement) & unused == set()
