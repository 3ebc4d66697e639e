"""The cache is shared by processes and trusted by nobody who should not."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from osmia import cache


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for one test."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
NOBODY = 65534


def test_what_is_written_is_read(fresh_cache: Path) -> None:
    assert cache.read("objects", "a") is None
    path = cache.write("objects", "a", b"content")
    assert cache.read("objects", "a") == b"content"
    assert path.is_relative_to(fresh_cache)


def test_the_directory_is_private(fresh_cache: Path) -> None:
    cache.write("objects", "a", b"content")
    for place in (fresh_cache / "osmia", fresh_cache / "osmia/objects"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@needs_root
def test_another_user_s_directory_is_not_used(fresh_cache: Path) -> None:
    planted = fresh_cache / "osmia/objects"
    planted.mkdir(parents=True)
    (planted / "planted").write_bytes(b"planted")
    os.chown(fresh_cache / "osmia", NOBODY, NOBODY)
    assert cache.read("objects", "planted") is None
    assert not cache.write("objects", "b", b"mine").is_relative_to(fresh_cache)


@needs_root
def test_a_directory_below_another_user_s_is_not_used(fresh_cache: Path) -> None:
    (fresh_cache / "osmia").mkdir()
    os.chown(fresh_cache, NOBODY, NOBODY)
    assert not cache.directory("objects").is_relative_to(fresh_cache)


def test_a_directory_that_others_may_write_is_not_used(fresh_cache: Path) -> None:
    (fresh_cache / "osmia").mkdir()
    (fresh_cache / "osmia").chmod(0o777)
    assert not cache.directory("objects").is_relative_to(fresh_cache)


def test_a_link_into_an_open_directory_is_not_used(fresh_cache: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "open"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (fresh_cache / "osmia").symlink_to(elsewhere)
    assert not cache.directory("objects").is_relative_to(elsewhere)


def test_the_stand_in_goes_away_with_the_process(tmp_path: Path) -> None:
    code = "from osmia import cache; print(cache.write('objects', 'a', b'x'))"
    environment = {"HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_only_a_directory_of_ones_own_lasts(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache.lasts()
    fresh_cache.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{fresh_cache}/.")
    assert not cache.lasts()
    first = cache.write("objects", "a", b"content")
    assert not first.is_relative_to(fresh_cache)
    assert cache.read("objects", "a") == b"content"


def test_what_only_helps_may_fail_to_be_written(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    cache.write_if_possible("objects", "a", b"content")
    assert cache.read("objects", "a") is None
    assert not cache.write("objects", "a", b"content").is_relative_to(fresh_cache)
    assert list(cache.directory("objects").iterdir()) == []


def test_concurrent_writers_leave_one_whole_entry(fresh_cache: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    seen: list[bytes | None] = []

    def write(content: bytes) -> None:
        cache.write("objects", "same", content)
        seen.append(cache.read("objects", "same"))

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(content in contents for content in seen)
    assert [path.name for path in cache.directory("objects").iterdir()] == ["same"]


def test_only_the_entries_used_last_are_kept(fresh_cache: Path) -> None:
    for number in range(5):
        path = cache.write("objects", str(number), b"x")
        os.utime(path, (number, number))
    cache.prune(cache.directory("objects"), 2)
    assert sorted(path.name for path in cache.directory("objects").iterdir()) == ["3", "4"]


def test_what_killed_writers_left_goes_in_time(fresh_cache: Path) -> None:
    folder = cache.directory("objects")
    for name in (".a.0001", ".a.0002"):
        (folder / name).write_bytes(b"half")
    os.utime(folder / ".a.0001", (0, 0))
    cache.write("objects", "a", b"content")
    assert sorted(path.name for path in folder.iterdir()) == [".a.0002", "a"]


def test_off_means_that_nothing_is_read_or_kept(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write("off", "kept", b"content")
    monkeypatch.setenv("OSMIA_CACHE", "off")
    assert not cache.lasts()
    assert cache.read("off", "kept") is None
    assert not cache.write("off", "not kept", b"mine").is_relative_to(fresh_cache)
    monkeypatch.delenv("OSMIA_CACHE")
    assert cache.read("off", "kept") == b"content"
    assert cache.read("off", "not kept") is None


def test_the_environment_names_another_directory_for_all_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osmia.vm.jit import cache as compiled

    other = tmp_path / "other"
    monkeypatch.setenv("OSMIA_CACHE", str(other))
    assert cache.write("objects", "a", b"content") == other / "objects" / "a"
    assert compiled.directory() == other / "jit"
    other.chmod(0o777)
    cache._private_roots.clear()
    assert not cache.lasts() and compiled.directory() is None
    for nothing in ("off", "", "relative/path"):
        monkeypatch.setenv("OSMIA_CACHE", nothing)
        assert not cache.lasts() and compiled.directory() is None


@needs_root
def test_a_full_cache_is_no_reason_to_fail(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *arguments: object, **options: object) -> None:
        if path.is_relative_to(fresh_cache):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        path.write_bytes(b"content")

    monkeypatch.setattr(cache, "write_whole", full)
    path = cache.write("objects", "a", b"content")
    assert not path.is_relative_to(fresh_cache) and path.read_bytes() == b"content"


def test_a_cache_without_room_for_a_directory_is_none(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fresh_cache / "osmia").mkdir(mode=0o700)
    (fresh_cache / "osmia/objects").touch()  # as good as a full disk: no directory can be made
    assert not cache.write("objects", "a", b"content").is_relative_to(fresh_cache)
