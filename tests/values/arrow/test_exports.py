"""Arrow data in others' hands: it lives as long as somebody needs it, and no longer."""

from __future__ import annotations

import base64
import ctypes
import gc
import importlib.util
import platform
import shutil
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import nanoarrow
import numpy as np
import polars
import pyarrow as pa
import pytest

from osmia.errors import NotSupportedError
from osmia.values import EnumCodec, IntCodec, StringCodec, StructCodec, Table
from osmia.values.arrow import exports, exports_code
from osmia.values.fields import Field
from osmia.values.leaf_arrays import Records, columns
from osmia.values.leaves import leaves

ROOT = Path(__file__).parents[3]
ENTRY = StructCodec(
    [
        Field("number", IntCodec(8, False, "u64", "little"), 0),
        Field("level", EnumCodec([("LOW", 0), ("HIGH", 1)], 4, False, "enum l", "little"), 8),
        Field("name", StringCodec(4, "char[4]", "little"), 12),
    ],
    16,
    "struct entry",
    "little",
)
ROWS = [{"number": n, "level": ["LOW", "HIGH"][n % 2], "name": f"n{n}"} for n in range(20)]


class Watched(np.ndarray[Any, Any]):
    """An array that can be watched: a weak reference tells when it is gone."""


def watched(rows: int = len(ROWS)) -> tuple[Table, weakref.ref[Any]]:
    """A table, and a reference to the memory of its first column."""
    raw = b"".join(map(ENTRY.encode, ROWS[:rows]))
    memory = np.frombuffer(raw, np.uint8)
    made = columns(Records(memory, rows, ENTRY.size), leaves(ENTRY))
    numbers: Any = made["number"]
    numbers.values = numbers.values.view(Watched)
    return Table(rows, made), weakref.ref(numbers.values)


def by_duckdb(table: Table) -> Any:
    relation = duckdb.query('SELECT * FROM "table"')  # it finds it in this frame
    assert relation is not None
    return relation.to_arrow_table()


TAKERS: dict[str, Callable[[Table], Any]] = {
    "pyarrow.table": pa.table,
    "pyarrow.record_batch": pa.record_batch,
    "pyarrow.reader": lambda table: pa.RecordBatchReader.from_stream(table).read_all(),
    "polars": polars.DataFrame,
    "nanoarrow.Array": nanoarrow.Array,
    "nanoarrow.stream": lambda table: nanoarrow.ArrayStream(table).read_all(),
    "duckdb": by_duckdb,
}


def rows_of(taken: Any) -> list[dict[str, Any]]:
    for name in ("to_pylist", "to_dicts"):
        if hasattr(taken, name):
            found: list[dict[str, Any]] = getattr(taken, name)()
            return found
    raise AssertionError(taken)


@pytest.mark.parametrize("taker", TAKERS)
def test_who_took_it_outlives_the_table_and_gives_all_back(taker: str) -> None:
    table, memory = watched()
    taken = TAKERS[taker](table)
    del table
    gc.collect()
    assert rows_of(taken) == ROWS
    del taken
    gc.collect()
    assert memory() is None


def test_two_consumers_have_it_each_for_itself() -> None:
    table, memory = watched()
    first, second = pa.table(table), polars.DataFrame(table)
    del table, first
    gc.collect()
    assert memory() is not None
    assert second.to_dicts() == ROWS
    del second
    gc.collect()
    assert memory() is None


def test_no_copy_is_made() -> None:
    table, memory = watched()
    chunk = pa.table(table)["number"].chunk(0)
    array = memory()
    assert array is not None
    assert chunk.buffers()[1].address == array.ctypes.data


@pytest.mark.parametrize(
    "export", [Table.__arrow_c_schema__, Table.__arrow_c_array__, Table.__arrow_c_stream__]
)
def test_what_nobody_takes_is_given_back_with_its_capsule(export: Any) -> None:
    table, memory = watched()
    capsules = export(table)
    del table
    gc.collect()
    assert (memory() is not None) == (export is not Table.__arrow_c_schema__)
    del capsules
    gc.collect()
    assert memory() is None


def test_a_schema_is_given_any_number_of_times() -> None:
    table, _ = watched()
    stream = nanoarrow.c_array_stream(table)
    schemas = [stream.get_schema() for _ in range(3)]
    assert len(list(stream)) == 1  # and then the end
    del stream, table
    gc.collect()
    assert [pa.schema(each).names for each in schemas] == [["number", "level", "name"]] * 3


def test_a_child_that_was_moved_out_lives_on_alone() -> None:
    table, memory = watched()
    whole = nanoarrow.c_array(table)
    child = nanoarrow.Array(whole.child(0))
    del whole, table
    gc.collect()
    assert child.to_pylist() == list(range(20))
    del child
    gc.collect()
    assert memory() is None


def test_a_stream_that_is_dropped_half_read() -> None:
    table, memory = watched()
    reader = pa.RecordBatchReader.from_stream(table)
    del table, reader
    gc.collect()
    assert memory() is None


def test_release_in_threads_without_pythons_lock() -> None:
    for _ in range(20):
        table, memory = watched()
        batches = [pa.record_batch(table) for _ in range(8)]
        threads = [threading.Thread(target=batches.clear), threading.Thread(target=gc.collect)]
        del table
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory() is None


def test_many_exports_leave_nothing_behind() -> None:
    table, _ = watched()
    table.__arrow_c_stream__()
    owned = sys.getrefcount(table._prepared)
    for _ in range(1000):
        table.__arrow_c_stream__(), table.__arrow_c_array__(), pa.table(table)
    found = sys.getrefcount(table._prepared)
    assert found == owned


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `table` and `memory` of `watched()`."""
    start = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import gc
        from test_exports import *
        table, memory = watched()
    """
    program = textwrap.dedent(start) + textwrap.dedent(body)
    command = [sys.executable, "-X", "faulthandler", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "dropped", ["pa.table(table)", "table.__arrow_c_stream__()", "nanoarrow.c_array(table)"]
)
def test_release_while_an_exception_is_on_its_way(dropped: str) -> None:
    """A callback of ctypes would end the process here."""
    done = run(f"""
        def use(*arguments): pass
        try:
            use({dropped}, 1 / 0)
        except ZeroDivisionError as error:
            print("caught", error)
        del table
        gc.collect()
        print(memory())
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "caught division by zero\nNone\n"


@pytest.mark.parametrize("taker", ["pa.table", "polars.DataFrame", "nanoarrow.Array"])
def test_a_process_ends_with_data_in_hand(taker: str) -> None:
    done = run(f"""
        taken = {taker}(table)
        sys.modules["kept"] = taken
        unused = table.__arrow_c_stream__()
        print(len(taken))
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "20\n", "")


def test_a_child_of_fork_releases_its_own() -> None:
    done = run("""
        import os
        taken = pa.table(table)
        del table
        if not (child := os.fork()):
            del taken
            gc.collect()
            os._exit(memory() is not None)
        _, status = os.waitpid(child, 0)
        print(status, taken.to_pylist() == ROWS)
    """)
    assert (done.returncode, done.stdout) == (0, "0 True\n"), done.stderr


def test_other_machines_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    exports._functions.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    table, _ = watched()
    with pytest.raises(NotSupportedError, match="x86_64, aarch64, not s390x"):
        table.__arrow_c_stream__()
    assert len(table.to_columns()) == 3


def test_the_code_is_that_of_its_source() -> None:
    path = ROOT / "tools/generate_arrow_exports.py"
    spec = importlib.util.spec_from_file_location("generate_arrow_exports", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.source_digest() == exports_code.SOURCE_SHA256, f"run {path.name}"
    for machine in exports_code.CODE:
        _, entries = module.compiled(machine)  # it compiles, to what may lie anywhere
        assert entries.keys() == {"schema", "array", "stream"}


@pytest.mark.parametrize(
    ("machine", "target"), [("x86_64", "x86_64-linux-musl"), ("aarch64", "aarch64-linux-musl")]
)
def test_each_machines_code_does_what_it_says(machine: str, target: str, tmp_path: Path) -> None:
    emulator = [] if machine == platform.machine() else [shutil.which(f"qemu-{machine}-static")]
    if emulator == [None]:
        pytest.skip(f"no emulator of {machine}")
    harness, code = tmp_path / "harness", tmp_path / "code"
    source = Path(__file__).with_name("harness.c")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-static", "-O1"]
    subprocess.run([*compiler, str(source), "-o", str(harness)], check=True)
    code.write_bytes(base64.b64decode(exports_code.CODE[machine]))
    entries = exports_code.ENTRIES[machine]
    places = [str(entries[name]) for name in ("schema", "array", "stream")]
    command = [*map(str, emulator), str(harness), str(code), *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_capsules_have_the_names_of_the_interface() -> None:
    table, _ = watched()
    valid = ctypes.pythonapi.PyCapsule_IsValid
    valid.argtypes = (ctypes.py_object, ctypes.c_char_p)
    schema, array = table.__arrow_c_array__()
    assert valid(schema, b"arrow_schema") and valid(array, b"arrow_array")
    assert valid(table.__arrow_c_schema__(), b"arrow_schema")
    assert valid(table.__arrow_c_stream__(), b"arrow_array_stream")
