"""What cannot run is left out, and nothing else."""

from __future__ import annotations

import struct
from typing import Any

import pytest

import osmia
from osmia.object import Map, MapType, Object
from osmia.passes.prune import Pruned, prune

from .assembled import assembled, retval

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define ARRAY(name) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); \
    __type(key, __u32); __type(value, __u64); } name SEC(".maps")
ARRAY(always);
ARRAY(sometimes);
ARRAY(untouched);
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, __u32);
} calls SEC(".maps");

const volatile int feature = 0;
const volatile unsigned next = 1;

static __attribute__((noinline)) __u64 count(void *map, __u32 key)
{
    __u64 *value = bpf_map_lookup_elem(map, &key);
    return value ? ++*value : 0;
}

__attribute__((noinline)) int optional(struct xdp_md *ctx)
{
    return count(&sometimes, ctx->rx_queue_index) + 40;
}

SEC("xdp") int entry(struct xdp_md *ctx)
{
    if (feature == 1) {
        bpf_tail_call(ctx, &calls, 2);
        return optional(ctx);
    }
    if (feature == 2)
        bpf_tail_call(ctx, &calls, ctx->rx_queue_index);
    bpf_tail_call(ctx, &calls, next);
    return count(&always, 0);
}

SEC("xdp") __tail(calls, 1) int first(struct xdp_md *ctx)
{
    return count(&always, 1) + 10;
}

SEC("xdp") __tail(calls, 2) int second(struct xdp_md *ctx)
{
    bpf_tail_call(ctx, &calls, 3);
    return count(&sometimes, 2) + 20;
}

SEC("xdp") __tail(calls, 3) int third(struct xdp_md *ctx)
{
    return 30;
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def compiled() -> Object:
    return osmia.compile(source=SOURCE)


def with_feature(compiled: Object, **settings: int) -> Object:
    obj = compiled.copy()
    for name, value in settings.items():
        obj.data[name] = value
    return obj


def left(pruned: Pruned) -> tuple[set[str], set[str]]:
    return set(pruned.object.programs), set(pruned.object.maps)


def test_a_feature_that_is_off_is_gone(compiled: Object) -> None:
    pruned = prune(compiled)
    assert left(pruned) == ({"entry", "first"}, {"always", "untouched", "calls"})
    assert pruned.programs == ("second", "third")
    assert pruned.maps == ("sometimes",)
    assert "optional" in pruned.functions
    assert pruned.instructions > 20


def test_a_feature_that_is_on_stays(compiled: Object) -> None:
    pruned = prune(with_feature(compiled, feature=1))
    assert left(pruned) == (
        {"entry", "second", "third"},
        {"always", "sometimes", "untouched", "calls"} - {"always"},
    )
    assert dict(pruned.object.maps["calls"].slots) == {2: "second", 3: "third"}


def test_a_variable_key_reaches_every_slot(compiled: Object) -> None:
    assert not prune(with_feature(compiled, feature=2)).programs


def test_a_key_in_read_only_data_is_known(compiled: Object) -> None:
    assert left(prune(with_feature(compiled, next=3)))[0] == {"entry", "third"}
    assert left(prune(with_feature(compiled, next=7)))[0] == {"entry"}


def test_programs_to_keep_are_kept_with_what_they_use(compiled: Object) -> None:
    pruned = prune(compiled, keep=["second"])
    assert left(pruned)[0] == {"entry", "first", "second", "third"}
    assert "sometimes" in pruned.object.maps
    with pytest.raises(KeyError, match="nope"):
        prune(compiled, keep=["nope"])


def test_sections_that_may_change_settle_nothing(compiled: Object) -> None:
    assert not prune(compiled, variable=[".rodata"]).programs


@pytest.mark.parametrize("settings", [{}, {"feature": 1}, {"feature": 2}, {"next": 3}])
@pytest.mark.parametrize("engine", ["vm", "kernel"])
def test_what_is_left_runs_as_before(
    compiled: Object, settings: dict[str, int], engine: str
) -> None:
    obj = with_feature(compiled, **settings)

    def runs(**options: Any) -> list[int]:
        with obj.load(engine, **options) as loaded:
            return [loaded.programs["entry"].run(bytes(64)).retval for _ in range(3)]

    assert runs(prune=True) == runs()


@pytest.mark.parametrize("settings", [{}, {"feature": 1}, {"feature": 2}, {"next": 3}])
def test_every_map_that_the_kernel_uses_is_kept(compiled: Object, settings: dict[str, int]) -> None:
    """The judge: the verifier took dead code out of the whole object's programs."""
    obj = with_feature(compiled, **settings)
    kept = prune(obj).object
    with obj.load() as whole, obj.load(prune=True) as pruned:
        for name in kept.programs:
            used = {whole.maps[m].info.id: m for m in obj.maps}
            names = {used[i] for i in map_ids(whole.programs[name]) if i in used}
            assert names <= set(kept.maps), name
            assert not set(pruned.maps) - set(kept.maps)


def map_ids(program: Any) -> set[int]:
    """The maps that the translated instructions of a program refer to."""
    code = program.xlated()
    found = set()
    for at in range(0, len(code), 8):
        opcode, registers, _, imm = struct.unpack_from("<BBhi", code, at)
        if opcode == 0x18 and registers >> 4 in (1, 2):
            found.add(imm)
    return found


def test_dead_ways_of_a_branch_are_taken_out() -> None:
    text = (
        "r2 = data:.rodata\nr2 = *(u32 *)(r2 +0)\nif r2 != 0 goto on\nr0 = 1\nexit\n"
        "on: if r2 == 5 goto five\nr0 = 2\nexit\nfive: r0 = 5\nexit"
    )
    for value, wanted, count in ((0, 1, 5), (5, 5, 5), (9, 2, 5)):
        obj = assembled({"p": text}, settings=value.to_bytes(4, "little"))
        pruned = prune(obj).object
        assert retval(pruned, "p") == retval(obj, "p") == wanted
        assert pruned.functions["p"].instruction_count <= count + 1


def test_maps_in_maps_keep_what_they_hold() -> None:
    inner = Map("inner", MapType.ARRAY, 4, 4, 1)
    outer = Map("outer", MapType.ARRAY_OF_MAPS, 4, 4, 1, inner=inner, slots=((0, "inner"),))
    dead = "r2 = data:.rodata\nr2 = *(u32 *)(r2 +0)\nif r2 == 0 goto out\nr1 = map:inner\nout: "
    obj = assembled(
        {"p": dead + "r1 = map:outer\nr0 = 0\nexit"},
        settings=bytes(4),
        maps={"inner": inner, "outer": outer},
    )
    assert set(prune(obj).object.maps) == {"calls", "inner", "outer"}


def test_what_core_will_decide_is_not_decided_here(compiled: Object) -> None:
    """An instruction with a CO-RE record has no number yet."""
    source = (
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>\n"
        "struct not_there { int x; } __attribute__((preserve_access_index));\n"
        'SEC("xdp") int p(struct xdp_md *ctx)\n'
        "{ return bpf_core_type_exists(struct not_there) ? 11 : 22; }\n"
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    obj = osmia.compile(source=source)
    pruned = prune(obj).object
    assert pruned.functions["p"].core_relocations
    assert retval(pruned, "p", engine="kernel") == 22
    assert retval(obj, "p", engine="kernel", prune=True) == 22
