"""Stubs: Python that type checkers accept, whatever the object's names are."""

import ast
from pathlib import Path
from typing import Any

import pytest
from mypy import api as mypy

from osmia.btf import Kind
from osmia.object.model import DataKind, DataSection, Map, Object, Variable
from osmia.object.uapi import MapType
from osmia.values.stubs import stub_text


def _object(compiled: Any) -> Object:
    btf = compiled.btf
    names = ["flow", "event", "bits", "choice", "clash", "number"]
    variables = {name: Variable(name, 0, 4, btf.find(name, Kind.VAR)) for name in names} | {
        "untyped": Variable("untyped", 0, 8),
        "bytes": Variable("bytes", 0, 3),
    }
    flow, pair = btf.find("flow", Kind.STRUCT), btf.find("pair", Kind.STRUCT)
    maps = [
        Map("flows", MapType.HASH, 4, 16, 10, key_type_id=pair, value_type_id=flow),
        Map("counts", MapType.PERCPU_ARRAY, 4, 8, 10),
        Map("events", MapType.RINGBUF, 0, 0, 4096),
    ]
    return Object(
        "flows",
        maps={each.name: each for each in maps},
        data_sections={".data": DataSection(".data", DataKind.DATA, bytearray(4), variables)},
        btf=btf,
    )


def test_stubs_name_every_field_with_its_type(compiled: Any) -> None:
    text = stub_text(_object(compiled))
    assert '"""struct flow, 16 bytes."""' in text
    for line in [
        "class flow(Struct):",
        "    saddr: int",
        "    comm: str",
        "    pairs: tuple[pair, ...]",
        "    grid: tuple[tuple[int, ...], ...]",
        "    yes: bool",
        "    ratio: float",
        "    verdict: verdict_" if "verdict: verdict_" in text else "    verdict: _verdict_",
        "    PASS: ClassVar[verdict]",
        "    class_: int",
        "        'flows': MutableMapping[pair, flow],",
        "        'counts': MutableMapping[int, list[int]],",
        "        'events': Any,",
        "    number: int",
    ]:
        assert line in text.splitlines(), line


def test_stubs_are_python(compiled: Any) -> None:
    namespace: dict[str, Any] = {"__name__": "stubs"}
    exec(compile(stub_text(_object(compiled)), "stubs.py", "exec"), namespace)
    assert namespace["Maps"].__annotations__.keys() == {"flows", "counts", "events"}


def test_type_checkers_know_the_fields(compiled: Any, tmp_path: Path) -> None:
    (tmp_path / "flows_types.pyi").write_text(stub_text(_object(compiled)))
    (tmp_path / "use.py").write_text(
        "from flows_types import Data, Maps\n"
        "def use(maps: Maps, data: Data) -> None:\n"
        "    for key, value in maps['flows'].items():\n"
        "        reveal_type(value.saddr)\n"
        "        reveal_type(key.first)\n"
        "    reveal_type(maps['counts'][0])\n"
        "    reveal_type(data.event.comm)\n"
        "    reveal_type(data.event.verdict)\n"
        "    reveal_type(data.bytes)\n"
        "    reveal_type(data.flow.bytes)\n"
        "    maps['nothing']\n"
    )
    options = ["--strict", "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "use.py")]
    output, problems, _ = mypy.run([*options, str(tmp_path / "flows_types.pyi")])
    assert not problems
    found = [line.split('"')[1] for line in output.splitlines() if "Revealed" in line]
    assert found == [
        "int",
        "int",
        "list[int]",
        "str",
        "flows_types.verdict",
        "bytes",
        "int",
    ], output
    errors = [line for line in output.splitlines() if ": error:" in line]
    assert len(errors) == 1 and 'no key "nothing"' in errors[0], output


@pytest.mark.parametrize(
    "name", ['"""\nimport os\n', "x: int\n    y", "class", "__class__", "a'b", "\udcff", "Struct"]
)
def test_hostile_names_write_no_code(raw_btf: Any, name: str) -> None:
    number = raw_btf.add_int("int", 4)
    enum = raw_btf.add_enum(name, 4, (name, 1))
    inner = raw_btf.add_struct(name, 8, (name, number, 0), ("e", enum, 32))
    obj = Object(
        name,
        maps={name: Map(name, MapType.HASH, 4, 8, 1, number, inner)},
        data_sections={
            ".data": DataSection(
                ".data", DataKind.DATA, bytearray(4), {name: Variable(name, 0, 4, number)}
            )
        },
        btf=raw_btf.build(),
    )
    text = stub_text(obj)
    text.encode()
    allowed = (ast.Expr, ast.ImportFrom, ast.ClassDef, ast.Assign)
    tree = ast.parse(text)
    assert all(isinstance(node, allowed) for node in tree.body)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            assert all(isinstance(each, ast.Expr | ast.AnnAssign) for each in node.body)
    assert "\nimport" not in text


def test_an_object_without_types_has_stubs_too() -> None:
    obj = Object("plain", maps={"m": Map("m", MapType.HASH, 4, 5, 1)})
    assert "        'm': MutableMapping[int, bytes]," in stub_text(obj).splitlines()
