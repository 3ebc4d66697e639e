"""Objects that are linked against loaded ones: `load(imports=…)`, the same on each engine."""

from __future__ import annotations

import gc
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.engine.importing import LoadedProvider
from osmia.errors import ClosedError, LinkError, NotSupportedError, OsmiaWarning, RelocationError
from osmia.object.model import Object
from osmia.passes import Pass, Stage
from osmia.vm.engine import Vm

PACKET = bytes(64)
HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
#define FLOWS(entries) struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); \\
                                __type(value, long); __uint(max_entries, entries); }
"""
LIBRARY = """
struct sum { long packets; int last; };
int counter = 5;
const volatile int limit = 7;
int lengths[4] = {1, 2, 3, 4};
struct sum total;
static int hidden_count;
__attribute__((visibility("hidden"))) int hidden_one = 3;
FLOWS(16) flows SEC(".maps");

static __noinline int add(int x) {
    counter += x;
    hidden_count++;
    return counter;
}
__noinline int plain(int x) { return x * 3; }
__noinline int track(struct xdp_md *ctx, int n) {
    int key = n;
    long one = 1;
    if (!ctx)
        return 0;
    total.packets++;
    total.last = n;
    bpf_map_update_elem(&flows, &key, &one, 0);
    return add(n) + limit + plain(1);
}
SEC("xdp") int library(struct xdp_md *ctx) { return track(ctx, 1); }
"""
DATA = """
struct sum { long packets; int last; };
extern int counter;
extern const volatile int limit;
extern int lengths[];
extern struct sum total;
SEC("xdp") int user(struct xdp_md *ctx) {
    counter++;
    total.packets += 10;
    return limit + lengths[2];
}
"""
MAP = """
extern FLOWS(16) flows SEC(".maps");
SEC("xdp") int user(struct xdp_md *ctx) {
    int key = 3;
    long *value = bpf_map_lookup_elem(&flows, &key);
    if (value)
        *value += 1;
    return value ? 1 : 2;
}
"""
CALL = """
extern int track(struct xdp_md *ctx, int n);
SEC("xdp") int user(struct xdp_md *ctx) { return track(ctx, 4); }
"""
VARIABLES = "int counter = 40; const volatile int limit = 50;"
SEVERAL = 'SEC("xdp") int several(struct xdp_md *ctx) { return counter; }'


Compile = Callable[[str, str], Object]
Load = Callable[..., osmia.LoadedObject]


@pytest.fixture(scope="session")
def compiled_source() -> Compile:
    made: dict[tuple[str, str], Object] = {}

    def compile_source(name: str, source: str) -> Object:
        if (name, source) not in made:
            made[name, source] = osmia.compile(HEAD + source, name=f"{name}.bpf.c")
        return made[name, source].copy()

    return compile_source


@pytest.fixture
def load(engine_name: str) -> Iterator[Load]:
    """Load an object with options; all into one vm. Closed in reverse when the test is over."""
    with ExitStack() as stack:
        shared = {"vm": stack.enter_context(Vm())} if engine_name == "vm" else {}
        yield lambda obj, **options: stack.enter_context(
            obj.load(engine_name, **{**shared, **options})
        )


@pytest.fixture
def library(compiled_source: Compile) -> Object:
    return compiled_source("library", LIBRARY)


@pytest.fixture
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        engines = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]
        metafunc.parametrize("engine_name", engines, indirect=True)


def test_variables_of_another_object_are_the_same_memory(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    user = load(compiled_source("user", DATA), imports=[lib])
    assert user.programs["user"].run(PACKET).retval == 7 + 3
    assert user.data["counter"] == lib.data["counter"] == 6
    assert lib.data["total"].packets == user.data["total"].packets == 10
    user.data["counter"] = 100
    assert lib.data["counter"] == 100
    lib.data["lengths"] = [1, 2, 30, 4]
    assert user.programs["user"].run(PACKET).retval == 7 + 30
    assert lib.data["counter"] == 101
    assert user.section_maps["library:.data"].id == lib.section_maps[".data"].id


@pytest.mark.parametrize("length", ["", 2, 400, 100_000])
def test_an_array_is_as_long_as_its_definition(
    load: Load, library: Object, compiled_source: Compile, length: int | str
) -> None:
    lib = load(library)
    source = f'extern int lengths[{length}]; SEC("xdp") int user(void *c) {{ return lengths[1]; }}'
    user = load(compiled_source("user", source), imports=[lib])
    assert user.programs["user"].run(PACKET).retval == 2
    assert user.data["lengths"] == (1, 2, 3, 4)
    user.data["lengths"] = [5, 6, 7, 8]
    assert lib.data["lengths"] == (5, 6, 7, 8)
    with pytest.raises(ValueError, match="4"):
        user.data["lengths"] = [9] * 5


def test_constants_of_another_object_stay_constant(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    user = load(compiled_source("user", DATA), imports=[load(library)])
    with pytest.raises(osmia.ReadOnlyError):
        user.data["limit"] = 8


def test_a_map_of_another_object_is_used_by_both(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    user = load(compiled_source("user", MAP), imports=[lib])
    assert user.maps["flows"].id == lib.maps["flows"].id
    assert user.programs["user"].run(PACKET).retval == 2
    lib.maps["flows"][3] = 41
    assert user.programs["user"].run(PACKET).retval == 1
    assert user.maps["flows"][3] == lib.maps["flows"][3] == 42


def test_a_function_joins_with_its_callees_while_maps_and_data_stay_the_owners(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    user = load(compiled_source("user", CALL), imports=[lib])
    assert user.programs["user"].run(PACKET).retval == (5 + 4) + 7 + 3
    assert lib.programs["library"].run(PACKET).retval == (9 + 1) + 7 + 3
    assert (lib.data["counter"], lib.data["hidden_count"]) == (10, 2)
    assert lib.data["total"].packets == 2
    assert dict(lib.maps["flows"]) == {4: 1, 1: 1}
    assert dict(user.maps["library:flows"]) == {4: 1, 1: 1}
    assert not [name for name in user.data if name in lib.data]


def test_all_of_it_at_once(load: Load, library: Object, compiled_source: Compile) -> None:
    everything = DATA.replace("return limit", "return track(ctx, 2) + limit").replace(
        "SEC(", CALL.split(";")[0] + ";\nSEC(", 1
    )
    lib = load(library)
    user = load(compiled_source("user", everything), imports=[lib])
    assert user.programs["user"].run(PACKET).retval == (6 + 2) + 7 + 3 + 7 + 3
    assert lib.data["counter"] == user.data["counter"] == 8


def test_source_lines_of_both_objects_are_told(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    user = load(compiled_source("user", CALL), imports=[load(library)])
    texts = {line.text.strip() for line in user.object.source_lines("track")}
    assert "total.packets++;" in texts
    assert user.object.functions["add"].section == ".text"


def test_what_an_import_imported_comes_along(load: Load, compiled_source: Compile) -> None:
    base = load(compiled_source("base", "int depth = 3; int seen;"))
    middle = load(
        compiled_source(
            "middle",
            """
            extern int depth;
            extern int seen;
            int calls;
            __noinline int deep(int x) { seen += x; calls++; return depth; }
            """,
        ),
        imports=[base],
    )
    top = load(
        compiled_source(
            "top",
            'extern int deep(int x); SEC("xdp") int user(void *ctx) { return deep(5); }',
        ),
        imports=[middle],
    )
    base.data["depth"] = 9
    assert top.programs["user"].run(PACKET).retval == 9
    assert (base.data["seen"], middle.data["calls"]) == (5, 1)


def test_what_a_function_has_extern_itself_is_looked_for_too(
    load: Load, library: Object, compiled_source: Compile, tmp_path: Path
) -> None:
    path = tmp_path / "above.bpf.o"
    source = """
    extern FLOWS(%d) flows SEC(".maps");
    extern int counter;
    extern int plain(int x);
    __noinline int above(int key) {
        long *found = bpf_map_lookup_elem(&flows, &key);
        return found ? *found + counter + plain(key) : 0;
    }
    """
    compiled_source("above", source % 16).save(path)
    lib = load(library)
    lib.maps["flows"][4] = 1000
    use = "extern int above(int key); %s int user(void *ctx) { return above(4)%s; }"
    user = compiled_source("user", use % ('SEC("xdp")', ""))
    for imports in ([lib, path], [path, str(path), lib]):
        assert load(user, imports=imports).programs["user"].run(PACKET).retval == 1017
    too = 'extern FLOWS(16) flows SEC(".maps"); static int four = 4; SEC("xdp")'
    both = compiled_source("both", use % (too, "+ !!bpf_map_lookup_elem(&flows, &four)"))
    assert load(both, imports=[lib, path]).programs["user"].run(PACKET).retval == 1018
    compiled_source("other", source % 32).save(path)
    for obj in (user, both):
        with pytest.raises(LinkError, match=r"'flows'.*max_entries: (32 and 16|16 and 32)"):
            load(obj, imports=[lib, path])


def test_what_is_imported_is_not_offered_on(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    between = load(compiled_source("between", DATA), imports=[lib])
    with pytest.raises(RelocationError, match="unresolved externs: 'counter'"):
        load(compiled_source("user", DATA), imports=[between])
    load(compiled_source("user", DATA), imports=[between, lib])


def test_addresses_in_data_that_name_others_are_bound(
    compiled_source: Compile, library: Object
) -> None:
    with library.load("vm") as lib:
        pointing = compiled_source(
            "user",
            """
            extern int counter;
            int *where = &counter;
            SEC("xdp") int user(void *ctx) { return where == &counter; }
            """,
        )
        with pointing.load("vm", imports=[lib]) as user:
            assert user.programs["user"].run(PACKET).retval == 1


WRONG = [
    (
        "extern long counter;",
        "counter++;",
        r"'counter' is not in library as .*: .*8 bytes.*4.*library: int counter;",
    ),
    ("extern int flows;", "flows++;", "a variable here, a map there"),
    ("extern int counter(void);", "counter();", "a function here, a variable there"),
    (
        'extern FLOWS(17) flows SEC(".maps");',
        "int k = 1; bpf_map_lookup_elem(&flows, &k);",
        "max_entries",
    ),
    ("extern int track(struct xdp_md *ctx);", "track(ctx);", "'track' is not in library"),
    ("extern int track(struct __sk_buff *ctx, int n);", "track(0, 1);", "__sk_buff.*xdp_md"),
]


@pytest.mark.parametrize("declaration,use,message", WRONG, ids=[w[0] for w in WRONG])
def test_declarations_that_disagree_are_refused_with_both(
    load: Load,
    library: Object,
    compiled_source: Compile,
    declaration: str,
    use: str,
    message: str,
) -> None:
    source = f'{declaration}\nSEC("xdp") int user(struct xdp_md *ctx) {{ {use} return 0; }}'
    lib = load(library)
    with pytest.raises(LinkError, match=re.compile(message, re.DOTALL)) as refused:
        load(compiled_source("wrong", source), imports=[lib])
    assert "library" in str(refused.value)
    assert not lib.users


CONTEXTS = 'extern int track(struct xdp_md *ctx, int n); SEC("tc") int user(void *ctx)'


def test_the_context_must_be_that_of_each_program_that_calls(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    calling = compiled_source("user", CONTEXTS + "{ return track(ctx, 1); }")
    message = r"other programs; that of 'user' \(sched_cls\) is struct __sk_buff"
    with pytest.raises(LinkError, match=message):
        load(calling, imports=[load(library)])


def test_functions_that_return_pointers_are_refused(load: Load, compiled_source: Compile) -> None:
    lib = load(compiled_source("pointers", "long x; __noinline long *where(void) { return &x; }"))
    calling = 'extern long *where(void); SEC("xdp") int user(void *c) { return where() != 0; }'
    with pytest.raises(LinkError, match=r"it returns 'long \*'"):
        load(compiled_source("user", calling), imports=[lib])


def test_a_name_that_two_define_is_refused_with_all_of_them(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    other = load(compiled_source("other", VARIABLES + SEVERAL))
    user = compiled_source("user", DATA)
    with pytest.raises(LinkError, match="'counter' is defined by 2") as refused:
        load(user, imports=[lib, other])
    ids = [each.section_maps[".data"].id for each in (lib, other)]
    assert refused.value.problems == (
        f"library: int counter (map {ids[0]})",
        f"other: int counter (map {ids[1]})",
    )
    decided = load(user, imports=[lib, {"counter": other, "limit": lib}])
    assert decided.programs["user"].run(PACKET).retval == 7 + 3
    assert (lib.data["counter"], other.data["counter"]) == (5, 41)


def test_candidates_that_are_functions_are_told_by_their_programs(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib, again = load(library), load(library)
    with pytest.raises(LinkError, match="'track' is defined by 2") as refused:
        load(compiled_source("user", CALL), imports=[lib, again])
    signature = "library: int track(struct xdp_md *ctx, int n)"
    for told, loaded in zip(refused.value.problems, (lib, again), strict=True):
        assert told.startswith(f"{signature} (program 'library' {loaded.programs['library'].id}")


def test_one_object_given_twice_is_no_collision(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    load(compiled_source("user", DATA), imports=[lib, lib])


def test_a_mapping_alone_decides_for_its_names(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    user = load(compiled_source("user", CALL), imports={"track": lib})
    assert user.programs["user"].run(PACKET).retval == 19
    with pytest.raises(LinkError, match="has no extern 'trakc' to import"):
        load(compiled_source("user", CALL), imports={"trakc": lib})
    with pytest.raises(LinkError, match="library defines no 'gone' that others can see"):
        gone = 'extern int gone; SEC("xdp") int user(void *ctx) { return gone; }'
        load(compiled_source("user", gone), imports={"gone": lib})


@pytest.mark.parametrize("name", ["track", "bpf_rcu_read_lock"])
def test_a_decision_counts_for_what_is_declared_as_the_kernels_too(
    load: Load, library: Object, compiled_source: Compile, name: str
) -> None:
    own = f"__noinline int {name}(struct xdp_md *ctx, int n) {{ return ctx ? n + 60 : 0; }}"
    lib = load(compiled_source("own", own))
    declared = f"extern int {name}(struct xdp_md *ctx, int n) __ksym;"
    use = f'SEC("xdp") int user(struct xdp_md *ctx) {{ return {name}(ctx, 4); }}'
    user = load(compiled_source("user", declared + use), imports={name: lib})
    assert user.programs["user"].run(PACKET).retval == 64


def test_a_weak_definition_yields(load: Load, compiled_source: Compile) -> None:
    weak = load(compiled_source("weak", "__weak int level = 1;"))
    strong = load(compiled_source("strong", "int level = 2;"))
    user = compiled_source(
        "user", 'extern int level; SEC("xdp") int user(void *ctx) { return level; }'
    )
    for imports in ([weak, strong], [strong, weak]):
        assert load(user, imports=imports).programs["user"].run(PACKET).retval == 2
    assert load(user, imports=[weak]).programs["user"].run(PACKET).retval == 1
    another = load(compiled_source("another", "__weak int level = 3;"))
    with pytest.raises(LinkError, match="'level' is defined by 2"):
        load(user, imports=[weak, another])


@pytest.mark.parametrize("name", ["hidden_one", "hidden_count", "add"])
def test_hidden_and_static_names_are_not_offered(
    load: Load, library: Object, compiled_source: Compile, name: str
) -> None:
    declaration = f"extern int {name}" + ("(int x)" if name == "add" else "")
    use = "add(1)" if name == "add" else name
    source = f'{declaration}; SEC("xdp") int user(void *ctx) {{ return {use}; }}'
    with pytest.raises(RelocationError, match=f"unresolved externs: '{name}'"):
        load(compiled_source("user", source), imports=[load(library)])


def test_static_maps_are_not_offered(load: Load, compiled_source: Compile) -> None:
    source = """
    %s FLOWS(4) own SEC(".maps");
    SEC("xdp") int user(void *ctx) { int key = 1; return !!bpf_map_lookup_elem(&own, &key); }
    """
    owner = load(compiled_source("owner", source % "static"))
    with pytest.raises(RelocationError, match="unresolved externs: 'own'"):
        load(compiled_source("user", source % "extern"), imports=[owner])


def test_a_weak_extern_that_nobody_defines_is_nothing(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    source = """
    extern int counter;
    extern int nowhere __weak;
    SEC("xdp") int user(void *ctx) { return &nowhere ? nowhere : counter; }
    """
    user = load(compiled_source("user", source), imports=[load(library)])
    assert user.programs["user"].run(PACKET).retval == 5


def test_externs_that_a_pass_brings_in_are_bound_too(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    user = compiled_source("user", CALL)
    plain = compiled_source("plain", 'SEC("xdp") int user(void *ctx) { return 0; }')
    brought = Pass("bring", Stage.LINK, lambda obj, setting: user.copy())
    loaded = load(plain, imports=[load(library)], passes=[brought])
    assert loaded.programs["user"].run(PACKET).retval == 19


def test_a_closed_library_lives_on_with_its_users_and_says_with_whom(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    user = load(compiled_source("user", DATA), imports=[lib])
    with pytest.warns(OsmiaWarning, match="'library' is closed and still used: 'user' has its"):
        lib.close()
    lib.close()
    assert user.programs["user"].run(PACKET).retval == 10
    assert user.data["counter"] == 6


def test_a_library_is_closed_in_silence_behind_its_users(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    user = load(compiled_source("user", DATA), imports=[lib])
    assert list(lib.users) == [user]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        user.close()
        lib.close()


def test_users_do_not_keep_each_other(
    load: Load, library: Object, compiled_source: Compile, engine_name: str
) -> None:
    lib = load(library)
    options: dict[str, Any] = {"imports": [lib]}
    with compiled_source("user", DATA).load(engine_name, **options) as user:
        assert len(lib.users) == 1
    del user
    gc.collect()
    assert not lib.users


def test_a_closed_object_offers_nothing(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    lib = load(library)
    lib.close()
    with pytest.raises(ClosedError, match="nothing can be imported"):
        load(compiled_source("user", DATA), imports=[lib])


def test_a_file_offers_functions_that_need_nothing_but_constants(
    load: Load, library: Object, compiled_source: Compile, tmp_path: Path
) -> None:
    path = tmp_path / "pure.bpf.o"
    compiled_source(
        "pure", "const volatile int scale = 5; __noinline int scaled(int x) { return x * scale; }"
    ).save(path)
    source = 'extern int scaled(int x); SEC("xdp") int user(void *ctx) { return scaled(4); }'
    assert load(compiled_source("user", source), imports=[path]).programs["user"].run(
        PACKET
    ).retval == 20  # fmt: skip
    whole = tmp_path / "library.bpf.o"
    library.save(whole)
    for user in (DATA, MAP, CALL):
        with pytest.raises(LinkError, match=r"library.bpf.o defines and nobody holds: load it"):
            load(compiled_source("user", user), imports=[str(whole)])


def test_definitions_edited_before_load_count(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    library.maps["flows"] = replace(library.maps["flows"], max_entries=32)
    with pytest.raises(LinkError, match="max_entries"):
        load(compiled_source("user", MAP), imports=[load(library)])


@pytest.mark.parametrize("given", [3, "counter.bpf.o", [3], [None], {"counter": 3}])
def test_what_is_no_provider_is_a_type_error(
    load: Load, compiled_source: Compile, given: Any
) -> None:
    with pytest.raises(TypeError, match="import"):
        load(compiled_source("user", DATA), imports=given)


def test_ways_of_another_engine_are_not_supported(
    load: Load, library: Object, compiled_source: Compile, engine_name: str
) -> None:
    way, owner = ("call", "vm") if engine_name == "kernel" else ("replace", "kernel")
    lib = load(library)
    with pytest.raises(NotSupportedError, match=f"bind='{way}' is of the engine '{owner}'"):
        load(compiled_source("user", CALL), imports=[lib], bind=way)
    with pytest.raises(ValueError, match="bind='cpoy'"):
        load(compiled_source("user", CALL), imports=[lib], bind="cpoy")


@pytest.mark.kernel
def test_objects_of_another_engine_are_refused(library: Object, compiled_source: Compile) -> None:
    with library.load("vm") as lib, pytest.raises(LinkError, match="is in the engine 'vm'"):
        compiled_source("user", DATA).load(imports=[lib])
    with library.load() as held, pytest.raises(LinkError, match="is in the engine 'kernel'"):
        compiled_source("user", DATA).load("vm", imports=[held])


def test_a_provider_is_whatever_has_a_name_an_object_and_maps(
    load: Load, library: Object, compiled_source: Compile
) -> None:
    class Published:
        def __init__(self, loaded: osmia.LoadedObject) -> None:
            known = LoadedProvider(loaded)
            self.name, self.object, self.maps = "published", known.object, known.maps

    user = load(compiled_source("user", DATA), imports=[Published(load(library))])
    assert user.programs["user"].run(PACKET).retval == 10
