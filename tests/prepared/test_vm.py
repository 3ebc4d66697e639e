"""Loads into a vm are kept, too: the next process makes maps and programs and reads no file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import ClosedError, MapMismatchError, ReadOnlyError
from osmia.prepared import identities
from osmia.toolchain import compile as compile_source
from osmia.vm.record import MapRow, ProgramRow, SectionRow, VmRecord, packed, unpacked
from osmia.vm.replay import ReplayedObject

from .conftest import Forget, is_unread

PACKET = bytes(64)

#: What a load leaves for the next process, and what not.
UNKEPT = {
    "externs": "extern int LINUX_KERNEL_VERSION __kconfig;\n#define TOLD LINUX_KERNEL_VERSION",
    "prog arrays": """
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32);
         __type(value, __u32); } jumps SEC(".maps");
#define TOLD (bpf_tail_call(ctx, &jumps, 0), 1)""",
    "pointers in data": "int there = 3;\nint *where = &there;\n#define TOLD *where",
}


@pytest.fixture
def kept_object(small: Path, forget: Forget) -> Callable[[], Any]:
    """`kept_object()`: the small object opened after another process has loaded it into a vm."""
    osmia.open(small).load(engine="vm").close()

    def opened() -> Any:
        forget()
        return osmia.open(small)

    return opened


@pytest.fixture
def replayed(kept_object: Callable[[], Any]) -> Iterator[ReplayedObject]:
    """A load that was made from its record."""
    with kept_object().load(engine="vm") as loaded:
        assert type(loaded) is ReplayedObject
        yield loaded


def test_the_next_process_does_not_read_the_file(kept_object: Callable[[], Any]) -> None:
    obj = kept_object()
    with obj.load(engine="vm") as loaded:
        assert loaded.programs["ingress"].run(PACKET).verdict == "XDP_PASS"
        assert loaded.name == "small"
        assert is_unread(obj) and is_unread(loaded.source)


def test_a_new_process_imports_no_reader(small: Path, kept: Path) -> None:
    script = (
        "import sys, osmia\n"
        f"with osmia.open({str(small)!r}).load(engine='vm') as bpf:\n"
        "    print(bpf.programs['ingress'].run(bytes(64)).retval)\n"
        "print(*sys.modules)\n"
    )
    run = [sys.executable, "-c", script]
    first, second = (subprocess.check_output(run, text=True) for _ in range(2))
    assert "osmia.formats.open" in first
    assert first.split()[0] == second.split()[0] == "2"
    needless = {"typing", "re", "weakref", "ctypes", "osmia.formats.open", "osmia.btf.reader"}
    assert not needless & set(second.split())
    assert "osmia.object.model" not in second.split()


def test_it_is_what_an_ordinary_load_gives(small: Path, replayed: ReplayedObject) -> None:
    forms: list[Any] = []
    for loaded in (replayed, osmia.open(small).load(engine="vm", passes=())):
        program = loaded.programs["ingress"]
        result = program.run(PACKET)
        forms.append(
            (
                (result.retval, result.data, result.ctx_data),
                program.code.packed,
                [each.name for each in program.code.functions.values()],
                dict(program.code.lines),
                (program.definition, program.signature, program.type, program.id),
                program.function_type() is not None,
                [(name, each.id, each.info) for name, each in loaded.maps.items()],
                [(name, each.id, each.info) for name, each in loaded.section_maps.items()],
                dict(loaded.data),
                loaded.object.programs,
                repr(loaded),
                sorted(loaded.programs),
            )
        )
    loaded.close()
    assert forms[0] == forms[1]


def test_its_maps_and_variables_are_typed_and_live(replayed: ReplayedObject) -> None:
    flows = replayed.maps["flows"]
    flows[0] = 1 << 40
    assert flows[0] == 1 << 40
    assert replayed.programs["ingress"].run(PACKET).verdict == "XDP_DROP"
    assert replayed.data["packets"] == 3
    replayed.data["started"] = 10
    replayed.programs["ingress"].run(PACKET)
    assert replayed.data["packets"] == 13
    with pytest.raises(ReadOnlyError):
        replayed.data["limit"] = 1
    assert replayed.maps["flows"] is replayed.vm.maps[flows.id]
    with pytest.raises(KeyError, match="did you mean 'flows'"):
        replayed.maps["flow"]


def test_a_fault_names_the_source_line(small: Path, forget: Forget) -> None:
    source = small.with_name("faults.bpf.c")
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int faulty(struct xdp_md *ctx) {\n'
        "    return *(volatile int *)(long)(ctx->data_end + 64);\n}\n"
    )
    compiled = small.with_name("faults.bpf.o")
    compiled.write_bytes(osmia.compile(source).to_bytes())
    told = []
    for _ in range(2):
        forget()
        with osmia.open(compiled).load(engine="vm") as loaded:
            with pytest.raises(osmia.OsmiaError) as caught:
                loaded.programs["faulty"].run(PACKET)
            told.append((type(loaded) is ReplayedObject, str(caught.value)))
    assert [each for each, _ in told] == [False, True]
    assert told[0][1] == told[1][1]
    assert "ctx->data_end + 64" in told[0][1]


def test_closing_it_ends_its_vm(kept_object: Callable[[], Any]) -> None:
    loaded = kept_object().load(engine="vm")
    program, vm = loaded.programs["ingress"], loaded.vm
    loaded.close()
    assert vm.closed and program.closed
    with pytest.raises(ClosedError):
        program.run(PACKET)


def test_options_of_the_vm_are_its(kept_object: Callable[[], Any]) -> None:
    with kept_object().load(engine="vm", cpus=3, helpers={"map_lookup_elem": lambda: 5}) as loaded:
        assert type(loaded) is ReplayedObject
        assert len(loaded.vm.cpus) == 3
        assert loaded.programs["ingress"].run(PACKET).verdict == "XDP_DROP"


def test_other_options_have_it_loaded_in_the_ordinary_way(kept_object: Callable[[], Any]) -> None:
    with kept_object().load(engine="vm") as other:
        given = {"flows": other.maps["flows"]}
        with pytest.raises(MapMismatchError):
            kept_object().load(engine="vm", maps=given)
        with kept_object().load(engine="vm", vm=other.vm) as loaded:
            assert type(loaded) is not ReplayedObject
    with pytest.raises(TypeError):
        kept_object().load(engine="vm", surely_not="an option")
    with pytest.raises(ValueError, match="region"):
        kept_object().load(engine="vm", memory=3)


def test_what_is_changed_before_the_load_is_loaded(kept_object: Callable[[], Any]) -> None:
    obj = kept_object()
    obj.data["limit"] = 1000
    with obj.load(engine="vm") as loaded:
        assert type(loaded) is not ReplayedObject
        assert loaded.programs["ingress"].run(PACKET).verdict == "XDP_ABORTED"


def test_a_broken_record_is_made_anew(kept_object: Callable[[], Any], kept: Path) -> None:
    (record,) = kept.iterdir()
    whole = record.read_bytes()
    record.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for expected in (False, True):
        with kept_object().load(engine="vm") as loaded:
            assert (type(loaded) is ReplayedObject) is expected
    assert record.read_bytes() == whole


def test_the_engines_code_is_in_the_key(
    kept_object: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "_sources", lambda engine: f"others of {engine}")
    with kept_object().load(engine="vm") as loaded:
        assert type(loaded) is not ReplayedObject


@pytest.mark.parametrize("has", UNKEPT)
def test_nothing_is_kept_of_objects_with(has: str, forget: Forget, kept: Path) -> None:
    source = (
        f"#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n{UNKEPT[has]}\n"
        'SEC("xdp") int ingress(struct xdp_md *ctx) { return TOLD; }\n'
    )
    data = compile_source(source).data
    for _ in range(2):
        forget()
        with osmia.open(data).load(engine="vm") as loaded:
            loaded.programs["ingress"].run(PACKET)
            assert type(loaded) is not ReplayedObject
    assert not kept.exists()


@pytest.mark.kernel
def test_each_engine_has_a_record_of_its_own(kept_object: Callable[[], Any], kept: Path) -> None:
    kept_object().load().close()
    assert len(list(kept.iterdir())) == 2
    for engine in ("kernel", "vm"):
        obj = kept_object()
        with obj.load(engine=engine) as loaded:
            assert loaded.programs["ingress"].run(PACKET).retval == 2


def test_a_record_is_the_same_after_packing() -> None:
    record = VmRecord(
        "name",
        (MapRow(1, 4, 8, 16, 1, 0, -1, b"flows", b""),),
        (SectionRow(1, b".rodata", b"name.rodata", b"1234"),),
        (ProgramRow(6, -1, b"ingress", b"s32(x *)", bytes(16), b"0 ingress", bytes(8)),),
    )
    assert unpacked(packed(record, "key"), "key") == record
