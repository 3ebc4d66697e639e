"""Functions that are replaced while their callers run: `load(bind="replace")`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import osmia
from osmia.errors import LinkError, OsmiaWarning, VerifierError
from osmia.object.model import Object

pytestmark = [pytest.mark.kernel, pytest.mark.second_kernel]

PACKET = bytes(64)
HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""
USER = """
extern int policy(struct xdp_md *ctx, int level);
extern int weak_one(int x) __weak;
int runs;
SEC("xdp") int first(struct xdp_md *ctx) { runs++; return policy(ctx, 3) + 100; }
SEC("xdp") int second(struct xdp_md *ctx) { return policy(ctx, 4) + 200; }
SEC("xdp") int neither(struct xdp_md *ctx) { return 2; }
"""
STRICT = """
int asked;
static __noinline int twice(int x) { return 2 * x; }
__noinline int policy(struct xdp_md *ctx, int level) {
    asked++;
    return ctx ? twice(level) : 0;
}
SEC("xdp") int own(struct xdp_md *ctx) { return policy(ctx, 1); }
"""
LOOSE = """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, int); __type(value, long);
         __uint(max_entries, 1); } levels SEC(".maps");
__noinline int policy(struct xdp_md *ctx, int level) {
    int key = 0;
    long *last = bpf_map_lookup_elem(&levels, &key);
    if (last)
        *last = level;
    return ctx ? 50 : 0;
}
"""
UNSAFE = """
long where;
__noinline int policy(struct xdp_md *ctx, int level) {
    return *(int *)(long)(level + ctx->data);
}
"""
ANOTHER_TYPE = "__noinline int policy(struct xdp_md *ctx) { return ctx ? 1 : 0; }"
ENUMERATION = """
enum verdict { NO, YES };
__noinline enum verdict policy(struct xdp_md *ctx, int level) { return ctx ? YES : NO; }
"""

Compile = Callable[[str, str], Object]


@pytest.fixture(scope="module")
def compiled() -> Compile:
    made: dict[str, Object] = {}

    def compile_source(name: str, source: str) -> Object:
        if source not in made:
            made[source] = osmia.compile(HEAD + source, name=f"{name}.bpf.c")
        return made[source].copy()

    return compile_source


@pytest.fixture
def strict(compiled: Compile) -> Iterator[osmia.LoadedObject]:
    with compiled("strict", STRICT).load() as loaded:
        yield loaded


@pytest.fixture
def user(compiled: Compile, strict: osmia.LoadedObject) -> Iterator[osmia.LoadedObject]:
    with compiled("user", USER).load(imports=[strict], bind="replace") as loaded:
        yield loaded


def verdicts(user: osmia.LoadedObject) -> list[int]:
    return [user.programs[name].run(PACKET).retval for name in ("first", "second", "neither")]


def test_a_stub_is_replaced_in_each_program(
    user: osmia.LoadedObject, strict: osmia.LoadedObject
) -> None:
    assert verdicts(user) == [100 + 6, 200 + 8, 2]
    assert strict.data["asked"] == 2
    assert strict.programs["own"].run(PACKET).retval == 2
    assert list(strict.users) == [user]


def test_another_function_takes_its_place_while_programs_run(
    user: osmia.LoadedObject, strict: osmia.LoadedObject, compiled: Compile
) -> None:
    verdicts(user)
    with compiled("loose", LOOSE).load() as loose:
        user.rebind("policy", loose)
        assert verdicts(user) == [150, 250, 2]
        assert loose.maps["levels"][0] == 4
        assert (list(strict.users), list(loose.users)) == ([], [user])
        user.rebind("policy", strict)
        assert verdicts(user) == [106, 208, 2]
    assert strict.data["asked"] == 4
    assert user.data["runs"] == 3


def test_what_does_not_fit_changes_nothing(user: osmia.LoadedObject, compiled: Compile) -> None:
    with (
        compiled("another", ANOTHER_TYPE).load() as another,
        compiled("enumeration", ENUMERATION).load() as enumeration,
        compiled("unsafe", UNSAFE).load() as unsafe,
    ):
        with pytest.raises(LinkError, match=r"'policy' is not in another as user\.bpf\.c"):
            user.rebind("policy", another)
        with pytest.raises(LinkError, match="an integer and an enumeration"):
            user.rebind("policy", enumeration)
        with pytest.raises(VerifierError):
            user.rebind("policy", unsafe)
        assert not another.users and not enumeration.users and not unsafe.users
    with pytest.raises(LinkError, match="no extern 'polciy' that could be bound anew"):
        user.rebind("polciy", another)
    assert verdicts(user) == [106, 208, 2]


def test_the_function_stays_when_its_object_is_closed_and_goes_with_the_caller(
    compiled: Compile,
) -> None:
    strict = compiled("strict", STRICT).load()
    with compiled("user", USER).load(imports=[strict], bind="replace") as user:
        with pytest.warns(OsmiaWarning, match="'user' has its function 'policy'"):
            strict.close()
        assert verdicts(user) == [106, 208, 2]
        held = [osmia.Program.from_id(each.id) for each in user.programs.values()]
    assert [each.run(PACKET).retval for each in held] == [100, 200, 2]
    for each in held:
        each.close()


def test_an_extension_program_in_the_kernel_can_stand_for_others(
    user: osmia.LoadedObject, strict: osmia.LoadedObject, compiled: Compile
) -> None:
    source = """
    extern int policy(struct xdp_md *ctx, int level);
    SEC("xdp") int third(struct xdp_md *ctx) { return policy(ctx, 10); }
    """
    extensions = user.replacements["policy"].extensions  # type: ignore[attr-defined]
    assert len(extensions) == 2
    with pytest.raises(LinkError, match="'policy' is defined by 2") as told:
        compiled("third", source).load(imports=["kernel"], bind="replace")
    for each in extensions:
        assert f"{each.id}, tag {each.info.tag}" in str(told.value)
    single = USER.replace("policy(ctx, 4)", "0")
    with (
        compiled("strict", STRICT).load() as again,
        compiled("single", single).load(imports=[again], bind="replace"),
    ):
        user.close()
        with compiled("third", source).load(imports=["kernel"], bind="replace") as third:
            assert third.programs["third"].run(PACKET).retval == 20
            assert again.data["asked"] == 1


def test_functions_of_a_file_need_nothing_but_their_code(
    compiled: Compile, user: osmia.LoadedObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / "plain.bpf.o"
    compiled("plain", ENUMERATION.replace("enum verdict policy", "int policy")).save(path)
    user.rebind("policy", path)
    assert verdicts(user) == [101, 201, 2]
