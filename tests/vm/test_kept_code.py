"""Machine code that is kept: what of a program and its vm decides it, and how it is mapped."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.jit import cache, compiler, identity, kept
from osmia.vm.jit.image import Image, image_of
from osmia.vm.jit.mapping import MappedCode
from osmia.vm.jit.source import CompiledSource

PLAIN = "r0 = 0x1234567\nr0 *= r2\nexit"
images = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="images are for x86-64 and arm64 on Linux",
)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("OSMIA_CACHE", str(tmp_path))
    return tmp_path / "jit"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The IR of all that is compiled."""
    texts: list[str] = []
    original = compiler.compile_fresh

    def compile_fresh(machine: compiler.Machine, text: str, level: int) -> bytes:
        texts.append(text)
        return original(machine, text, level)

    monkeypatch.setattr(compiler, "compile_fresh", compile_fresh)
    return texts


def run(text: str = PLAIN, data: bytes = bytes(3), **options: Any) -> int:
    with Vm(**{"memory": 1 << 23, "cpus": 1, **options}) as vm:
        return vm.load_program(assemble(text)).run(data, executor="jit").retval


WITHOUT_LLVM = """
import sys
from osmia.isa import assemble
from osmia.vm.engine import Vm
with Vm(memory=1 << 23, cpus=1) as vm:
    program = vm.load_program(assemble("r0 = 0x1234567\\nr0 *= r2\\nexit"))
    print(program.run(bytes(3), executor="jit").retval)
compiles = {"llvmlite", "osmia.vm.jit.translate", "osmia.vm.jit.native_function"}
print(sorted(compiles & set(sys.modules)))
"""


@images
def test_another_process_imports_no_llvmlite_and_translates_nothing() -> None:
    expected = run()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LLVM], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(expected), "[]"]


def with_map(vm: Vm, **given: Any) -> str:
    held = vm.create_map(**{"type": MapType.ARRAY, "value_size": 8, "max_entries": 4, **given})
    return (
        f"*(u32 *)(r10 -4) = 3\nr1 = map[fd:{held.id}]\nr2 = r10\nr2 += -4\ncall 1\n"
        "r6 = r0\nr0 = 1\nif r6 != 0 goto pc+1\nr0 = 2\nexit"
    )


def test_a_map_of_another_size_is_other_code(compiled: list[str]) -> None:
    def found(**given: Any) -> int:
        with Vm(memory=1 << 23, cpus=1) as vm:
            return vm.load_program(assemble(with_map(vm, **given))).run(executor="jit").retval

    assert [found(max_entries=n) for n in (4, 2, 4, 2)] == [1, 2, 1, 2]
    assert found(type=MapType.HASH) == 2
    assert found() == 1
    assert len(compiled) == 1 + 3


FORGED = 0xFFFF_8000_0000_0100
"""The handle of map 1, which no relocation names."""


def test_a_map_that_is_only_named_by_a_number_is_looked_at_again() -> None:
    def found(entries: int | None) -> int:
        with Vm(memory=1 << 23, cpus=1) as vm:
            if entries:
                vm.create_map(MapType.ARRAY, value_size=8, max_entries=entries)
            text = with_map(vm).replace("map[fd:2]" if entries else "map[fd:1]", f"{FORGED} ll")
            return vm.load_program(assemble(text)).run(executor="jit", strict=False).retval

    assert [found(n) for n in (4, 2, 4, 2)] == [1, 2, 1, 2]


CALLS_TIME = "call 5\nexit"


def test_a_helper_that_python_answers_is_other_code() -> None:
    def time(helper: Callable[..., int] | None) -> int:
        with Vm(memory=1 << 23, cpus=1) as vm:
            if helper is not None:
                vm.helpers["ktime_get_ns"] = helper
            return vm.load_program(assemble(CALLS_TIME)).run(executor="jit").retval

    assert time(None) != 77
    assert time(lambda: 77) == 77
    assert time(lambda: 78) == 78
    assert time(None) != 77


@pytest.mark.parametrize(
    "options",
    [
        {"memory": 1 << 24},
        {"cpus": 2},
        {"tail_calls": "program"},
        {"interruptible": True},
        pytest.param({"retpoline": True}, marks=images),
    ],
    ids=str,
)
def test_an_option_of_the_vm_is_in_the_key(compiled: list[str], options: dict[str, Any]) -> None:
    expected = run()
    before = len(compiled)
    assert run(**options) == expected
    assert len(compiled) > before
    after = len(compiled)
    assert run(**options) == run() == expected
    assert len(compiled) == after


def test_a_programs_type_is_in_the_key(compiled: list[str]) -> None:
    for program_type in (None, ProgramType.XDP, None, ProgramType.XDP):
        with Vm(memory=1 << 23, cpus=1) as vm:
            program = vm.load_program(assemble("r0 = 2\nexit"), type=program_type)
            assert program.run(bytes(64), executor="jit").retval == 2
    assert len(compiled) == 1 + 2


def test_the_machine_llvm_and_the_translation_are_in_the_key(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    told = identity.everything()
    assert told is not None
    for part in ("llvmlite/binding/libllvmlite", "vm/jit/translate.py", "vm/native.py", "flags"):
        assert part in told
        before = len(compiled)
        changed = told.replace(part, "another")
        monkeypatch.setattr(identity, "everything", lambda text=changed: text)
        run()
        assert len(compiled) > before


def test_what_has_other_bytecode_or_names_is_told_apart(compiled: list[str]) -> None:
    assert run("r0 = 1\nexit") == 1
    assert run("r0 = 2\nexit") == 2
    assert len(compiled) == 3
    with Vm(memory=1 << 23, cpus=1) as vm:
        other_name = vm.load_program(assemble("r0 = 2\nexit"), name="another")
        assert other_name.run(executor="jit").retval == 2
    assert len(compiled) == 3


def test_an_entry_that_others_may_change_or_that_is_a_link_is_not_read(fresh: Path) -> None:
    run()
    first, second = sorted(fresh.iterdir())[:2]
    first.chmod(0o666)
    assert cache.read(first.name) is None
    elsewhere = fresh.parent / "elsewhere"
    second.rename(elsewhere)
    second.symlink_to(elsewhere)
    assert cache.read(second.name) is None
    assert run() == 3 * 0x1234567


def test_an_entry_with_a_right_checksum_and_wrong_content_is_made_anew(fresh: Path) -> None:
    expected = run()
    for path in fresh.iterdir():
        cache.write(path.name, b"nothing that marshal knows")
    assert run() == expected


def test_what_no_image_is_made_of_is_loaded_by_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osmia.vm.jit.image.TARGETS", {})
    expected = run()
    monkeypatch.setattr(kept, "MappedCode", None)
    assert run() == expected == 3 * 0x1234567


@images
def test_code_is_executable_or_writable_and_goes_with_its_object() -> None:
    def protections(start: int, size: int) -> set[str]:
        found = set()
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, flags = line.split()[:2]
            low, high = (int(part, 16) for part in span.split("-"))
            if low < start + size and start < high:
                found.add(flags)
        return found

    text = """
@table = internal constant [4 x i64] [i64 5, i64 6, i64 77, i64 8]
define i64 @pick(i64 %i) {
  %place = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
  %value = load i64, ptr %place
  ret i64 %value
}
"""
    image = image_of(compiler.compile_fresh(compiler.host(), text, 1))
    assert image is not None
    mapped = MappedCode(image)
    function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)
    assert function(mapped.address("pick"))(2) == 77
    start, size = mapped.base, len(image.content)
    assert protections(start, image.executable) == {"r-xp"}
    assert protections(start + image.executable, size - image.executable) == {"r--p"}
    del mapped
    assert "r-xp" not in protections(start, image.executable)


def test_a_function_that_the_system_lacks_is_an_error() -> None:
    image = Image(bytes(4096), 4096, {}, ((8, "no_such_function_of_osmia"),), ())
    with pytest.raises(OSError, match="no_such_function_of_osmia"):
        MappedCode(image)


def test_a_source_has_nothing_cached_until_something_was_compiled(compiled: list[str]) -> None:
    for expected in (None, 3 * 0x1234567):
        with Vm(memory=1 << 23, cpus=1) as vm:
            program = vm.load_program(assemble(PLAIN))
            source = CompiledSource(vm, program)
            found = source.cached()
            assert (found is not None) is (expected is not None)
            before = len(compiled)
            with ThreadPoolExecutor(4) as pool:
                made = list(pool.map(lambda each: each.compile(), [source] * 4))
            assert len(set(map(id, made))) == 1
            assert source.cached() is made[0]
            assert (len(compiled) == before) is (expected is not None)
            assert program.run(bytes(3), executor="jit").retval == 3 * 0x1234567
