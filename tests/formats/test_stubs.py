"""Stubs: Python that type checkers accept, whatever the object's names are."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mypy import api as mypy

from osmia.btf import BTFBuilder, Enum, EnumValue
from osmia.formats import open_object
from osmia.formats.stubs import stub_text
from osmia.object.model import DataKind, DataSection, Map, Object, Variable
from osmia.object.uapi import MapType
from osmia.toolchain.objects import compile_object

SOURCE = Path(__file__).with_name("stubs.bpf.c")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> str:
    output = tmp_path_factory.mktemp("stubs") / "flows.bpf.o"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding"]
    options = ["-O2", "-g", "-fno-sanitize=all", "-fno-stack-protector", "-c"]
    subprocess.run([*command, *options, str(SOURCE), "-o", str(output)], check=True)
    return stub_text(open_object(output))


@pytest.mark.parametrize(
    "line",
    [
        '"""Types of flows, written by `osmia stubs`."""',
        "class flow(Struct):",
        '    """struct flow, 96 bytes."""',
        "    saddr: int",
        "    comm: str",
        "    grid: tuple[tuple[int, ...], ...]",
        "    yes: bool",
        "    ratio: float",
        "    class_: int",
        "    keys_: int",
        "class verdict(EnumMember):",
        "    PASS: ClassVar[verdict]",
        "        'flows': TypedMap[endpoint, flow, endpoint | StructIn, flow | StructIn],",
        "        'counts': TypedMap[int, list[int], IntegerIn, Sequence[IntegerIn]],",
        "        'events': TypedRingBuffer[Any],",
        "class Data(TypedData, Protocol):",
        "    def last(self) -> flow: ...",
        "    def last(self, value: flow | StructIn, /) -> None: ...",
        "    limit: int",
        "    bytes: str",
    ],
)
def test_stubs_name_everything_with_its_type(stub: str, line: str) -> None:
    assert line in stub.splitlines(), stub


def test_types_are_told_from_fields_of_their_name(stub: str) -> None:
    # In a class with a field `bytes`, the word is no type any more.
    lines = stub.splitlines()
    assert {"    bytes: int", "    raw: _builtins_.bytes"} <= set(lines)
    assert "import builtins as _builtins_" in lines
    assert {"    endpoint: _endpoint_", "    ends: tuple[_endpoint_, ...]"} <= set(lines)


def test_stubs_are_python(stub: str) -> None:
    namespace: dict[str, Any] = {"__name__": "stubs"}
    exec(compile(stub, "stubs.py", "exec"), namespace)
    assert namespace["Maps"].__annotations__.keys() == {"flows", "counts", "events"}


@pytest.mark.slow
def test_type_checkers_know_the_fields(stub: str, tmp_path: Path) -> None:
    (tmp_path / "flows_types.pyi").write_text(stub)
    expected = {
        "key.mac": "bytes",
        "value.saddr": "int",
        "value.bytes": "int",
        "value.raw": "bytes",
        "value.endpoint.port": "int",
        "value.ends[0]": "flows_types.endpoint",
        "value.verdict": "flows_types.verdict",
        "value.verdict.name": "str | None",
        "maps['counts'][0]": "list[int]",
        "data.last.comm": "str",
        "data.bytes": "str",
    }
    reveals = "\n".join(f"        reveal_type({expression})" for expression in expected)
    (tmp_path / "use.py").write_text(
        "from flows_types import Data, Maps\n"
        "def use(maps: Maps, data: Data) -> None:\n"
        "    for key, value in maps['flows'].items():\n"
        f"{reveals}\n"
        "    maps['nothing']\n"
    )
    options = ["--strict", "--cache-dir", str(tmp_path / "cache")]
    output, problems, _ = mypy.run([*options, str(tmp_path / "use.py")])
    assert not problems
    told = [line.split('"')[1] for line in output.splitlines() if "Revealed" in line]
    assert told == list(expected.values()), output
    errors = [line for line in output.splitlines() if ": error:" in line]
    assert len(errors) == 1 and 'no key "nothing"' in errors[0], output


HIDING = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
enum kind { ClassVar, kind };
struct point { __u32 x; };
struct flow {
    __u32 tuple; __u32 hits[3]; __u32 str; char name[4]; __u8 bool; _Bool yes; float part;
    __u8 mac[6]; __u64 bytes; struct point point; struct point points[2]; __u32 list;
    __u32 _builtins_; __u32 builtins; __u32 _point_; __u32 Any; __u32 typing; enum kind kind;
    __u32 Struct; __u32 Protocol; __u32 flow;
};
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int);
         __type(value, struct flow); } flows SEC(".maps");
int tuple, list; __u32 many[4]; char str[4]; struct flow flow;
SEC("xdp") int p(void *c) { return tuple + list + many[1] + str[1] + flow.str; }
char L[] SEC("license") = "GPL";
"""


@pytest.mark.slow
def test_fields_may_be_called_as_the_words_of_a_stub(tmp_path: Path) -> None:
    path = tmp_path / "hiding_types.pyi"
    path.write_text(stub_text(compile_object(HIDING)))
    options = ["--strict", "--cache-dir", str(tmp_path / "cache")]
    output, problems, status = mypy.run([*options, str(path)])
    assert status == 0, output + problems + path.read_text()


@pytest.mark.parametrize(
    "name",
    ['"""\nimport os\n', "x: int\n    y", "class", "__class__", "a'b", "\udcff", "Struct", "int"],
)
def test_hostile_names_write_no_code(name: str) -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    enum = builder.add(Enum(0, name, 4, False, (EnumValue(name, 1),)))
    inner = builder.add_struct(name, 8, [(name, number, 0), ("e", enum, 32)])
    variables = {name: Variable(name, 0, 4, number)}
    obj = Object(
        name,
        maps={name: Map(name, MapType.HASH, 4, 8, 1, key_type_id=number, value_type_id=inner)},
        data_sections={".data": DataSection(".data", DataKind.DATA, bytearray(4), variables)},
        btf=builder.build(),
    )
    text = stub_text(obj)
    text.encode()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            assert {each.name for each in node.names} <= {"builtins", "typing"}
            continue
        assert isinstance(node, ast.Expr | ast.ImportFrom | ast.ClassDef | ast.Assign)
        if isinstance(node, ast.ClassDef):
            assert all(isinstance(each, ast.Expr | ast.AnnAssign) for each in node.body)


def test_an_object_without_types_has_stubs_too() -> None:
    obj = Object("plain", maps={"m": Map("m", MapType.HASH, 4, 5, 1)})
    line = "        'm': TypedMap[int, bytes, IntegerIn, BytesIn],"
    assert line in stub_text(obj).splitlines()


WRITES = """
from ipaddress import IPv4Address, IPv4Network
from meant_types import Data, Maps

def use(maps: Maps, data: Data) -> None:
    peers, routes = maps["peers"], maps["routes"]
    peers["10.0.0.1"] = {"addr": "10.0.0.1", "port": 443}
    peers[IPv4Address("10.0.0.1")] = b"\\0" * 40
    peers[1] = peers[1].replace(bytes=0)
    peers.update(1, {"addr": 1})
    peers.update_many({1: {"addr": 1}})
    peers.setdefault(1, {"bytes": 1}).bytes
    routes["10.0.0.0/8"] = 1
    routes[IPv4Network("10.0.0.0/8")] = 1
    routes[{"prefixlen": 8, "addr": 10}] = routes["10.1.2.3"]
    maps["routes6"]["::/0"] = "fe80::1"
    maps["by_port"]["443"] = ["10.0.0.1", 5]
    data.gateway = "10.0.0.1"
    data.gateway = data.gateway + 1
    data.gateway_mac = "02:00:00:00:00:01"
    data.gateway_mac = bytes(6)
    data["gateway"] = 1
    peers.name, peers.to_numpy(), peers.pin("x"), maps["events"].to_numpy()
"""

READS = {
    "peers[1].addr": "int",
    "peers.get(1)": "meant_types.peer | None",
    "peers.get(1, 5)": "meant_types.peer | int",
    "peers.pop(1)": "meant_types.peer",
    "[key for key in peers]": "list[int]",
    "list(peers.items())": "list[tuple[int, meant_types.peer]]",
    "peers.take_all()": "list[tuple[int, meant_types.peer]]",
    "peers[1].replace(bytes=0)": "meant_types.peer",
    "next(routes.networks())[1]": "int",
    "maps['by_port'][1]": "list[int]",
    "maps['events'].read()": "list[meant_types.peer]",
    "[each for each in maps['events']]": "list[meant_types.peer]",
    "maps['events'].events.read()": "list[meant_types.peer]",
    "peers.to_arrow(times=['seen_ns'])": "osmia.values.table.Table",
    "next(maps['events'].arrow_batches(max_rows=5))": "osmia.values.table.Table",
    "data.gateway": "int",
}

MISTAKES = {
    'peers["10.0.0.1"] = 5': "Incompatible types in assignment",
    "peers[1.5]": "Invalid index type",
    'routes["10.0.0.0/8"] = "one"': "Incompatible types in assignment",
    "data.gateway_mac = 5": "Incompatible types in assignment",
    "maps['events'].reads()": 'has no attribute "reads"',
    "peers.to_columns(per_cpu='mean')": "per_cpu",
    "maps['events'].arrow_batches(rows=5)": "rows",
}


@pytest.mark.slow
def test_what_is_documented_is_accepted_and_mistakes_are_not(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "cli" / "meaning.bpf.c"
    (tmp_path / "meant_types.pyi").write_text(stub_text(compile_object(source)))
    reveals = [f"    reveal_type({each})" for each in READS]
    used = "\n".join([WRITES, *reveals, *(f"    {each}" for each in MISTAKES)])
    (tmp_path / "use.py").write_text(used)
    options = ["--strict", "--cache-dir", str(tmp_path / "cache")]
    output, problems, _ = mypy.run([*options, str(tmp_path / "use.py")])
    assert not problems
    told = [line.split('"')[1] for line in output.splitlines() if "Revealed" in line]
    assert told == list(READS.values()), output
    errors = [line for line in output.splitlines() if ": error:" in line]
    assert len(errors) == len(MISTAKES), output
    for error, message in zip(errors, MISTAKES.values(), strict=True):
        assert message in error


@pytest.mark.slow
def test_a_stub_may_be_a_module(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "cli" / "meaning.bpf.c"
    namespace: dict[str, Any] = {"__name__": "stubs"}
    exec(compile(stub_text(compile_object(source)), "stubs.py", "exec"), namespace)
    assert namespace["Maps"].__annotations__.keys() >= {"peers", "routes", "by_port", "events"}
