"""An index that grows: what it finds is what the whole one has, and it walks no further."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osmia import cache
from osmia.btf import BTF, BTFBuilder, Kind, partial_index
from osmia.errors import ObjectFormatError

KERNEL = Path("/sys/kernel/btf/vmlinux")
HEADER_SIZE = 24
NAMED = (
    *(Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64),
    *(Kind.FWD, Kind.TYPEDEF, Kind.FUNC, Kind.VAR),
)

needs_kernel = pytest.mark.skipif(not KERNEL.exists(), reason="this kernel shows no BTF")


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_index, "_STEP", 3)
    monkeypatch.setattr(partial_index, "_FIRST", 2)
    monkeypatch.setattr(partial_index, "_WORTH_KEEPING", 5)


def sample(byteorder: str = "little", structs: int = 20) -> bytes:
    """Structs, typedefs, functions and enumerations; members have the names of types."""
    b = BTFBuilder(byteorder=byteorder)  # type: ignore[arg-type]
    number = b.add_int("int", 4, 1)
    prototype = b.add_func_proto(number, [("s1", number)])
    for row in range(structs):
        b.add_struct(f"s{row}", 8, [("int", number, 0), (f"t{row}", number, 32)])
        b.add_typedef(f"t{row}", b.add_const(number))
        b.add_func(f"f{row}", prototype)
        b.add_enum(f"e{row}", [(f"s{row}", 4 << 24), (f"u{row}", 1)])
        b.add_union("again", 4, [(f"s{row}", number, 0)])
    return b.build().to_bytes()


def partial(data: bytes) -> BTF:
    return BTF(data, unique_strings=True, keep_index=True)


def known(btf: BTF) -> int:
    return len(btf._partial.positions)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_names_of_every_kind_are_found_at_every_turn(byteorder: str) -> None:
    data = sample(byteorder)
    whole = BTF(data)
    names = sorted({whole.name_of(i) for i in whole} | {"u3", "nothing", ""})
    for seed in range(4):
        btf = partial(data)
        for name in random.Random(seed).sample(names, len(names)):
            for kinds in [(), *((kind,) for kind in NAMED), (Kind.FUNC, Kind.STRUCT)]:
                assert btf.find_all(name, *kinds) == whole.find_all(name, *kinds)
        assert [btf.type(i) for i in whole] == [whole.type(i) for i in whole]


@pytest.mark.usefixtures("small_steps")
def test_the_walk_ends_behind_the_last_type_that_was_wanted() -> None:
    btf = partial(sample())
    assert btf.find("s2", Kind.STRUCT) <= known(btf) < 20
    assert btf.type(30) == BTF(sample()).type(30)
    assert 30 <= known(btf) < 36


@pytest.mark.usefixtures("small_steps")
def test_a_name_that_no_type_has_makes_nobody_walk() -> None:
    btf = partial(sample())
    assert btf.find("u19", Kind.STRUCT, Kind.TYPEDEF) == 0
    assert known(btf) == 0


@pytest.mark.usefixtures("small_steps")
def test_each_process_goes_on_where_the_last_one_ended() -> None:
    data, whole = sample(), BTF(sample())
    restored = []
    for row in range(0, 20, 4):
        btf = partial(data)
        restored.append(btf._partial.restored)
        for name in (f"s{row}", f"f{row}", "again"):
            assert btf.find_all(name) == whole.find_all(name)
        assert btf.type(len(whole) - 1) == whole.type(len(whole) - 1)
    assert restored[0] == 0
    assert restored[-1] == len(whole) - 1


@pytest.mark.usefixtures("small_steps")
def test_an_index_that_ends_in_the_middle_is_gone_on_with() -> None:
    data, whole = sample(), BTF(sample())
    partial(data).type(6)
    btf = partial(data)
    assert 6 <= btf._partial.restored < len(whole) - 1
    assert [btf.type(i) for i in whole] == [whole.type(i) for i in whole]


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("cut", [4, 8, 12, 20])
def test_types_that_are_cut_off_are_refused_as_by_a_whole_walk(cut: int) -> None:
    data = bytearray(sample())
    size = int.from_bytes(data[12:16], "little") - cut
    data[12:16] = size.to_bytes(4, "little")
    with pytest.raises(ObjectFormatError) as expected:
        len(BTF(bytes(data)))
    with pytest.raises(ObjectFormatError) as found:
        len(partial(bytes(data)))
    assert str(found.value) == str(expected.value)


@pytest.mark.usefixtures("small_steps")
def test_a_kind_that_nobody_knows_is_refused_where_it_stands() -> None:
    data = bytearray(sample())
    offset = BTF(bytes(data)).record_offset(30)
    data[offset + 7] = 0x3F
    with pytest.raises(ObjectFormatError) as expected:
        len(BTF(bytes(data)))
    btf = partial(bytes(data))
    assert btf.type(12) == BTF(sample()).type(12)
    with pytest.raises(ObjectFormatError) as found:
        btf.type(31)
    assert str(found.value) == str(expected.value)


@pytest.mark.usefixtures("small_steps")
def test_threads_walk_at_the_same_time() -> None:
    data = sample(structs=400)
    whole = BTF(data)
    expected = {name: whole.find_all(name) for name in (f"f{row}" for row in range(400))}
    btf = partial(data)
    wrong: list[str] = []

    def look(names: list[str]) -> None:
        wrong.extend(name for name in names if btf.find_all(name) != expected[name])

    threads = [
        threading.Thread(target=look, args=(random.Random(seed).sample(sorted(expected), 60),))
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [btf.record_offset(i) for i in whole] == [whole.record_offset(i) for i in whole]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[BTF, Callable[[], BTF]]]:
    data = KERNEL.read_bytes()
    yield BTF(data, unique_strings=True), lambda: partial(data)


@needs_kernel
def test_the_kernels_names_are_found_as_in_the_whole(
    both: tuple[BTF, Callable[[], BTF]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "lasts", lambda: False)
    whole, opened = both
    btf = opened()
    for type_id in random.Random(7).sample(range(1, len(whole)), 400):
        name = whole.name_of(type_id)
        kind = whole.kind_of(type_id)
        assert btf.find_all(name, kind) == whole.find_all(name, kind)
        assert btf.find(name, kind) == whole.find(name, kind)
        assert btf.type(type_id) == whole.type(type_id)


@needs_kernel
def test_the_kernels_first_types_need_a_part_of_the_walk(
    both: tuple[BTF, Callable[[], BTF]],
) -> None:
    whole, opened = both
    btf = opened()
    task = btf.find("task_struct", Kind.STRUCT)
    assert btf.size_of(task) == whole.size_of(task)
    assert known(btf) < len(whole) / 4
