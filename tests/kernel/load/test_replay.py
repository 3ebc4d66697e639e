"""Loads from records: what the kernel has then, what is left after a refusal, what users get."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import ClosedError, VerifierError
from osmia.formats import open as reader
from osmia.kernel.load import adopting, keeping, replay
from osmia.kernel.load.adopting import AdoptedObject
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.replayed import ReplayedObject
from osmia.kernel.sys import syscall
from osmia.toolchain import compile as compile_source

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
               __type(value, __u32); } one SEC(".maps"), two SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, __u32);
         __array(values, struct inner); } outer SEC(".maps") = { .values = { &one, &two } };
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
         __uint(value_size, 4); } events SEC(".maps");
const volatile int verdict = 2;
long packets;
SEC("xdp") int ingress(struct xdp_md *ctx) { packets++; return verdict; }
SEC("xdp") int refused(struct xdp_md *ctx) { return verdict; }
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("replayed") / "replayed.bpf.o"
    made.write_bytes(compile_source(SOURCE).data)
    return made


@pytest.fixture
def opened(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """`opened()`: the object as in a process after one that loaded it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OSMIA_CACHE", raising=False)
    monkeypatch.setattr(reader, "_remembered", {})
    osmia.open(path).load().close()

    def again() -> Any:
        monkeypatch.setattr(reader, "_remembered", {})
        return osmia.open(path)

    return again


def test_it_is_a_loaded_object_without_having_read_anything(opened: Callable[[], Any]) -> None:
    with opened().load() as bpf:
        assert type(bpf) is ReplayedObject
        assert isinstance(bpf, KernelObject) and isinstance(bpf, osmia.LoadedObject)
        assert bpf.name == "replayed"
        assert not bpf.closed
        assert type(bpf) is ReplayedObject


def test_its_programs_run_and_its_data_is_alive(opened: Callable[[], Any]) -> None:
    with opened().load() as bpf:
        assert bpf.programs["ingress"].run(bytes(64)).retval == bpf.data["verdict"] == 2
        assert bpf.data["packets"] == 1
        assert type(bpf) is AdoptedObject
        with pytest.raises(osmia.ReadOnlyError):
            bpf.data["verdict"] = 1
        assert {*bpf.maps} == {"one", "two", "outer", "events"}
        assert [bpf.maps["outer"][index] for index in range(2)] == [
            bpf.maps[name].id for name in ("one", "two")
        ]
        assert bpf.maps["events"].max_entries == os.cpu_count()
        assert bpf.object.programs.keys() == bpf.source.programs.keys()


def test_its_programs_are_cloned_with_its_maps(opened: Callable[[], Any]) -> None:
    with opened().load() as bpf, bpf.clone("ingress") as twin:
        twin.run(bytes(64))
        assert bpf.data["packets"] == 1
        assert twin.info.tag == bpf.programs["ingress"].info.tag
        assert twin.info.btf_id


def test_its_parts_are_pinned(opened: Callable[[], Any], bpffs: Path) -> None:
    with opened().load() as bpf:
        bpf.pin(bpffs / "all")
        names = {each.name for each in (bpffs / "all").iterdir()}
    assert names == {"ingress", "refused", "one", "two", "outer", "events"}


@pytest.mark.parametrize("before", ["nothing asked", "asked"])
def test_it_is_closed_once(opened: Callable[[], Any], before: str) -> None:
    bpf = opened().load()
    if before == "asked":
        assert bpf.programs
    bpf.close()
    assert bpf.closed
    bpf.close()
    with pytest.raises(ClosedError), bpf:
        pass
    with pytest.raises(ClosedError):
        bpf.programs["ingress"].fileno()
    with pytest.raises(ClosedError):
        _ = bpf.data["packets"]
    with pytest.raises(ClosedError):
        bpf.attach()
    assert bpf.closed


def test_it_may_be_closed_while_it_is_asked_for_more(
    opened: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another thread, or a signal's handler."""
    bpf, before = opened().load(), len(descriptors())
    change_class = adopting._change_class

    def close_before(*given: Any) -> None:
        bpf.close()
        change_class(*given)

    monkeypatch.setattr(adopting, "_change_class", close_before)
    _ = bpf.maps
    assert bpf.closed
    assert len(descriptors()) < before
    with pytest.raises(ClosedError):
        _ = bpf.data["packets"]


def test_a_handler_may_ask_for_what_is_being_asked_for(
    opened: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened().load() as bpf:
        maps, read = [], vars(adopting)["read_elf"]

        def with_signal(*given: Any) -> Any:
            monkeypatch.setattr(adopting, "read_elf", read)
            maps.append(bpf.maps)
            return read(*given)

        monkeypatch.setattr(adopting, "read_elf", with_signal)
        assert bpf.maps is maps[0]
        bpf.data["packets"] = 5
        assert bpf.data["packets"] == 5


def test_one_that_is_dropped_warns_as_ever(opened: Callable[[], Any]) -> None:
    bpf = opened().load()
    assert type(bpf) is ReplayedObject
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del bpf
        gc.collect()
    messages = [str(each.message) for each in caught]
    assert any("program 'ingress'" in each and "never closed" in each for each in messages)


def descriptors() -> list[str]:
    """What this process has open, the directory that tells it aside."""
    listed = [*Path("/proc/self/fd").iterdir()]
    return sorted(str(each.readlink()) for each in listed if each.is_symlink())


STEPS = {
    syscall.Command.BTF_LOAD,
    syscall.Command.MAP_CREATE,
    syscall.Command.MAP_UPDATE_ELEM,
    syscall.Command.MAP_FREEZE,
    syscall.Command.PROG_LOAD,
}


@pytest.mark.parametrize("failing", range(1, 15))
def test_what_is_refused_on_the_way_leaves_nothing_and_is_loaded_in_the_ordinary_way(
    failing: int, opened: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    obj = opened()
    before, calls, real = descriptors(), [0], syscall.invoke

    def sometimes(command: int, attribute: Any) -> int:
        if command not in STEPS:  # the leak check's own
            return real(command, attribute)
        calls[0] += 1
        return -22 if failing <= calls[0] <= failing + 1 else real(command, attribute)

    with monkeypatch.context() as refusing:
        refusing.setattr(syscall, "invoke", sometimes)
        left = replay.replay(vars_of(obj))
    assert left is None
    assert descriptors() == before
    with obj.load() as bpf:
        assert bpf.programs["ingress"].run(bytes(64)).retval == 2


def vars_of(obj: Any) -> Any:
    from osmia.prepared.unread import held_by

    held = held_by(obj)
    assert held is not None
    return held


def test_an_interrupt_while_a_load_is_kept_leaves_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(reader, "_remembered", {})
    monkeypatch.setattr(keeping, "recorded", interrupted)
    obj, before = osmia.open(path), descriptors()
    with pytest.raises(KeyboardInterrupt) as raised:
        obj.load()
    assert raised.traceback  # whose frames hold what was loaded
    assert descriptors() == before


def test_a_refusal_is_explained_as_ever(
    tmp_path: Path, opened: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the verifier of another kernel did not take what this one took."""
    obj = opened()
    held = vars_of(obj)
    row = held.record.programs[0]
    spoilt = held.record._replace(programs=(row._replace(code=bytes(8) + row.code[8:]),))
    assert replay.replay(held._replace(record=spoilt)) is None

    path = tmp_path / "wrong.bpf.o"
    wrong = SOURCE.replace("packets++; return", "return *(int *)(long)ctx->data +")
    path.write_bytes(compile_source(wrong).data)
    with pytest.raises(VerifierError, match="ingress"):
        osmia.open(path).load()
    assert len([*(tmp_path / "osmia" / "prepared").iterdir()]) == 1  # what failed is not kept


def test_a_possible_cpu_more_is_an_entry_more(
    opened: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from osmia.kernel.sys import cpus

    monkeypatch.setattr(cpus, "possible_cpus", lambda: 7)
    with opened().load() as bpf:
        assert bpf.maps["events"].max_entries == 7
