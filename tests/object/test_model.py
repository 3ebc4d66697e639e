"""The model: static functions and variables of one name live in one Object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia.errors import AmbiguousNameError, OsmiaError
from osmia.formats.elf_writer import write_object
from osmia.formats.listing import list_function
from osmia.formats.stubs import stub_text

from .conftest import Link

COUNTING = """
static volatile int counter = {start}; static volatile int zero;
{visible}
static __noinline int helper(int x) {{ counter += x; zero++; return counter; }}
SEC("xdp") int {name}(struct xdp_md *ctx) {{ return helper({start}) + XDP_PASS; }}
"""
FILES = ["a.bpf.c", "b.bpf.c"]


@pytest.fixture(scope="module")
def joined(link: Link) -> Path:
    return link(
        COUNTING.format(start=1, name="first", visible="const volatile int limit = 9;"),
        COUNTING.format(start=20, name="second", visible=""),
    )


def test_functions_and_variables_of_one_name_are_listed_apart(joined: Path) -> None:
    obj = osmia.open(joined)
    assert [*obj.functions] == ["a.bpf.c:helper", "b.bpf.c:helper", "first", "second"]
    assert {key: obj.data[key] for key in obj.data} == {
        "limit": 9,
        "a.bpf.c:counter": 1,
        "b.bpf.c:counter": 20,
        "a.bpf.c:zero": 0,
        "b.bpf.c:zero": 0,
    }
    assert [obj.functions[f"{file}:helper"].name for file in FILES] == ["helper", "helper"]
    variables = obj.data_sections[".data"].variables
    assert [(each.name, each.file) for each in variables.values()] == [
        ("counter", "a.bpf.c"),
        ("counter", "b.bpf.c"),
    ]


@pytest.mark.parametrize("section", [".data:", ".bss:", ""])
def test_a_name_of_several_is_refused_with_what_there_is(joined: Path, section: str) -> None:
    data = osmia.open(joined).data
    name = f"{section}zero" if section == ".bss:" else f"{section}counter"
    plain = name.rpartition(":")[2]
    words = f"'a.bpf.c:{plain}' .*, 'b.bpf.c:{plain}'"
    with pytest.raises(AmbiguousNameError, match=words):
        data[name]
    with pytest.raises(AmbiguousNameError, match=words):
        data[name] = 5
    with pytest.raises(AmbiguousNameError, match=words):
        data.get(name)
    with pytest.raises(AmbiguousNameError, match=words):
        data.slot(name)
    with pytest.raises(AttributeError, match=words):
        getattr(data, name)
    with pytest.raises(AttributeError, match=words):
        setattr(data, name, 5)
    assert name not in data
    assert issubclass(AmbiguousNameError, KeyError)
    assert issubclass(AmbiguousNameError, OsmiaError)


def test_longer_words_mean_a_variable_also_where_its_name_would_do(joined: Path) -> None:
    data = osmia.open(joined).data
    assert data["a.bpf.c:.data:counter"] == 1
    assert data[".rodata:limit"] == data["limit"] == data.limit == 9
    assert ".rodata:limit" in data
    assert "limits" not in data
    with pytest.raises(KeyError, match=r"no 'limits'; did you mean 'limit'"):
        data["limits"]
    assert data.get("limits") is None


ENGINES = pytest.mark.parametrize(
    "engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)]
)


@ENGINES
def test_each_function_has_its_own_files_variables(joined: Path, engine: str) -> None:
    obj = osmia.open(joined)
    obj.data["b.bpf.c:counter"] = 50
    with obj.load(engine) as bpf:
        assert bpf.programs["first"].run(bytes(64)).retval == 1 + 1 + 2
        assert bpf.programs["second"].run(bytes(64)).retval == 50 + 20 + 2
        assert [bpf.data[f"{file}:counter"] for file in FILES] == [2, 70]
        assert [bpf.data[f"{file}:zero"] for file in FILES] == [1, 1]
        with pytest.raises(AmbiguousNameError):
            bpf.data["zero"]


@ENGINES
def test_a_global_variable_has_its_name_and_static_ones_their_files(
    link: Link, engine: str
) -> None:
    use = 'SEC("xdp") int {}(void *ctx) {{ return counter; }}'
    obj = osmia.open(
        link(
            "static volatile int counter = 1;" + use.format("f"),
            "int counter = 2;" + use.format("g"),
        )
    )
    assert dict(obj.data) == {"a.bpf.c:counter": 1, "counter": 2}
    with obj.load(engine) as bpf:
        assert [bpf.programs[name].run(bytes(64)).retval for name in "fg"] == [1, 2]


def test_a_static_function_and_a_global_one_may_have_one_name(link: Link) -> None:
    use = 'SEC("xdp") int {}(void *ctx) {{ return helper({}); }}'
    static = "static __noinline int helper(int x) { return bpf_get_smp_processor_id() < x; }"
    visible = "__noinline int helper(int x) { return x * 2; }"
    obj = osmia.open(link(static + use.format("f", 1000000), visible + use.format("g", 21)))
    assert {key for key in obj.functions if "helper" in key} == {"a.bpf.c:helper", "helper"}
    with obj.load("vm") as bpf:
        assert [bpf.programs[name].run(bytes(64)).retval for name in "fg"] == [1, 42]


def test_variables_of_functions_have_the_functions_names() -> None:
    obj = osmia.compile(
        """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int f(void *ctx) { static volatile int count = 1; return count++; }
SEC("xdp") int g(void *ctx) { static volatile int count = 2; return count++; }
"""
    )
    assert dict(obj.data) == {"f.count": 1, "g.count": 2}


def test_real_names_are_written_and_read_again(joined: Path) -> None:
    obj = osmia.open(joined)
    again = osmia.open(write_object(obj))
    assert again.data_sections == obj.data_sections
    assert [*again.functions] == [*obj.functions]
    for key, function in obj.functions.items():
        assert again.functions[key].relocations == function.relocations
        assert again.functions[key].name == function.name


def test_a_listing_says_which_is_meant(joined: Path) -> None:
    obj = osmia.open(joined)
    text = [line.text for line in list_function(obj, "second")]
    assert any("b.bpf.c:helper" in line for line in text)
    helper = [line.text for line in list_function(obj, obj.find_function("b.bpf.c:helper"))]
    assert any("&b.bpf.c:counter" in line for line in helper)
    with pytest.raises(AmbiguousNameError):
        obj.find_function("helper")


def test_stubs_have_what_attributes_can_name(joined: Path) -> None:
    text = stub_text(osmia.open(joined))
    assert "limit: int" in text
    assert "counter" not in text


def test_a_wrong_name_of_a_part_says_which_are_near(joined: Path) -> None:
    obj = osmia.open(joined)
    for each in (obj, obj.copy()):
        with pytest.raises(KeyError, match=r"has no program 'frist'; did you mean 'first'"):
            each.programs["frist"]
        with pytest.raises(KeyError, match=r"has no function 'secnd'; did you mean 'second'"):
            each.functions["secnd"]
        with pytest.raises(KeyError, match=r"has no map 'flows'"):
            each.maps["flows"]
        with pytest.raises(KeyError, match=r"has no data section '.dat'; did you mean '.data'"):
            each.data_sections[".dat"]
        with pytest.raises(KeyError, match=r"has no program 'frist'; did you mean 'first'"):
            each.set_autoload("frist")


def test_an_object_is_shown_in_one_short_line(joined: Path) -> None:
    obj = osmia.open(joined)
    assert repr(obj) == f"<Object {obj.name!r}: 2 programs, 5 variables, libbpf>"
    assert "code" not in repr(obj.functions["first"])
    assert "contents" not in repr(obj.data_sections[".data"])


OPERATIONS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct ops { int (*init)(void); int (*update)(void); };
SEC("struct_ops/init") int init_it(void *ctx) { return 0; }
SEC(".struct_ops") struct ops table = {.init = (void *)init_it};
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, long); } counts SEC(".maps");
SEC("xdp") int look(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""


def test_setters_say_which_names_are_near() -> None:
    obj = osmia.compile(OPERATIONS)
    attempts: list[tuple[str, Callable[[], object]]] = [
        ("has no 'cuonts'; did you mean 'counts'", lambda: obj.set_autocreate("cuonts")),
        ("has no 'tabel'; did you mean 'table'", lambda: obj.set_autocreate("tabel")),
        ("has no program 'loook'; did you mean 'look'", lambda: obj.set_autoload("loook")),
        ("did you mean 'table'", lambda: obj.set_callback("tabel", "init", None)),
        ("table has no member 'inti'; did", lambda: obj.set_callback("table", "inti", None)),
        ("no program 'init_i'; did", lambda: obj.set_callback("table", "init", "init_i")),
        ("has no type 'opps'; did you mean 'ops'", lambda: obj.codec("struct opps")),
    ]
    for message, attempt in attempts:
        with pytest.raises(KeyError) as refused:
            attempt()
        assert message in str(refused.value.args[0])
    assert obj.maps["counts"].autocreate


def test_a_copy_refuses_parts_that_are_no_dictionary() -> None:
    obj = osmia.compile(OPERATIONS)
    with pytest.raises(TypeError, match="an Object's data sections are a dict by name, not 5"):
        obj.copy(data_sections=5)
