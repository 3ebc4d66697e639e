"""Objects go through pickle and copy.deepcopy: to other processes, and apart from the original."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia.btf import BTF, BTFBuilder
from osmia.errors import OsmiaWarning
from osmia.object import Object

from .test_digest import SOURCE


def pickled(obj: Object) -> Object:
    again = pickle.loads(pickle.dumps(obj))
    assert isinstance(again, Object)
    return again


WAYS = pytest.mark.parametrize("way", [pickled, copy.deepcopy, copy.copy])


@pytest.fixture
def obj() -> Object:
    return osmia.compile(SOURCE)


@WAYS
def test_an_object_says_the_same_afterwards(way: Callable[[Object], Object], obj: Object) -> None:
    assert obj.btf is not None
    obj.btf.type(1)  # something was read lazily
    again = way(obj)
    assert again.digest == obj.digest
    assert (again.name, again.path) == (obj.name, obj.path)
    assert again.functions == obj.functions
    assert again.source_lines("entry") == obj.source_lines("entry")
    assert dict(again.data) == dict(obj.data)


@pytest.mark.parametrize("way", [pickled, copy.deepcopy])
def test_edits_are_kept_and_go_on_apart(way: Callable[[Object], Object], obj: Object) -> None:
    obj.data["rate"] = 17
    again = way(obj)
    assert again.data["rate"] == 17
    again.data["rate"] = 18
    assert obj.data["rate"] == 17


@pytest.mark.kernel
def test_it_loads_with_the_same_tags(obj: Object) -> None:
    obj.data["rate"] = 17
    again = pickled(obj)
    with pytest.warns(OsmiaWarning), obj.load() as first, again.load() as second:
        assert second.programs["entry"].info.tag == first.programs["entry"].info.tag
        assert second.data["rate"] == 17


def test_another_process_takes_it(obj: Object, tmp_path: Path) -> None:
    path = tmp_path / "object.pickle"
    path.write_bytes(pickle.dumps(obj))
    script = f"""
import pickle
with open({str(path)!r}, "rb") as file:
    obj = pickle.load(file)
print(obj.digest, obj.load("vm").programs["entry"].run(bytes(64)).retval >= 0)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [obj.digest, "True"]


def test_types_on_a_base_are_taken_with_it() -> None:
    base = BTFBuilder()
    base.add_int("int", 4)
    builder = BTFBuilder(base.build())
    split = builder.add_ptr(1)
    again = pickle.loads(pickle.dumps(builder.build("split")))
    assert isinstance(again, BTF)
    assert again.base is not None and again.base.name_of(1) == "int"
    assert (again.name, again.type(split)) == ("split", builder.build().type(split))
