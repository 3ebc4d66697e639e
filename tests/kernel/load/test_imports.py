"""Linking against what the kernel holds: `load(imports=["kernel"])`, whoever loaded it."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable

import pytest

import osmia
from osmia.errors import LinkError, NotSupportedError, RelocationError
from osmia.kernel.inventory import iterate
from osmia.kernel.probes import features
from osmia.object.model import Object
from osmia.object.uapi import AttachType

pytestmark = pytest.mark.kernel

PACKET = bytes(64)
#: What nobody else on this machine calls so.
MARK = f"p{os.getpid()}"
HEAD = f"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
#define HASH(value_type) struct {{ __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); \\
                                  __type(value, value_type); __uint(max_entries, 16); }}
#define RING struct {{ __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); }}
#define COUNTER counter_{MARK}
#define LIMIT limit_{MARK}
#define TABLE a_long_table_name_{MARK}
#define TWIN a_long_table_too_{MARK}
#define EVENTS r{MARK}
#define TRACK track_{MARK}
"""
LIBRARY = """
int COUNTER = 5;
const volatile int LIMIT = 7;
static int unseen;
HASH(long) TABLE SEC(".maps");
HASH(long) TWIN SEC(".maps");
RING EVENTS SEC(".maps");
__noinline int TRACK(struct xdp_md *ctx) { unseen++; return ctx ? COUNTER : 0; }
SEC("xdp") int library(struct xdp_md *ctx) {
    int key = 1;
    bpf_map_lookup_elem(&TWIN, &key);
    return TRACK(ctx) + (bpf_map_lookup_elem(&TABLE, &key) ? 1 : 0)
        + bpf_ringbuf_query(&EVENTS, BPF_RB_RING_SIZE);
}
"""
DATA = """
extern int COUNTER;
extern const volatile int LIMIT;
SEC("xdp") int user(struct xdp_md *ctx) { return ++COUNTER + LIMIT; }
"""
MAPS = """
extern HASH(long) TABLE SEC(".maps");
extern RING EVENTS SEC(".maps");
SEC("xdp") int user(struct xdp_md *ctx) {
    int key = 3;
    long *value = bpf_map_lookup_elem(&TABLE, &key);
    return (value ? *value : 0) + bpf_ringbuf_query(&EVENTS, BPF_RB_RING_SIZE);
}
"""
CALL = """
extern int TRACK(struct xdp_md *ctx);
SEC("xdp") int user(struct xdp_md *ctx) { return TRACK(ctx); }
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


def test_global_data_of_what_is_loaded_is_shared(compiled: Compile) -> None:
    with (
        compiled("library", LIBRARY).load() as library,
        compiled("user", DATA).load(imports=["kernel"]) as user,
    ):
        assert user.programs["user"].run(PACKET).retval == 6 + 7
        assert library.data[f"counter_{MARK}"] == user.data[f"counter_{MARK}"] == 6
        library.close()  # whose it is nobody knows: nothing is said
        assert user.programs["user"].run(PACKET).retval == 7 + 7


def test_maps_are_found_by_their_whole_names(compiled: Compile) -> None:
    with (
        compiled("library", LIBRARY).load() as library,
        compiled("user", MAPS).load(imports=["kernel"]) as user,
    ):
        table = f"a_long_table_name_{MARK}"
        assert user.maps[table].id == library.maps[table].id
        library.maps[table][3] = 30
        assert user.programs["user"].run(PACKET).retval == 30 + mmap.PAGESIZE
        assert user.maps[table][3] == 30


def test_maps_whose_cut_names_are_the_same_are_never_guessed(compiled: Compile) -> None:
    twins = 'HASH(long) TABLE SEC(".maps"); HASH(long) a_long_table_na SEC(".maps");'
    use = """
    SEC("xdp") int library(void *ctx) {
        int key = 1;
        bpf_map_lookup_elem(&TABLE, &key);
        return bpf_map_lookup_elem(&a_long_table_na, &key) != 0;
    }
    """
    one = MAPS.replace("EVENTS", "unused").replace("extern RING", "RING")
    with compiled("twins", twins + use).load() as library:
        with pytest.raises(LinkError, match=r"'a_long_table_name_p\d+' is defined by 2") as told:
            compiled("user", one).load(imports=["kernel"])
        assert [f"{held.id})" in str(told.value) for held in library.maps.values()] == [True, True]


def test_a_loaded_object_and_the_kernel_may_both_offer_it(compiled: Compile) -> None:
    with (
        compiled("library", LIBRARY).load() as library,
        compiled("user", DATA).load(imports=["kernel", library]) as user,
        compiled("user", CALL).load(imports=["kernel", library]) as caller,
    ):
        assert user.programs["user"].run(PACKET).retval == 6 + 7
        assert caller.programs["user"].run(PACKET).retval == 6


def wait_until_gone(name: str) -> None:
    """The kernel frees maps of closed objects a little later, and lists them until then."""
    for _ in range(100):
        if not any(each.name == name for each in iterate.maps()):
            return
        time.sleep(0.05)


def test_two_loads_of_one_object_collide_and_a_decision_helps(compiled: Compile) -> None:
    name = f"counter_{MARK}"
    wait_until_gone("library.data")
    with compiled("library", LIBRARY).load() as one, compiled("library", LIBRARY).load() as other:
        with pytest.raises(LinkError, match=f"'{name}' is defined by 2") as refused:
            compiled("user", DATA).load(imports=["kernel"])
        ids = {each.section_maps[".data"].id for each in (one, other)}
        lines = {f"kernel: int {name} (map 'library.data' {number})" for number in ids}
        assert set(refused.value.problems) == lines
        decisions = {name: other, f"limit_{MARK}": one}
        with compiled("user", DATA).load(imports=["kernel", decisions]) as user:
            assert user.programs["user"].run(PACKET).retval == 6 + 7
        assert (one.data[name], other.data[name]) == (5, 6)


@pytest.mark.parametrize(
    "declaration,message",
    [("extern long COUNTER;", "bytes"), ('extern HASH(int) TABLE SEC(".maps");', "value")],
)
def test_what_does_not_fit_is_refused(compiled: Compile, declaration: str, message: str) -> None:
    use = 'SEC("xdp") int user(void *ctx) { int key = 1; return %s; }'
    used = "bpf_map_lookup_elem(&TABLE, &key) != 0" if "TABLE" in declaration else "COUNTER"
    with (
        compiled("library", LIBRARY).load(),
        pytest.raises(LinkError, match=f"(?s)is not in kernel as user.bpf.c declares.*{message}"),
    ):
        compiled("user", declaration + use % used).load(imports=["kernel"])


def test_functions_have_no_code_in_the_kernel_to_copy(compiled: Compile) -> None:
    with compiled("library", LIBRARY).load() as library:
        with pytest.raises(NotSupportedError, match="gives no code that could be loaded") as told:
            compiled("user", CALL).load(imports=["kernel"])
        info = library.programs["library"].info
        assert f"program 'library' {info.id}, tag {info.tag}" in str(told.value)
    with pytest.raises(RelocationError, match=f"unresolved externs: 'track_{MARK}'"):
        compiled("user", CALL).load(imports=["kernel"])


def test_the_kernels_maps_are_not_for_the_vm(compiled: Compile) -> None:
    with pytest.raises(NotSupportedError, match="imports of 'kernel' are for programs in the"):
        compiled("user", DATA).load("vm", imports=["kernel"])


def test_a_library_of_the_machine_is_a_provider(compiled: Compile, bpffs: object) -> None:
    with compiled("library", LIBRARY).load() as library:
        osmia.publish(library, "shared", root=str(bpffs))
    call_and_count = CALL.replace("return", "COUNTER += 10; return").replace(
        "SEC", "extern int COUNTER; SEC", 1
    )
    with (
        osmia.library("shared", root=str(bpffs)) as published,
        compiled("user", call_and_count).load(imports=[published]) as user,
    ):
        assert user.programs["user"].run(PACKET).retval == 15
        assert published.data[f"counter_{MARK}"] == 15
        published.close()
        assert user.programs["user"].run(PACKET).retval == 25


def test_replacing_needs_trampolines(compiled: Compile) -> None:
    with compiled("library", LIBRARY).load() as library:
        if features.has_attach_type(AttachType.TRACE_FENTRY):
            pytest.skip("this kernel has them")
        with pytest.raises(NotSupportedError, match="trampolines"):
            compiled("user", CALL).load(imports=[library], bind="replace")
        assert not library.users


def test_a_function_that_the_kernel_would_not_put_in_place_is_refused(compiled: Compile) -> None:
    defined = "__noinline int fill(int *where) { return where ? *where : 0; }"
    declared = "extern int fill(int *where); "
    use = 'SEC("xdp") int user(void *ctx) { int x = 3; return fill(&x); }'
    with compiled("filling", defined).load() as filling:
        with pytest.raises(LinkError, match="parameter 1 is a pointer to something that is no"):
            compiled("user", declared + use).load(imports=[filling], bind="replace")
        with compiled("user", declared + use).load(imports=[filling]) as user:
            assert user.programs["user"].run(PACKET).retval == 3
