"""Converted objects: what libbpf makes of them, compared with what osmia makes of the old."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia import toolchain
from osmia.cli.running import run
from osmia.formats.elf_writer import write_object
from osmia.formats.map_source import map_source
from osmia.object import MapType, Pinning, ProgramType
from osmia.passes.convert import convert

LEGACY = Path(__file__).parents[2] / "examples/legacy"
HASH, ARRAY, PROG_ARRAY, ARRAY_OF_MAPS, HASH_OF_MAPS = 1, 2, 3, 12, 13
BPFTOOL = shutil.which("bpftool", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(BPFTOOL is None, reason="needs bpftool"),
]

COUNT_IN_INNER = """
    r6 = r1
    *(u32 *)(r10 -4) = 0
    r2 = r10
    r2 += -4
    r1 = 0x0 ll
    call bpf_map_lookup_elem
    if r0 == 0x0 goto out
    r1 = r0
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0x0 goto out
    r1 = 1
    lock *(u64 *)(r0 +0) += r1
out:
    r1 = r6
    r2 = 0x0 ll
    r3 = 2
    call bpf_tail_call
    r0 = 0
    exit
"""


def map_at(pin: Path) -> Any:
    return osmia.Map.from_pin(pin)


def bpftool(*words: str) -> Any:
    run = subprocess.run([str(BPFTOOL), "-j", *words], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout) if run.stdout.strip() else None


def old_file(legacy: Any, words: Any) -> bytes:
    """An object of an old compiler: no BTF, calls in `.text` without relocations."""
    data: bytes = legacy(
        maps={
            "jump": words(PROG_ARRAY, 4, 4, 4, id=5),
            "outer": words(ARRAY_OF_MAPS, 4, 4, 3, inner_id=7),
            "first": words(ARRAY, 4, 8, 1, id=7),
            "second": words(ARRAY, 4, 8, 1, id=7, inner_idx=2),
            "odd": words(HASH, 6, 24, 16, flags=1),
        },
        programs={
            ".text": "call inner\nexit\ninner: r0 = 7\nexit",
            "classifier": COUNT_IN_INNER,
            "5/2": "call pc-1\nexit",
        },
        references={"classifier": {4: "outer", 16: "jump"}, "5/2": {0: ".text"}},
    ).to_bytes()
    return data


COMPILED = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct bpf_elf_map {
    __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};
#define MAP struct bpf_elf_map SEC("maps")
MAP calls = { BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8, 0, 0x10 };
MAP flows = { BPF_MAP_TYPE_HASH, 12, 16, 64, BPF_F_NO_PREALLOC };
MAP policies = { BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 8, 0, 0, 0, 20 };
MAP policy = { BPF_MAP_TYPE_HASH, 4, 1, 16, 0, 20, 0, 0, 5 };
MAP other = { BPF_MAP_TYPE_HASH, 4, 1, 16, 0, 20, 0, 0, 6 };
MAP events = { BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 4 };
struct flow_key { __u32 from, to; __u16 port; };
struct flow { __u64 packets, bytes; };
struct ____btf_map_flows { struct flow_key key; struct flow value; };
struct ____btf_map_flows __attribute__((section(".maps.flows"), used)) ____btf_map_flows = {};
volatile const int limit = 5;
int seen = 3;
static __noinline int account(struct __sk_buff *skb, int how) {
    struct flow_key key = { .port = how };
    struct flow *flow = bpf_map_lookup_elem(&flows, &key);
    if (flow) flow->bytes += skb->len;
    seen++;
    return how > limit ? 2 : 0;
}
__noinline int global(struct __sk_buff *skb) { return account(skb, skb->mark) + 1; }
SEC("from-netdev") int entry(struct __sk_buff *skb) {
    __u32 id = 5;
    void *map = bpf_map_lookup_elem(&policies, &id);
    if (map && !bpf_map_lookup_elem(map, &id)) bpf_tail_call(skb, &calls, 2);
    bpf_perf_event_output(skb, &events, 0, &id, sizeof id);
    return account(skb, 1);
}
SEC("16/2") int deny(struct __sk_buff *skb) { return global(skb); }
SEC("0x10/03") int allow(struct __sk_buff *skb) { bpf_tail_call(skb, &calls, 2); return 0; }
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(params=["old", "compiled"])
def source(request: pytest.FixtureRequest, legacy: Any, words: Any) -> bytes:
    return old_file(legacy, words) if request.param == "old" else toolchain.compile(COMPILED).data


def shapes(maps: Any) -> dict[str, tuple[int, ...]]:
    return {
        m["name"]: (m["bytes_key"], m["bytes_value"], m["max_entries"], m["flags"]) for m in maps
    }


def test_bpftool_loads_what_was_converted_with_the_same_tags_and_maps(
    source: bytes, bpffs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "converted.o"
    old = osmia.open(source, name="converted", program_type=ProgramType.SCHED_CLS)
    conversion = convert(old)
    assert not conversion.problems
    path.write_bytes(write_object(conversion.object))
    with old.load() as loaded:
        tags = {name: program.info.tag for name, program in loaded.programs.items()}
        maps = {
            name[:15]: (m.key_size, m.value_size, m.max_entries, int(m.flags))
            for name, m in loaded.maps.items()
        }
    bpftool("prog", "loadall", str(path), str(bpffs / "p"), "pinmaps", str(bpffs / "m"))
    seen = [bpftool("prog", "show", "pinned", str(pin)) for pin in (bpffs / "p").iterdir()]
    assert {program["name"]: program["tag"] for program in seen} == tags
    found = [
        bpftool("map", "show", "pinned", str(pin))
        for pin in (bpffs / "m").iterdir()
        if "data" not in pin.name and "bss" not in pin.name
    ]
    assert shapes(found) == maps


def test_slots_are_filled_as_before(legacy: Any, words: Any, bpffs: Path, tmp_path: Path) -> None:
    path = tmp_path / "slots.o"
    path.write_bytes(write_object(convert(osmia.open(old_file(legacy, words))).object))
    bpftool("prog", "loadall", str(path), str(bpffs / "p"), "pinmaps", str(bpffs / "m"))
    with (
        map_at(bpffs / "m" / "jump") as jump,
        map_at(bpffs / "m" / "outer") as outer,
        map_at(bpffs / "m" / "first") as first,
        map_at(bpffs / "m" / "second") as second,
        osmia.Program.from_pin(bpffs / "p" / "f_classifier") as entry,
    ):
        assert entry.run(bytes(64)).retval == 7  # by tail call, from .text
        assert first[0] == 1
        ids = [slot["value"] for slot in bpftool("map", "dump", "pinned", str(bpffs / "m/outer"))]
        assert [bytes(int(b, 16) for b in raw) for raw in ids if isinstance(raw, list)] == [
            first.id.to_bytes(4, "little"),
            second.id.to_bytes(4, "little"),
        ]
        assert len(list(jump)) == 1
        assert len(list(outer)) == 2


def test_a_converted_object_reads_back_as_it_was(source: bytes) -> None:
    converted = convert(osmia.open(source, program_type=ProgramType.SCHED_CLS)).object
    again = osmia.open(write_object(converted))
    assert again.dialect == "libbpf"
    assert list(again.programs) == list(converted.programs)
    for name, program in converted.programs.items():
        assert again.programs[name].type is program.type
    for name, definition in converted.maps.items():
        read = again.maps[name]
        assert (read.type, read.key_size, read.value_size, read.max_entries, read.flags) == (
            definition.type,
            definition.key_size,
            definition.value_size,
            definition.max_entries,
            definition.flags,
        )
        assert sorted(read.slots) == sorted(definition.slots)
        assert (read.inner is None) == (definition.inner is None)
    for name, function in converted.functions.items():
        assert again.source_lines(name) == converted.source_lines(name)
        assert len(again.functions[name].code) == len(function.code)


@pytest.mark.parametrize("name", ["container.c", "host.c"])
def test_an_object_of_the_dialect_is_written_and_read_with_its_slots(name: str) -> None:
    obj = osmia.compile(LEGACY / name)
    again = osmia.open(obj.to_bytes())
    assert any(each.slots for each in obj.maps.values()) == (name == "container.c")
    assert {each.name: each.slots for each in again.maps.values()} == {
        each.name: each.slots for each in obj.maps.values()
    }
    assert again.to_bytes() == osmia.open(again.to_bytes()).to_bytes()


def test_types_are_from_annotations_else_integers_and_bytes() -> None:
    obj = convert(osmia.compile(COMPILED), ProgramType.SCHED_CLS).object
    assert obj.btf is not None
    assert obj.btf.name_of(obj.maps["flows"].key_type_id) == "flow_key"
    assert obj.btf.name_of(obj.maps["policy"].key_type_id) == "unsigned int"
    assert not obj.btf.find("____btf_map_flows")
    assert not obj.btf.find("maps")
    assert not obj.btf.find("bpf_elf_map")


def test_objects_without_btf_get_types_of_the_right_size(legacy: Any, words: Any) -> None:
    obj = convert(osmia.open(old_file(legacy, words))).object
    assert obj.btf is not None
    odd = obj.maps["odd"]
    assert (obj.btf.size_of(odd.key_type_id), obj.btf.size_of(odd.value_type_id)) == (6, 24)


def test_what_cannot_be_expressed_is_listed(legacy: Any, words: Any) -> None:
    file = legacy(
        maps={
            "own": words(pinning=1),
            "named": words(pinning=9),
            "all": words(pinning=2),
            "far": words(HASH_OF_MAPS, 4, 4, 2, inner_id=3),
            "inner": words(id=3, inner_idx=0x7FFFFFFF),
        },
        programs={"from-lxc": "r0 = 0\nexit"},
    )
    conversion = convert(osmia.open(file.to_bytes()))
    assert len(conversion.problems) == 4
    for said, problem in zip(
        ["'from-lxc'", "its file alone", "namespace 9", "too far out"],
        conversion.problems,
        strict=True,
    ):
        assert said in problem
    (note,) = conversion.notes
    assert "'all'" in note and "tc/globals" in note
    assert conversion.object.maps["all"].pinning == Pinning.BY_NAME


def test_the_source_of_the_declarations_compiles_to_the_same_maps() -> None:
    converted = convert(osmia.compile(COMPILED), ProgramType.SCHED_CLS).object
    declarations = map_source(converted)
    head, _, rest = COMPILED.partition("MAP calls")
    types, _, _ = rest.partition("struct ____btf_map_flows")
    types = "struct flow_key" + types.partition("struct flow_key")[2]
    body = COMPILED[COMPILED.index("volatile const int limit") :]
    again = osmia.compile(head + types + declarations + body)
    assert again.dialect == "libbpf"
    for name, definition in converted.maps.items():
        read = again.maps[name]
        assert (read.type, read.key_size, read.value_size, read.max_entries) == (
            definition.type,
            definition.key_size,
            definition.value_size,
            definition.max_entries,
        )
        assert sorted(read.slots) == sorted(definition.slots)


def test_programs_of_other_types_get_their_sections(legacy: Any, words: Any) -> None:
    data = legacy(maps={"a": words()}, programs={"prog": "r0 = 0\nexit"}).to_bytes()
    for kind, section in {
        ProgramType.XDP: "xdp",
        ProgramType.LWT_XMIT: "lwt_xmit",
        ProgramType.SCHED_ACT: "action",
    }.items():
        assert convert(osmia.open(data), kind).object.programs["f_prog"].section == section


def test_libbpf_objects_are_written_too() -> None:
    """The writer serves every object, not converted ones alone."""
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 3); __type(key, int);
         __ulong(map_extra, 0x100000005); __type(value, long); } m SEC(".maps");
const volatile int rate = 2;
static long hidden[3];
int shared SEC(".data.own") = 4;
extern int LINUX_KERNEL_VERSION __kconfig;
static int each(void *map, int *key, long *value, void *ctx) { hidden[1] += *value; return 0; }
SEC("xdp") int entry(struct xdp_md *ctx) {
    bpf_for_each_map_elem(&m, each, 0, 0);
    return hidden[2] + rate + shared + LINUX_KERNEL_VERSION;
}
char _license[] SEC("license") = "GPL";
"""
    obj = osmia.compile(source)
    again = osmia.open(write_object(obj))
    assert again.maps["m"].map_extra == 0x100000005
    assert again.maps["m"].type is MapType.HASH
    assert again.externs.keys() == obj.externs.keys()
    for name, function in obj.functions.items():
        assert again.functions[name].relocations == function.relocations
    assert {n: bytes(s.contents) for n, s in again.data_sections.items()} == {
        n: bytes(s.contents) for n, s in obj.data_sections.items()
    }


@pytest.mark.parametrize("kind", [kind for kind in ProgramType if kind])
def test_every_type_that_open_takes_can_be_said(
    kind: ProgramType, legacy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It becomes the section's name, or that is what cannot be expressed."""
    source, target = tmp_path / "old.o", tmp_path / "new.o"
    source.write_bytes(legacy(programs={"from-somewhere": "r0 = 0\nexit"}).to_bytes())
    words = ["convert", "--dialect", "iproute2", "--type", kind.name.lower()]
    status = run([*words, str(source), "-o", str(target)])
    several = {ProgramType.TRACING, ProgramType.CGROUP_SOCK_ADDR, ProgramType.CGROUP_SOCKOPT}
    if kind in several:
        assert status == 1
        assert "are for one of several hooks" in capsys.readouterr().err
        return
    assert status == 0
    (program,) = osmia.open(target).programs.values()
    assert program.type is kind
    (old,) = osmia.open(source, dialect="iproute2", program_type=kind).programs.values()
    assert old.type is kind


def test_slots_of_what_is_not_loaded_cannot_be_expressed() -> None:
    obj = osmia.compile("""
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        char L[] SEC("license") = "GPL";
        int other(void *c);
        struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32);
                 __array(values, int (void *));
        } calls SEC(".maps") = { .values = { [1] = (void *)&other } };
        SEC("xdp") int entry(void *c) { bpf_tail_call(c, &calls, 1); return 7; }
        SEC("?xdp") int other(void *c) { return 9; }
    """)
    (problem,) = convert(obj).problems
    assert problem == "map 'calls': slot 1 is for 'other', which is not loaded (autoload is off)"
    obj.set_autoload("other")
    assert not convert(obj).problems
