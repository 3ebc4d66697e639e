"""Parts: what came from which input, in this process and after a save; seen when loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.engine.parts import LoadedPart
from osmia.object import Object

from .sources import compiled

LIBRARY = """
static volatile int calls;
static volatile int limit = 10;
int shared = 7;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, int); } table SEC(".maps");
__noinline int track(int x) { calls++; return x + limit + shared; }
__weak int knob = 1;
"""
USER = """
extern int track(int x);
static volatile int calls = 100;
int knob = 5;
SEC("xdp") int p(struct xdp_md *ctx) { calls++; return track(1); }
"""


@pytest.fixture
def both() -> Object:
    return osmia.link([compiled("conntrack", LIBRARY), compiled("datapath", USER)], name="whole")


def saved(obj: Object) -> Object:
    return osmia.open(obj.to_bytes(), name="whole")


@pytest.mark.parametrize("after", [lambda obj: obj, saved], ids=["as linked", "saved and opened"])
@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_a_part_has_its_own_things_by_its_own_names(
    both: Object, after: object, engine: str
) -> None:
    obj = after(both)  # type: ignore[operator]
    with obj.load(engine) as bpf:
        library, user = bpf.part("conntrack"), bpf.part("datapath")
        assert isinstance(library, LoadedPart)
        assert [*library.maps] == ["table"] and library.maps["table"] is bpf.maps["table"]
        assert sorted(library.data) == ["calls", "knob", "limit", "shared"]
        assert sorted(user.data) == ["calls", "knob"]
        assert [*user.programs] == ["p"] and not library.programs and not user.maps
        library.data["limit"] = 20
        assert user.programs["p"].run(bytes(64)).retval == 1 + 20 + 7
        assert (library.data["calls"], user.data["calls"]) == (1, 101)
        assert library.data["knob"] == user.data["knob"] == 5  # the weak one lost
        with pytest.raises(KeyError, match=r"object 'whole' has no part 'conntrac'; did you mean"):
            bpf.part("conntrac")
        with pytest.raises(KeyError, match=r"part 'datapath' of object 'whole' has no map 'table'"):
            user.maps["table"]


def test_saving_keeps_parts_and_keys(both: Object) -> None:
    again = saved(both)
    assert again.parts == both.parts
    assert again.digest == both.digest
    assert both.parts["conntrack"].variables["calls"] == "conntrack.bpf.c:calls"
    assert both.copy().parts == both.parts


def test_parts_of_parts_are_there_too(both: Object) -> None:
    other = compiled("other", "static volatile int calls = 3; int get(void) { return calls; }")
    obj = osmia.link([both, other, compiled("conntrack", "int unrelated = 9;")])
    assert {*obj.parts} == {"whole", "other", "conntrack", "conntrack#2", "datapath"}
    with saved(obj).load("vm") as bpf:
        assert bpf.part("other").data["calls"] == 3
        assert bpf.part("datapath").data["calls"] == 100
        assert bpf.part("conntrack").data["unrelated"] == 9
        assert "limit" in bpf.part("conntrack#2").data


def test_an_object_that_was_not_linked_is_one_part() -> None:
    with compiled("alone", "int x = 4;").load("vm") as bpf:
        assert bpf.part("alone").data["x"] == 4
        with pytest.raises(KeyError):
            bpf.part("other")


def test_a_part_is_named_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a_library_with_a_long_name.bpf.o"
    compiled("x", "int x;").save(path)
    assert [*osmia.link([path]).parts] == ["a_library_with_a_long_name"]
