"""Published objects: found by any process, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import ast
import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia
from osmia.errors import ClosedError, KernelError
from osmia.kernel.libraries import library as library_module
from osmia.kernel.libraries import listing, record
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.sys.pins import PinNameError
from osmia.passes.running import running_version

from ...killed import killed_everywhere

pytestmark = pytest.mark.kernel


def entries(directory: Path) -> set[str]:
    return set(os.listdir(directory)) if directory.exists() else set()  # noqa: PTH208


def version_of(name: str, root: Path) -> int:
    """The version that is found now, all of whose parts are there; 0: none."""
    try:
        with osmia.library(name, root=root) as lib:
            assert set(lib.maps) == {"flows", ".rodata", ".bss", ".data.custom"}
            assert lib.data["limit"] == 5
            return lib.version
    except KernelError as error:
        assert "nothing is published" in str(error)
        return 0


def test_a_library_is_the_object_and_its_living_maps(loaded: KernelObject, root: Path) -> None:
    loaded.maps["flows"][7] = {"packets": 1, "bytes": 60}
    info = osmia.publish(loaded, "conntrack", root=root)
    with osmia.library("conntrack", root=root) as lib:
        assert (lib.name, lib.version, lib.header) == ("conntrack", 1, info.header)
        assert lib.digest == hashlib.sha256(loaded.source.to_bytes()).hexdigest()
        assert lib.object.digest == loaded.source.digest
        assert lib.object.name == loaded.name
        assert lib.maps["flows"].id == loaded.maps["flows"].id
        assert lib.maps["flows"][7].bytes == 60
        lib.data["lookups"] = 41
        assert loaded.data["lookups"] == 41
        loaded.data["level"] = 9
        assert lib.data["level"] == 9
        with pytest.raises(osmia.ReadOnlyError):
            lib.data["limit"] = 1
        with pytest.raises(KeyError, match="did you mean 'flows'"):
            lib.maps["flow"]
    assert lib.closed
    with pytest.raises(ClosedError), lib:
        pass


def test_variables_in_an_arena_are_there_where_it_can_be_mapped(root: Path) -> None:
    if running_version() < 6 << 16 | 9 << 8:
        pytest.skip("arenas are since Linux 6.9")
    source = """
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    struct {
        __uint(type, BPF_MAP_TYPE_ARENA);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 2);
        __ulong(map_extra, 1ull << 44);
    } arena SEC(".maps");
    int __attribute__((address_space(1))) within = 5;
    int beside = 6;
    SEC("syscall") int all(void *ctx) { return within + beside; }
    """
    with osmia.compile(source, name="arenas").load() as bpf:
        osmia.publish(bpf, "arenas", root=root)
        assert bpf.data["within"] == 5
        with osmia.library("arenas", root=root) as lib:  # which this process has mapped already
            assert dict(lib.data) == {"beside": 6}
    command = "import osmia, sys; print(dict(osmia.library('arenas', root=sys.argv[1]).data))"
    other = subprocess.run(
        [sys.executable, "-c", command, str(root)], check=True, capture_output=True, text=True
    )
    assert ast.literal_eval(other.stdout) == {"within": 5, "beside": 6}


READER = """
import sys, osmia
with osmia.library("conntrack", root=sys.argv[1]) as lib:
    print(lib.object.data["limit"], lib.maps["flows"][7].packets, lib.data["lookups"])
    lib.data["lookups"] += 1
    lib.maps["flows"][8] = {"packets": 2, "bytes": 0}
"""


def test_another_process_shares_its_state_also_when_the_publisher_is_gone(
    conn: osmia.Object, root: Path
) -> None:
    with conn.load() as bpf:
        bpf.maps["flows"][7] = {"packets": 5, "bytes": 60}
        bpf.data["lookups"] = 40
        osmia.publish(bpf, "conntrack", root=root)
    command = [sys.executable, "-c", READER, str(root)]
    read = subprocess.run(command, check=True, capture_output=True, text=True)
    assert read.stdout == "5 5 40\n"
    with osmia.library("conntrack", root=root) as lib:
        assert lib.data["lookups"] == 41
        assert sorted(lib.maps["flows"]) == [7, 8]


def test_what_was_changed_after_the_load_is_not_published(conn: osmia.Object, root: Path) -> None:
    mine = conn.copy()
    mine.data["limit"] = 6
    with mine.load() as bpf:
        mine.data["limit"] = 7
        osmia.publish(bpf, "conntrack", root=root)
    with osmia.library("conntrack", root=root) as lib:
        assert lib.object.data["limit"] == lib.data["limit"] == 6


def test_a_new_version_is_what_is_found_and_leaves_the_old_one_to_those_who_have_it(
    conn: osmia.Object, loaded: KernelObject, root: Path
) -> None:
    assert osmia.publish(loaded, "conntrack", root=root).version == 1
    with osmia.library("conntrack", root=root) as before, conn.load() as newer:
        newer.data["lookups"] = 5
        assert osmia.publish(newer, "conntrack", root=root).version == 2
        with osmia.library("conntrack", root=root) as now:
            assert (before.version, now.version) == (1, 2)
            assert (before.data["lookups"], now.data["lookups"]) == (0, 5)
            assert before.maps["flows"].id == loaded.maps["flows"].id
    assert entries(root / "conntrack") == {"2"}


def test_removed_it_is_gone_but_for_those_who_have_it(loaded: KernelObject, root: Path) -> None:
    osmia.publish(loaded, "conntrack", root=root)
    osmia.publish(loaded, "other", root=root)
    with osmia.library("conntrack", root=root) as lib:
        listing.remove("conntrack", root=root)
        lib.data["lookups"] = 3
        with pytest.raises(KernelError, match=r"ENOENT.*no library 'conntrack'"):
            osmia.library("conntrack", root=root)
        with pytest.raises(KernelError, match="ENOENT"):
            listing.remove("conntrack", root=root)
    assert entries(root) == {"other"}
    assert loaded.data["lookups"] == 3


def test_the_programs_that_use_it_are_known(
    conn: osmia.Object, loaded: KernelObject, root: Path
) -> None:
    info = osmia.publish(loaded, "conntrack", root=root)
    maps = {"flows": loaded.maps["flows"]}
    with conn.load(maps=maps) as other, conn.load() as stranger:
        users = {each.id for each in listing.users(info)}
        assert users >= {loaded.programs["ingress"].id, other.programs["ingress"].id}
        assert stranger.programs["ingress"].id not in users


def test_all_are_listed(loaded: KernelObject, root: Path) -> None:
    assert listing.published(root) == []
    osmia.publish(loaded, "one", root=root)
    info = osmia.publish(loaded, "two", root=root)
    one, two = listing.published(root)
    assert (one.name, two.name) == ("one", "two")
    assert two == info == listing.described("two", root)
    assert two.maps == (".bss", ".data.custom", ".rodata", "flows")
    assert two.header is not None
    assert (two.header.publisher, two.header.object_name) == (osmia.__version__, "conn")
    assert listing.described("three", root) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../out", "a/b", "a.b", "a\0", "ä", "x" * 65, "osmia_staged_1"]
)
def test_names_never_leave_the_directory(name: str, loaded: KernelObject, bpffs: Path) -> None:
    root = bpffs / "deep" / "libraries"
    uses: list[Callable[[], object]] = [
        lambda: osmia.publish(loaded, name, root=root),
        lambda: osmia.library(name, root=root),
        lambda: listing.remove(name, root=root),
        lambda: listing.described(name, root=root),
    ]
    for use in uses:
        with pytest.raises(PinNameError, match="is no library's name"):
            use()
    assert entries(bpffs) == set()


def test_what_cannot_be_published_leaves_nothing(
    conn: osmia.Object, loaded: KernelObject, bpffs: Path, tmp_path: Path
) -> None:
    with pytest.raises(KernelError, match="is not in a bpffs"):
        osmia.publish(loaded, "conntrack", root=tmp_path / "libraries")
    with conn.load() as closed:
        pass
    with pytest.raises(ClosedError):
        osmia.publish(closed, "conntrack", root=bpffs)
    assert entries(tmp_path) == entries(bpffs) == set()


def test_another_users_library_is_not_used(loaded: KernelObject, root: Path) -> None:
    osmia.publish(loaded, "conntrack", root=root)
    os.chown(root / "conntrack", 4711, 4711)
    with pytest.raises(osmia.BpfPermissionError, match="belongs to user 4711"):
        osmia.library("conntrack", root=root)
    with pytest.raises(osmia.BpfPermissionError, match="belongs to user 4711"):
        osmia.publish(loaded, "conntrack", root=root)
    (info,) = listing.published(root)
    assert "belongs to user 4711" in info.problem
    assert info.header is None
    os.chown(root / "conntrack", 0, 0)
    assert version_of("conntrack", root) == 1


@pytest.mark.slow
def test_killed_while_publishing_there_is_the_old_version_or_the_new_one(
    loaded: KernelObject, root: Path
) -> None:
    osmia.publish(loaded, "conntrack", root=root)
    seen = set()
    version = 1
    for _ in killed_everywhere(lambda: osmia.publish(loaded, "conntrack", root=root)):
        found = version_of("conntrack", root)
        assert found in (version, version + 1)
        seen.add(found - version)
        version = osmia.publish(loaded, "conntrack", root=root).version
        assert version == found + 1
        assert entries(root / "conntrack") == {str(version)}
        assert entries(root) == {"conntrack"}
    assert seen == {0, 1}


@pytest.mark.slow
def test_killed_while_publishing_first_there_is_a_whole_library_or_none(
    loaded: KernelObject, root: Path
) -> None:
    seen = set()
    for _ in killed_everywhere(lambda: osmia.publish(loaded, "conntrack", root=root)):
        found = version_of("conntrack", root)
        seen.add(found)
        osmia.publish(loaded, "conntrack", root=root)
        assert entries(root / "conntrack") == {str(found + 1)}
        listing.remove("conntrack", root=root)
        root.rmdir()
        assert entries(root.parent) == set()
    assert seen == {0, 1}


@pytest.mark.slow
def test_killed_while_removing_it_is_whole_or_gone(loaded: KernelObject, root: Path) -> None:
    seen = set()
    osmia.publish(loaded, "conntrack", root=root)
    for _ in killed_everywhere(lambda: listing.remove("conntrack", root=root)):
        found = version_of("conntrack", root)
        seen.add(found)
        osmia.publish(loaded, "conntrack", root=root)
        listing.remove("conntrack", root=root)
        assert entries(root) == set()
        osmia.publish(loaded, "conntrack", root=root)
    assert seen == {0, 1}


def in_processes(count: int, work: Callable[[int], object]) -> None:
    """Do `work` in so many processes at once; each comes to its end."""
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            status = 1
            try:
                work(number)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * count


def test_who_reads_while_others_publish_gets_a_whole_library(
    loaded: KernelObject, root: Path
) -> None:
    osmia.publish(loaded, "conntrack", root=root)
    rounds = 12

    def work(number: int) -> None:
        for _ in range(rounds):
            if number < 2:
                osmia.publish(loaded, "conntrack", root=root)
            else:
                assert version_of("conntrack", root)

    in_processes(4, work)
    assert version_of("conntrack", root) == 1 + 2 * rounds
    assert entries(root / "conntrack") == {str(1 + 2 * rounds)}


def test_the_object_map_is_frozen(loaded: KernelObject, root: Path) -> None:
    info = osmia.publish(loaded, "conntrack", root=root)
    with osmia.Map.from_pin(info.path / "object") as stored:
        assert stored.info.frozen
        assert struct.unpack_from("<8sI", stored[0]) == (b"osmialib", 1)
        with pytest.raises(osmia.BpfPermissionError):
            stored[0] = bytes(4096)


def test_a_library_that_is_replaced_while_it_is_opened_is_the_new_one_and_not_both(
    conn: osmia.Object, loaded: KernelObject, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = osmia.compile("int other = 1;\n")
    osmia.publish(loaded, "conntrack", root=root)
    read = library_module.read_object
    replaced: list[listing.LibraryInfo] = []

    def read_and_replaced(name: str, place: Path) -> tuple[record.Header, osmia.Object]:
        found = read(name, place)
        if not replaced:  # the same path has another library when its maps are opened
            listing.remove("conntrack", root=root)
            with other.load() as bpf:
                replaced.append(osmia.publish(bpf, "conntrack", root=root))
            assert replaced[0].path == place
        return found

    monkeypatch.setattr(library_module, "read_object", read_and_replaced)
    with osmia.library("conntrack", root=root) as lib:
        assert lib.data["other"] == 1
        assert set(lib.maps) == {".data"}
