"""Targets that stand for another machine in every part, and the one that runs here."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import ObjectFormatError, OsmiaError, RelocationError
from osmia.object.model import DataSection, ExternKind, Object, RelocationKind
from osmia.passes import kernel_files, prepare, running
from osmia.passes.running import RunningKernel, running_version
from osmia.passes.target import Target

from .machines import CONFIG, RELEASE, Asking, asking_everything, files_in, kernel_types


@pytest.fixture
def made_up(tmp_path: Path) -> Target:
    files: dict[str, Any] = {**files_in(tmp_path)}
    modules = {"extra": files.pop("extra")}
    return Target.from_files(**files, modules=modules, release=RELEASE)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails whoever looks at the kernel that runs here."""

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("the running kernel was asked")

    for name in ("kernel_btf", "module_btf", "module_names", "read_symbols", "read_config"):
        monkeypatch.setattr(running, name, refuse)
    monkeypatch.setattr(os, "uname", refuse)


def config_of(obj: Object) -> dict[str, int]:
    section: DataSection = obj.data_sections[".kconfig"]
    return {
        name: int.from_bytes(section.contents[v.offset : v.offset + v.size], "little")
        for name, v in section.variables.items()
    }


@pytest.mark.usefixtures("elsewhere")
def test_an_object_is_made_ready_for_another_machine_alike_on_any(made_up: Target) -> None:
    """Code, relocations and data for a kernel that never was: the same wherever this runs."""
    layout = (prepared := prepare(asking_everything(), made_up)).layout("p")
    assert config_of(prepared.object) == {
        "LINUX_KERNEL_VERSION": 6 << 16 | 1 << 8 | 76,
        "CONFIG_HZ": 250,
        "CONFIG_SMP": 0,
        "LINUX_HAS_SYSCALL_WRAPPER": 1,
        "LINUX_HAS_BPF_COOKIE": 1,
    }
    types = kernel_types()
    kinds = RelocationKind
    assert [each[1:4] for each in layout.relocations[5:]] == [
        (kinds.KERNEL_SYMBOL, "jiffies_64", 0),
        (kinds.KERNEL_VARIABLE, "vmlinux", types.find("a_variable")),
        (kinds.KERNEL_VARIABLE, "extra", len(types) + 2),
        (kinds.KERNEL_FUNCTION, "vmlinux", types.find("bpf_count")),
        (kinds.KERNEL_FUNCTION, "extra", len(types) + 1),
    ]
    assert [what for _, what in layout.unresolved] == [
        "the kernel has no function 'bpf_gone' that fits the declaration",
        "CO-RE: the kernel's types have no task_struct.warp",
    ]
    seen = hashlib.sha256(layout.code + prepared.object.data_sections[".kconfig"].contents)
    assert seen.hexdigest() == ("134bdbee056320f766ee1d93e117aaf04a552d40f1b1620fa83f32ed9ddb797b")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("ask", "part"),
    [
        (lambda a: a.address("CONFIG_HZ", ExternKind.KCONFIG, a.number), "configuration"),
        (
            lambda a: a.address("CONFIG_HZ", ExternKind.KCONFIG, a.number, weak=True),
            "configuration",
        ),
        (lambda a: a.address("LINUX_KERNEL_VERSION", ExternKind.KCONFIG, a.number), "version"),
        (lambda a: a.address("LINUX_HAS_BPF_COOKIE", ExternKind.KCONFIG, a.bool), "version"),
        (
            lambda a: a.address("LINUX_HAS_SYSCALL_WRAPPER", ExternKind.KCONFIG, a.bool),
            "symbols",
        ),
        (lambda a: a.address("jiffies_64", ExternKind.KSYM, 0, weak=True), "symbols"),
        (lambda a: a.address("a_variable", ExternKind.KSYM, a.number, weak=True), "types"),
        (lambda a: a.call("bpf_count", a.number, weak=True), "types"),
        (lambda a: a.field("r1 = *(u32 *)(r1 +0)", a.task), "types"),
    ],
)
def test_a_part_that_a_target_does_not_tell_is_an_error_that_names_it(
    ask: Callable[[Asking], Asking], part: str
) -> None:
    obj = ask(Asking()).line("exit").object()
    with pytest.raises(RelocationError, match=f"the target does not tell its {part}; make it with"):
        prepare(obj, Target())


@pytest.mark.usefixtures("elsewhere")
def test_what_an_extern_asks_is_in_the_error() -> None:
    obj = Asking().address("jiffies_64", ExternKind.KSYM, 0).line("exit").object()
    with pytest.raises(RelocationError, match="extern 'jiffies_64': the target does not tell"):
        prepare(obj, Target())


@pytest.mark.usefixtures("elsewhere")
def test_features_are_what_is_said_or_follow_from_the_machine() -> None:
    assert not Target(version=5 << 16 | 14 << 8 | 255).feature("LINUX_HAS_BPF_COOKIE")
    assert Target(version=5 << 16 | 15 << 8).feature("LINUX_HAS_BPF_COOKIE")
    assert Target(features={"LINUX_HAS_BPF_COOKIE": True}).feature("LINUX_HAS_BPF_COOKIE")
    wrapper = "LINUX_HAS_SYSCALL_WRAPPER"
    assert Target(btf=kernel_types()).feature(wrapper)
    assert Target(symbols={"__arm64_sys_bpf": 1}).feature(wrapper)
    assert not Target(btf=kernel_types(), symbols={"sys_bpf": 1}).feature(wrapper)
    assert not Target().feature("LINUX_HAS_WINGS")


@pytest.mark.usefixtures("elsewhere")
def test_types_for_core_alone_leave_the_rest_unknown() -> None:
    target = Target(core_btf=kernel_types(16))
    obj = Asking().field("r1 = *(u32 *)(r1 +0)", 4).line("exit").object()
    assert prepare(obj, target).object.functions["p"].code[2] == 16
    assert target.core_modules == {}
    with pytest.raises(RelocationError, match="its types"):
        target.btf  # noqa: B018


def test_a_configuration_may_be_packed(tmp_path: Path) -> None:
    packed = tmp_path / "config.gz"
    packed.write_bytes(gzip.compress(CONFIG.encode()))
    config = Target.from_files(config=packed).config
    assert config == {"CONFIG_HZ": "250", "CONFIG_NET": "y", "CONFIG_CC": '"made up"'}


def test_a_symbol_that_is_there_twice_has_no_address(made_up: Target) -> None:
    assert made_up.symbols["jiffies_64"] == 0xFFFFFFFF81234560
    assert made_up.symbols["in_module"] == 0xFFFFFFFFC0001000
    assert made_up.symbols["twice"] == kernel_files.AMBIGUOUS


@pytest.mark.parametrize(
    ("part", "contents"),
    [
        ("btf", b"no BTF"),
        ("config", b"\x1f\x8b damaged"),
        ("kallsyms", b"ffffffff81000000 T\n"),
        ("kallsyms", b"nowhere T main\n"),
    ],
)
def test_files_of_something_else_are_errors_that_name_them(
    tmp_path: Path, part: Any, contents: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(contents)
    with pytest.raises(ObjectFormatError, match=str(path)):
        named: dict[str, Any] = {part: path}
        Target.from_files(**named)


def test_a_release_that_is_no_version_is_an_error() -> None:
    with pytest.raises(OsmiaError, match="'rolling'"):
        Target.from_files(release="rolling")
    assert Target.from_files(release=0x060100).version == 0x060100
    assert Target.from_files(release="6.1.400").version == 0x0601FF


def test_the_types_of_an_elf_file_are_its_btf(tmp_path: Path) -> None:
    from osmia.formats.elf_writer import write_object

    obj = osmia.compile("struct s { int a; } s;\n")
    path = tmp_path / "s.bpf.o"
    path.write_bytes(write_object(obj))
    types = Target.from_files(btf=path).btf
    assert types is not None
    assert types.find("s")


def test_the_running_kernel_tells_all_its_parts_and_takes_others() -> None:
    target = Target.running()
    assert isinstance(target, RunningKernel)
    assert target.version == running_version()
    assert target.symbols.keys() >= {"_stext"}
    other = Target.running(version=1, config={"CONFIG_HZ": "7"}, btf=kernel_types())
    assert (other.version, other.config) == (1, {"CONFIG_HZ": "7"})
    assert other.modules == {}  # they are split from other types


def test_osmia_has_the_target() -> None:
    assert osmia.Target is Target
