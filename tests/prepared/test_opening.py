"""`osmia.open` where a load of the file is kept: an Object like any other, that is not read yet."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.formats import open_object
from osmia.object.model import Object
from osmia.prepared.unread import UnreadObject
from osmia.records import replace

from .conftest import SOURCE, Forget, is_unread

pytestmark = pytest.mark.kernel


@pytest.fixture
def unread(small: Path, forget: Forget) -> Callable[[], Any]:
    """`unread()`: the small object opened after another process has loaded it."""
    osmia.open(small).load().close()

    def opened() -> Any:
        forget()
        obj = osmia.open(small)
        assert is_unread(obj)
        return obj

    return opened


def test_the_first_open_reads_and_the_next_process_does_not(small: Path, forget: Forget) -> None:
    first = osmia.open(small)
    assert type(first) is Object
    first.load().close()
    forget()
    assert is_unread(osmia.open(small))


def test_what_is_compiled_is_not_read_either_where_its_load_is_kept(
    tmp_path: Path, forget: Forget
) -> None:
    source = tmp_path / "small.bpf.c"
    source.write_text(SOURCE)
    first = osmia.compile(source)
    assert type(first) is Object
    first.load().close()
    forget()
    again = osmia.compile(source)
    assert is_unread(again)
    with again.load() as bpf:
        assert bpf.data["limit"] == 7
    assert (again.name, again.path, again.digest) == (first.name, first.path, first.digest)


def test_it_has_the_layout_of_an_object() -> None:
    assert sorted(vars(UnreadObject)["__slots__"]) == sorted(vars(Object)["__slots__"])


def test_it_is_an_object_to_whoever_asks(unread: Callable[[], Any]) -> None:
    obj = unread()
    assert isinstance(obj, Object)
    assert obj.__class__ is Object
    assert is_unread(obj)  # nobody had to read it


ASKED: dict[str, Callable[[Any], object]] = {
    "programs": lambda obj: obj.programs,
    "data": lambda obj: dict(obj.data),
    "repr": repr,
    "digest": lambda obj: obj.digest,
    "copy": lambda obj: obj.copy(),
    "copy module": copy.copy,
    "deep copy": copy.deepcopy,
    "replaced": lambda obj: replace(obj, license="MIT").license,
    "replaced by the standard library": lambda obj: dataclasses.replace(obj, license="MIT").license,
    "fields": dataclasses.fields,
    "bytes": lambda obj: obj.to_bytes(),
    "dir": dir,
    "path": lambda obj: obj.path,
}


@pytest.mark.parametrize("what", ASKED)
def test_it_answers_as_an_object_that_was_read(
    what: str, unread: Callable[[], Any], small: Path
) -> None:
    answer, expected = ASKED[what](unread()), ASKED[what](open_object(small))
    if isinstance(expected, Object):
        assert isinstance(answer, Object)
        answer, expected = answer.digest, expected.digest
    assert answer == expected


def test_pickled_it_is_an_object(unread: Callable[[], Any]) -> None:
    obj = pickle.loads(pickle.dumps(unread()))
    assert type(obj) is Object
    assert [*obj.programs] == ["ingress", "egress"]


def test_it_is_compared_as_objects_are(unread: Callable[[], Any], small: Path) -> None:
    obj = unread()
    assert obj == open_object(small)
    assert unread() != obj.copy(license="MIT")
    with pytest.raises(TypeError, match="unhashable"):
        hash(obj)


def test_what_is_wrong_with_an_attribute_is_said_as_ever(unread: Callable[[], Any]) -> None:
    with pytest.raises(AttributeError, match="Object"):
        _ = unread().nothing
    with pytest.raises(KeyError, match="ingress"):
        _ = unread().programs["ingres"]


def test_threads_that_ask_at_once_see_one_object(unread: Callable[[], Any]) -> None:
    for _ in range(20):
        obj, seen = unread(), list[int]()
        begin = threading.Barrier(4)

        def ask(obj: Any = obj, seen: list[int] = seen, begin: Any = begin) -> None:
            begin.wait()
            seen.append(id(obj.programs))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(seen)) == 1 and len(seen) == 4


def test_the_first_to_ask_may_be_threads(small: Path) -> None:
    """What they ask for is imported then, and one must not have what another has half imported."""
    code = f"""
import threading
import osmia
obj = osmia.open({str(small)!r})
bpf = obj.load()
begin, done = threading.Barrier(6), []
def ask(what):
    begin.wait()
    done.append(what())
path = {str(small)!r}
asked = [lambda: bpf.maps, lambda: obj.programs, lambda: osmia.open(path).maps]
threads = [threading.Thread(target=ask, args=(each,)) for each in asked * 2]
[each.start() for each in threads]
[each.join() for each in threads]
bpf.close()
print(len(done))
"""
    for _ in range(3):  # the first keeps the load
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("6\n", "")


def test_a_file_that_went_away_is_still_read(unread: Callable[[], Any], small: Path) -> None:
    obj = unread()
    small.unlink()
    assert [*obj.programs] == ["ingress", "egress"]


def test_the_second_process_reads_no_file(small: Path) -> None:
    """No ELF, no BTF, no CO-RE, and no typed maps: opening, loading, closing."""
    code = f"""
import sys
before = set(sys.modules)
import osmia
with osmia.open({str(small)!r}).load() as loaded:
    assert not loaded.closed
print(*sorted(set(sys.modules) - before))
"""
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    second = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    modules = set(second.split())
    packages = {name.split(".")[1] for name in modules if name.startswith("osmia.")}
    assert packages & {"elf", "btf", "formats", "passes", "values", "engine", "isa"} == set()
    # Each takes as long as all system calls of a small load.
    assert modules & {"typing", "enum", "functools", "contextlib", "pathlib", "re"} == set()
