"""The kept index: the same answers without the walk, and never wrong ones from a bad file."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osmia import cache
from osmia.btf import BTF, BTFBuilder, Kind, index_cache, partial_index, reader
from osmia.btf.index_cache import _HEADER, _PART
from osmia.errors import ObjectFormatError

KERNEL = Path("/sys/kernel/btf/vmlinux")
NAMES = ("int", "pair", "pair___old", "number", "A", "nothing", "")


def sample(*, extra: str = "") -> bytes:
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    b.add_struct("pair", 8, [("l", number, 0), ("r", number, 32)])
    b.add_typedef("number", b.add_const(number))
    b.add_enum("e", [("A", 1)])
    b.add_struct("pair___old", 4, [("l", number, 0)])
    if extra:
        b.add_struct(extra, 4, [("l", number, 0)])
    return b.build().to_bytes()


def opened(data: bytes, identity: str = "") -> BTF:
    return BTF(data, unique_strings=True, keep_index=True, identity=identity)


def answers(btf: BTF) -> list[Any]:
    """All that an index is for."""
    types = [(btf.type(i), btf.name_of(i), btf.kind_of(i)) for i in btf]
    found = [btf.find_all(name) for name in NAMES]
    return [len(btf), types, found, btf.flavoured_strings(), btf.ids_of_kind(Kind.STRUCT)]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """An empty cache; `kept()` are the index files in it."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return lambda: sorted((place / "osmia/btf/indexes").glob("*"))


@pytest.fixture
def no_walk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """`no_walk()`: from here on nobody may walk over the types."""

    def fail(*_: object) -> None:
        raise AssertionError("the types were walked")

    def forbid() -> None:
        monkeypatch.setattr(reader, "index_types", fail)
        monkeypatch.setattr(partial_index.PartialIndex, "_walk_on", _walks_no_further)

    return forbid


def _walks_no_further(index: partial_index.PartialIndex) -> bool:
    assert index.end == len(index._words), "the types were walked"
    return False


def test_the_second_time_nothing_is_walked(
    kept: Callable[[], list[Path]], no_walk: Callable[[], None]
) -> None:
    expected = answers(BTF(sample()))[:-1]
    assert answers(opened(sample()))[:-1] == expected
    assert len(kept()) == 1
    no_walk()
    btf = opened(sample())
    assert [len(btf), *(btf.find_all(name) for name in NAMES)] == [expected[0], *expected[2]]
    assert btf.flavoured_strings() == ["pair___old"]
    assert [(btf.type(i), btf.name_of(i), btf.kind_of(i)) for i in btf] == expected[1]


def test_flavours_are_told_without_a_walk(
    kept: Callable[[], list[Path]], no_walk: Callable[[], None]
) -> None:
    no_walk()
    assert opened(sample()).flavoured_strings() == ["pair___old"]
    assert kept() == []


def test_an_identity_saves_reading_it_all(
    kept: Callable[[], list[Path]], no_walk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(sample(), "this-build").find("int")
    no_walk()
    seen: list[int] = []

    def counted(data: memoryview, value: int = 0) -> int:
        seen.append(len(data))
        return zlib.crc32(data, value)

    monkeypatch.setattr(index_cache, "crc32", counted)
    assert opened(sample(), "this-build").find("int") == 1
    assert sum(seen) < kept()[0].stat().st_size  # of the types nothing


def test_an_identity_of_other_sizes_has_another_index(kept: Callable[[], list[Path]]) -> None:
    opened(sample(), "this-build").find("int")
    other = opened(sample(extra="new"), "this-build")
    assert other.find("new") == len(other) - 1
    assert len(kept()) == 2


def test_other_types_have_another_index(kept: Callable[[], list[Path]]) -> None:
    opened(sample(extra="one")).find("int")
    other = opened(sample(extra="two"))  # of the same size
    assert other.find("two")
    assert not other.find("one")
    assert len(kept()) == 2


def test_only_the_last_indexes_stay(kept: Callable[[], list[Path]]) -> None:
    for number in range(7):
        opened(sample(extra=f"s{number}"), f"boot{number}").find("int")
    assert len(kept()) == 4


def test_without_a_directory_of_ones_own_nothing_is_kept(
    kept: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache/."))
    written: list[object] = []
    monkeypatch.setattr(cache, "write", lambda *given, **_: written.append(given))
    assert answers(opened(sample(), "boot")) == answers(BTF(sample()))
    assert kept() == []
    assert written == []


def test_a_full_disk_changes_nothing(
    kept: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write", full)
    assert answers(opened(sample(), "boot")) == answers(BTF(sample()))


@given(place=st.integers(0, 200), change=st.integers(1, 255), cut=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_noticed(
    place: int, change: int, cut: bool, kept: Callable[[], list[Path]]
) -> None:
    expected = answers(BTF(sample()))
    for left in kept():
        left.unlink()
    opened(sample()).find("int")
    (path,) = kept()
    content = bytearray(path.read_bytes())
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] ^= change
    path.write_bytes(content)
    assert answers(opened(sample())) == expected
    assert answers(opened(sample())) == expected  # from the file that replaced it


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_forged_index_gives_no_wrong_type(
    data: st.DataObject, kept: Callable[[], list[Path]]
) -> None:
    """Checksums are right, numbers are not: what is found is right, or an error of ours."""
    honest = BTF(sample())
    for left in kept():
        left.unlink()
    opened(sample()).find("int")
    (path,) = kept()
    content = bytearray(path.read_bytes())
    magic, version, parts, _ = _HEADER.unpack_from(content)
    body = _HEADER.size + parts * _PART.size
    most = len(sample())
    words = (len(content) - body) // 4
    for word in data.draw(st.lists(st.integers(0, words - 1), min_size=1, max_size=4)):
        number = data.draw(st.integers(0, most) | st.just(0xFFFF_FFFF))
        content[body + 4 * word : body + 4 * word + 4] = number.to_bytes(4, sys.byteorder)
    checksum = zlib.crc32(content[_HEADER.size :])
    path.write_bytes(_HEADER.pack(magic, version, parts, checksum) + content[_HEADER.size :])
    btf = opened(sample())
    for name in NAMES:
        try:
            found = btf.find_all(name)
        except ObjectFormatError:
            assert kept() == []
        else:
            assert set(found) <= set(honest.find_all(name))
    for type_id in honest:
        try:
            assert btf.type(type_id) == honest.type(type_id)
            assert btf.name_of(type_id) == honest.name_of(type_id)
        except ObjectFormatError:
            continue
    assert btf.ids_of_kind(Kind.STRUCT) == honest.ids_of_kind(Kind.STRUCT)


WRITER = """
import sys
from osmia.btf import BTF
data = open(sys.argv[1], "rb").read()
for _ in range(40):
    btf = BTF(data, unique_strings=True, keep_index=True, identity="boot")
    assert btf.find_all("pair") == (2,), btf.find_all("pair")
    assert btf.flavoured_strings() == ["pair___old"]
"""


def test_writers_at_the_same_time_do_not_disturb_each_other(
    kept: Callable[[], list[Path]], tmp_path: Path
) -> None:
    (tmp_path / "btf").write_bytes(sample())
    command = [sys.executable, "-c", WRITER, str(tmp_path / "btf")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    for _ in range(200):
        for path in kept():
            path.unlink(missing_ok=True)
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3


@pytest.mark.skipif(not KERNEL.exists(), reason="this kernel shows no BTF")
def test_the_kernels_own_index(kept: Callable[[], list[Path]], no_walk: Callable[[], None]) -> None:
    data = KERNEL.read_bytes()
    plain = BTF(data)
    plain.find("int")
    first = opened(data)
    assert len(first) == len(plain)
    first.flavoured_strings()
    (path,) = kept()
    assert path.stat().st_size < len(data) / 4
    no_walk()
    btf = opened(data)
    assert len(btf) == len(plain)
    for name in ("task_struct", "sk_buff", "u8", "list_head", "bpf_prog_test_run_xdp", "nowhere"):
        assert btf.find_all(name) == plain.find_all(name)
    for type_id in range(1, len(plain), 997):
        assert btf.type(type_id) == plain.type(type_id)
    assert btf.flavoured_strings() == plain.flavoured_strings()


OPENER = """
import os
from osmia.btf import kernel_btf
before = set(os.listdir("/proc/self/fd"))
kernel_btf().find("task_struct")
opened = [os.readlink("/proc/self/fd/" + fd) for fd in set(os.listdir("/proc/self/fd")) - before
          if os.path.lexists("/proc/self/fd/" + fd)]
print(*opened)
"""


@pytest.mark.skipif(not KERNEL.exists(), reason="this kernel shows no BTF")
def test_reading_the_kernels_types_keeps_at_most_their_own_descriptor() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENER], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() in ([], [str(KERNEL)])
