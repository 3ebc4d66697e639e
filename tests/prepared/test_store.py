"""What a kept load depends on: change any of it between two loads, and it is not taken."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import osmia
from osmia import build_ids, cache
from osmia.kernel.load.keeping import NotKeptError, prepare_file
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.replayed import ReplayedObject
from osmia.object import declaration_tags, map_attributes
from osmia.object.model import Object
from osmia.prepared import identities, store
from osmia.records import replace
from osmia.toolchain import compile as compile_source

from .conftest import Forget, is_unread

pytestmark = pytest.mark.kernel

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def again(small: Path, forget: Forget) -> Callable[[], Object]:
    """`again()`: the small object, which was loaded before, opened as in another process."""
    osmia.open(small).load().close()

    def opened() -> Object:
        forget()
        return osmia.open(small)

    return opened


def is_replayed(obj: Object, **options: object) -> bool:
    with obj.load(**options) as bpf:  # type: ignore[call-overload]
        assert isinstance(bpf, KernelObject)
        kind: type = type(bpf)
        assert {*bpf.programs} == {"ingress", "egress"}
        return kind is ReplayedObject


def test_it_is_taken_where_nothing_changed(again: Callable[[], Object]) -> None:
    assert is_replayed(again())


def test_other_bytes(again: Callable[[], Object], small: Path) -> None:
    again()
    small.write_bytes(small.read_bytes() + b"\0")
    assert not is_replayed(again())


def test_another_name(again: Callable[[], Object], small: Path, forget: Forget) -> None:
    again()
    forget()
    with osmia.open(small, name="other").load() as bpf:
        assert type(bpf) is KernelObject
        assert bpf.name == "other"


def test_the_file_s_own_name_that_is_given(
    again: Callable[[], Object], small: Path, forget: Forget
) -> None:
    """An Object has the file's name up to its first dot, and all of a name that is given."""
    again()
    for source in (small, small.read_bytes()):
        forget()
        with osmia.open(source, name=small.name).load() as bpf:
            assert bpf.name == small.name
    assert is_replayed(again())


def test_an_edit_of_data(again: Callable[[], Object]) -> None:
    obj = again()
    obj.data["limit"] = 3
    with obj.load() as bpf:
        assert type(bpf) is KernelObject
        assert bpf.data["limit"] == 3
    assert is_replayed(again())  # and the edit is not what was kept


def test_an_edit_is_not_kept(small: Path, forget: Forget, kept: Path) -> None:
    obj = osmia.open(small)
    obj.data["limit"] = 3
    obj.load().close()
    assert not [*kept.glob("*")]
    forget()
    assert osmia.open(small).data["limit"] == 7


def test_autoload(again: Callable[[], Object]) -> None:
    obj = again()
    obj.set_autoload("egress", False)
    with obj.load() as bpf:
        assert [*bpf.programs] == ["ingress"]


def test_a_replaced_definition(again: Callable[[], Object]) -> None:
    obj = again()
    obj.maps["flows"] = replace(obj.maps["flows"], max_entries=100)
    with obj.load() as bpf:
        assert bpf.maps["flows"].max_entries == 100


def test_a_replaced_license(again: Callable[[], Object]) -> None:
    obj = again()
    obj.license = "Proprietary"
    with obj.load() as bpf:
        assert not bpf.programs["egress"].info.gpl_compatible


OPTIONS: dict[str, dict[str, object]] = {
    "log_level": {"log_level": 4},
    "prune": {"prune": True},
    "calls": {"calls": "inline"},
    "passes": {"passes": [lambda obj: obj]},
    "target": {"target": osmia.Target.running()},
    "token": {"token": ""},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_load(option: str, again: Callable[[], Object]) -> None:
    assert not is_replayed(again(), **OPTIONS[option])


@pytest.mark.parametrize("option", OPTIONS)
def test_loads_with_options_are_not_kept(option: str, small: Path, kept: Path) -> None:
    assert not is_replayed(osmia.open(small), **OPTIONS[option])
    assert not [*kept.glob("*")]


def test_an_option_that_says_nothing(again: Callable[[], Object], tmp_path: Path) -> None:
    assert is_replayed(again(), pin_root=tmp_path, maps={}, target=None)
    with pytest.raises(TypeError, match="pin_rot"):
        again().load(pin_rot="/")  # type: ignore[call-overload]


def test_the_environment_s_token(
    again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBBPF_BPF_TOKEN_PATH", "/nowhere")
    with pytest.raises(osmia.KernelError, match="token"):
        again().load()


def test_a_map_attribute_that_is_registered(
    again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_attributes, "_ATTRIBUTES", {**map_attributes._ATTRIBUTES})
    map_attributes.register(map_attributes.MapAttribute("tenant"))
    assert not is_replayed(again())


def test_a_declaration_tag_that_is_registered(
    again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declaration_tags, "_TAGS", {**declaration_tags._TAGS})
    tag = declaration_tags.DeclarationTag("word", "nothing", lambda obj, name, text: obj)
    declaration_tags.register(tag)
    assert not is_replayed(again())


@pytest.mark.parametrize("part", ["__version__", "_sources"])
def test_osmia_itself(
    part: str, again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = "9.9" if part == "__version__" else (lambda engine: "other files")
    monkeypatch.setattr(identities, part, changed)
    assert not is_replayed(again())


def test_sources_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "osmia"
    for folder in (*identities._SOURCES, *identities._ENGINES["kernel"]):
        (package / folder).mkdir(parents=True)
    source = package / "passes" / "core.py"
    source.write_text("before")
    monkeypatch.setattr(identities, "_PACKAGE", str(package))
    monkeypatch.setattr(identities, "_folders", {})
    before = identities._sources("kernel")
    source.write_text("and after")
    identities._folders.clear()  # as of another process
    assert identities._sources("kernel") != before
    listed = tmp_path / f"osmia-{osmia.__version__}.dist-info"
    listed.mkdir()
    (listed / "RECORD").write_text("osmia/passes/core.py,sha256=…,6")
    installed = identities._sources("kernel")
    source.write_text("the installer's list is what counts")
    assert identities._sources("kernel") == installed != before


def test_nothing_is_kept_where_osmia_has_no_files(
    small: Path, forget: Forget, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is imported from an archive, or frozen into a program."""
    monkeypatch.setattr(identities, "_PACKAGE", "/nothing/osmia.zip/osmia")
    for _ in range(2):
        forget()
        assert not is_replayed(osmia.open(small))
    with pytest.raises(NotKeptError, match="archive"):
        prepare_file(small)
    assert not [*kept.glob("*")]


def test_a_machine_of_another_page_size(
    again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 65536)
    assert not is_unread(again())


KERNEL_SOURCE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "GPL";
SEC("kprobe/do_nanosleep") int probe(void *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    return BPF_CORE_READ(task, tgid);
}
"""


@pytest.mark.slow
def test_another_kernel_counts_where_its_types_were_asked(
    tmp_path: Path, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "core.bpf.o"
    path.write_bytes(compile_source(KERNEL_SOURCE).data)
    osmia.open(path).load().close()
    forget()
    assert is_unread(osmia.open(path))
    forget()
    monkeypatch.setitem(build_ids._known, "kernel", "another")
    assert not is_unread(osmia.open(path))


MODULE_SOURCE = KERNEL_SOURCE.replace(
    'SEC("kprobe',
    'struct nobody_has_this { int a; } __attribute__((preserve_access_index));\nSEC("kprobe',
).replace("return ", "if (bpf_core_type_exists(struct nobody_has_this)) return 1; return ")


@pytest.mark.slow
def test_other_modules_count_where_modules_were_searched(
    tmp_path: Path, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "core.bpf.o"
    path.write_bytes(compile_source(MODULE_SOURCE).data)
    osmia.open(path).load().close()
    forget()
    assert is_unread(osmia.open(path))
    forget()
    monkeypatch.setattr(store, "modules_identity", lambda: "others")
    assert not is_unread(osmia.open(path))


@pytest.mark.slow
def test_a_module_that_comes_between_open_and_load_counts(
    tmp_path: Path, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "core.bpf.o"
    path.write_bytes(compile_source(MODULE_SOURCE).data)
    osmia.open(path).load().close()
    forget()
    obj = osmia.open(path)
    with obj.load() as bpf:
        kind: type = type(bpf)
        assert kind is ReplayedObject
    assert is_unread(obj)
    monkeypatch.setattr(identities, "_BOOT", "/proc/version")
    with obj.load() as bpf:
        assert type(bpf) is KernelObject


@pytest.mark.slow
def test_a_module_that_comes_during_a_load_leaves_it_unkept(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "core.bpf.o"
    path.write_bytes(compile_source(MODULE_SOURCE).data)
    monkeypatch.setattr(store, "modules_identity", lambda: "others")
    osmia.open(path).load().close()
    assert not [*kept.glob("*")]


def _replace(path: Path) -> None:
    """Another file of that name, as when a module is loaded again."""
    other = path.with_name("other")
    other.touch()
    other.rename(path)


def test_modules_are_told_by_name_inode_and_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(build_ids._known, "kernel", "kernel")
    boot, types = tmp_path / "boot", tmp_path / "types"
    boot.write_text("one")
    types.mkdir()
    (types / "vmlinux").touch()
    monkeypatch.setattr(identities, "_BOOT", str(boot))
    monkeypatch.setattr(identities, "_TYPES", str(types))
    seen = [identities.modules_identity()]
    for change in (
        (types / "nf_nat").touch,
        partial(_replace, types / "nf_nat"),
        partial(boot.write_text, "two"),
    ):
        assert identities.modules_identity() == seen[-1]
        change()
        seen.append(identities.modules_identity())
    assert len(set(seen)) == 4
    monkeypatch.setattr(identities, "_BOOT", "/nowhere")
    assert identities.modules_identity() == ""


def test_another_kernel_does_not_count_where_nothing_was_asked(
    again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(build_ids._known, "kernel", "another")
    assert is_replayed(again())


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_not_taken_and_replaced(
    seed: int, again: Callable[[], Object], kept: Path
) -> None:
    chance = random.Random(seed)
    (path,) = kept.iterdir()
    whole = path.read_bytes()
    for _ in range(10):
        damaged = bytearray(whole)
        if chance.randrange(2):
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        assert not is_replayed(again())
        assert path.read_bytes() == whole
    assert is_replayed(again())


def test_a_file_that_others_could_change_is_not_read(
    again: Callable[[], Object], kept: Path
) -> None:
    (path,) = kept.iterdir()
    path.chmod(0o666)
    assert not is_unread(again())
    path.chmod(0o600)
    assert is_unread(again())


def test_a_directory_that_others_could_write_to_is_not_read(
    again: Callable[[], Object], kept: Path
) -> None:
    kept.chmod(0o777)
    assert not is_unread(again())
    kept.chmod(0o700)
    kept.parent.chmod(0o777)
    cache._private_roots.clear()
    assert not is_unread(again())


@needs_root
def test_a_file_of_another_user_is_not_read(again: Callable[[], Object], kept: Path) -> None:
    (path,) = kept.iterdir()
    os.chown(path, NOBODY, NOBODY)
    assert not is_unread(again())


def test_a_link_is_not_followed(again: Callable[[], Object], kept: Path, tmp_path: Path) -> None:
    (path,) = kept.iterdir()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not is_unread(again())


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/nothing")])
def test_what_is_no_file_is_not_waited_for_and_replaced_if_it_can_be(
    put: Callable[[Path], None], again: Callable[[], Object], kept: Path
) -> None:
    (path,) = kept.iterdir()
    path.unlink()
    put(path)
    assert not is_replayed(again())
    assert is_replayed(again()) == (not path.is_dir())
    assert [*kept.iterdir()] == [path]


def test_a_link_s_file_is_not_written_to(
    again: Callable[[], Object], kept: Path, tmp_path: Path
) -> None:
    (path,) = kept.iterdir()
    path.unlink()
    other = tmp_path / "precious"
    other.write_bytes(b"mine")
    path.symlink_to(other)
    assert not is_replayed(again())
    assert is_replayed(again())
    assert other.read_bytes() == b"mine"


def test_nothing_is_kept_where_others_can_write(small: Path, forget: Forget, kept: Path) -> None:
    kept.mkdir(parents=True)
    kept.chmod(0o777)
    osmia.open(small).load().close()
    with pytest.raises(NotKeptError):
        prepare_file(small)
    assert not [*kept.iterdir()]


def test_nothing_is_kept_without_a_cache(
    small: Path, forget: Forget, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMIA_CACHE", "off")
    osmia.open(small).load().close()
    forget()
    assert not is_unread(osmia.open(small))
    assert not [*kept.glob("*")]


def test_what_an_image_has_is_taken_where_nothing_can_be_written(
    again: Callable[[], Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with a read-only root, whose image was prepared."""
    again()
    monkeypatch.setattr(cache, "_private_roots", {})
    monkeypatch.setattr("os.access", lambda place, mode: False)
    assert cache.root() is None
    assert is_replayed(again())


def test_processes_that_load_at_once_keep_one(small: Path, kept: Path) -> None:
    code = f"import osmia; osmia.open({str(small)!r}).load().close()"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len([*kept.iterdir()]) == 1
    assert is_unread(osmia.open(small))


def test_types_that_are_mounted_over_the_kernel_s_are_not_its_build_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vmlinux").write_bytes(b"other types")
    for types in (tmp_path / "vmlinux", tmp_path / "nothing"):
        monkeypatch.setattr(build_ids, "_known", {})
        monkeypatch.setattr(build_ids, "_TYPES", str(types))
        assert build_ids.kernel_build_id() == ""


def test_a_file_whose_name_is_no_text_is_kept_too(small: Path, forget: Forget) -> None:
    odd = os.fsencode(small.parent) + b"/caf\xe9.bpf.o"
    path = os.fsdecode(odd)
    Path(path).write_bytes(small.read_bytes())
    osmia.open(path).load().close()
    forget()
    with osmia.open(path).load() as bpf:
        assert type(bpf) is not KernelObject
        assert bpf.name == os.fsdecode(b"caf\xe9")
