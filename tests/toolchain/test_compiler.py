"""Which compiler is taken, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.errors import CompileError
from osmia.toolchain import find_compiler

pytestmark = pytest.mark.slow


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_wheel_has_one() -> None:
    compiler = find_compiler("zig")
    assert compiler.kind == "zig"
    assert compiler.major >= 18


def test_debian_s_is_found_on_the_path() -> None:
    assert find_compiler("clang").kind == "clang"
    assert find_compiler("clang-19").major == 19


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSMIA_CLANG", "zig")
    assert find_compiler().kind == "zig"
    monkeypatch.setenv("OSMIA_CLANG", "clang-19")
    assert find_compiler().major == 19


def test_an_argument_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSMIA_CLANG", "/nonexistent/clang")
    assert find_compiler("zig").kind == "zig"


def test_the_wheel_serves_where_the_path_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler().kind == "zig"
    with pytest.raises(CompileError, match="on PATH"):
        find_compiler("clang")


def test_a_clang_without_the_bpf_target_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(tmp_path / "clang", "echo 'error: unknown target' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("osmia.toolchain.compiler._NEWEST_GUESS", 13)
    assert find_compiler().kind == "zig"


def test_a_compiler_asked_for_that_cannot_do_it_says_why(tmp_path: Path) -> None:
    broken = script(tmp_path / "clang", "echo 'error: unknown target' >&2; exit 1")
    with pytest.raises(CompileError, match=r"cannot compile for BPF\n.*unknown target"):
        find_compiler(str(broken))


def test_a_compiler_that_is_not_there_is_named() -> None:
    with pytest.raises(CompileError, match="'/nonexistent/cc'"):
        find_compiler("/nonexistent/cc")


def test_without_any_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr("osmia.toolchain.compiler._bundled", lambda: None)
    with pytest.raises(CompileError, match=r"pip install 'osmia\[compile\]'"):
        find_compiler()


def test_a_replaced_compiler_is_another_one(tmp_path: Path) -> None:
    real = find_compiler("clang-19").command[0]
    wrapper = script(tmp_path / "clang-x", f'exec {real} "$@"')
    first = find_compiler(str(wrapper))
    script(tmp_path / "clang-y", f'exec {real}  "$@"').replace(wrapper)
    from osmia.toolchain.compiler import _find

    _find.cache_clear()
    assert find_compiler(str(wrapper)).identity != first.identity
