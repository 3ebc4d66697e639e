"""Without numpy: everything that makes no arrays works, and what does says which extra has it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import osmia
from osmia.errors import MissingPackageError
from osmia.toolchain import compile as compile_source

SOURCES = Path(osmia.__file__).parent
PROGRAM = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow { __u32 packets; __u16 bits : 3; char name[6]; __u8 address[4]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, __u32); __type(value, struct flow); } flows SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
__u64 runs;

SEC("xdp")
int count(struct xdp_md *ctx)
{
    __u64 *event = bpf_ringbuf_reserve(&events, 8, 0);
    if (event) {
        *event = ++runs;
        bpf_ringbuf_submit(event, 0);
    }
    return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""

#: What a user does, with the engine and the object as arguments; numpy cannot be imported.
USE = """
import sys
sys.modules["numpy"] = None
import osmia

engine, path = sys.argv[1:]
flow = {"packets": 7, "bits": 2, "name": "first", "address": bytes(4)}
with osmia.open(path).load(engine=engine) as bpf:
    flows, events = bpf.maps["flows"], bpf.maps["events"]
    flows[1] = flow
    flows.update_many({2: flow, 3: flow})
    assert flows[2].packets == 7 and sorted(flows) == [1, 2, 3] and len(flows.items()) == 3
    assert {value.name for value in flows.values()} == {"first"}
    assert flows.delete_many([3]) == 1
    assert bpf.programs["count"].run(bytes(64), repeat=3).retval == 2
    assert bpf.data["runs"] == 3
    assert len(events.read()) == 3

    def refused(make):
        try:
            make()
        except ImportError as error:
            assert isinstance(error, osmia.OsmiaError), error
            assert "pip install 'osmia[numpy]'" in str(error) and error.name == "numpy"
            return
        raise AssertionError("numpy is there")

    refused(flows.to_numpy)
    refused(lambda: flows.to_numpy(take=True))
    refused(events.to_numpy)
    refused(lambda: events.to_numpy("u8"))
    for make in (flows.to_columns, flows.to_arrow, events.to_columns, events.arrow_batches):
        refused(make)
    refused(lambda: flows.to_arrow(take=True))
    refused(flows.value_codec.dtype)
    refused(bpf.object.codec("flow").dtype)
    if engine == "kernel":
        refused(flows.to_arrays)
        refused(lambda: flows.update_arrays([1], [1]))
    assert len(flows.take_all()) == 2  # nothing was taken by what was refused
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("numpy") / "flows.bpf.o"
    path.write_bytes(compile_source(PROGRAM).data)
    return path


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def test_maps_events_and_runs_need_no_numpy(engine: str, compiled: Path) -> None:
    done = run(USE, engine, compiled)
    assert done.returncode == 0, done.stderr


def test_the_command_needs_no_numpy(compiled: Path) -> None:
    command = "import sys; sys.modules['numpy'] = None; from osmia.cli import main; "
    for arguments in (["inspect", compiled], ["--json", "inspect", compiled], ["--help"]):
        done = run(command + "sys.exit(main(sys.argv[1:]))", *arguments)
        assert done.returncode == 0 and done.stdout, done.stderr


def test_the_error_is_an_import_error_that_says_what_to_install() -> None:
    error = MissingPackageError("numpy", extra="numpy")
    assert isinstance(error, ImportError)
    assert isinstance(error, osmia.OsmiaError)
    assert str(error) == "this needs numpy: pip install 'osmia[numpy]'"


@pytest.mark.parametrize("package", ["numpy", "pandas"])
def test_what_is_an_extra_is_imported_in_one_place(package: str) -> None:
    """Anywhere else it would be a ModuleNotFoundError that says nothing."""
    paths = [path for path in SOURCES.rglob("*.py") if path.name != f"{package}_extra.py"]
    assert {p: _run_time_imports(ast.parse(p.read_text()), package) for p in paths} == {
        path: [] for path in paths
    }


def _run_time_imports(node: ast.AST, package: str) -> list[int]:
    """The lines that import a package, those for type checkers alone apart."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return []
        case ast.Import() if any(each.name.split(".")[0] == package for each in node.names):
            return [node.lineno]
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] == package:
            return [node.lineno]
    children = ast.iter_child_nodes(node)
    return [line for child in children for line in _run_time_imports(child, package)]
