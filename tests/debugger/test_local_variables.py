"""Local variables in sessions: in expressions, changed, of objects that came by other ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.debugger import DebuggerError, Session, loading
from osmia.errors import OsmiaError

from .variables_program import SOURCE


def line_of(text: str) -> int:
    (found,) = [n for n, line in enumerate(SOURCE.splitlines(), 1) if text in line]
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "prog.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def begun(undo: ExitStack, loaded: Any, source: Path, text: str) -> Session:
    """A session on the program, at a line."""
    undo.enter_context(loaded)
    session: Session = undo.enter_context(loaded.programs["prog"].session(bytes(64)))
    session.break_at(line_of(text), file=str(source))
    session.continue_()
    return session


def test_expressions_have_locals_members_and_what_pointers_point_to(
    source: Path, undo: ExitStack
) -> None:
    obj, files = loading.read(source)
    session = begun(undo, loading.load(obj, files), source, "/* found")
    assert session.evaluate("flow.where.y") == -9
    assert session.evaluate("found->id == 0x12345678 && found->where.y < 0")
    assert session.evaluate("points[2].x + key") == 6
    assert session.evaluate("found->kind") == 7
    assert session.evaluate("((struct point *)points + 1)->y == 6 && sizeof(struct point) == 8")
    assert session.frames[0].locals["found"] == session.evaluate("found")
    assert repr(session.frames[0].locals["ctx"]) == "<optimised out>"
    with pytest.raises(OsmiaError, match="member"):
        session.evaluate("found->nothing")


def test_a_local_of_an_inlined_function_hides_none_of_the_outer_ones(
    source: Path, undo: ExitStack
) -> None:
    obj, files = loading.read(source)
    session = begun(undo, loading.load(obj, files), source, "/* in scaled")
    assert session.evaluate("inner * factor") == 144
    assert session.evaluate("key") == 1


def test_a_local_is_changed_and_going_back_undoes_it(source: Path, undo: ExitStack) -> None:
    obj, files = loading.read(source)
    session = begun(undo, loading.load(obj, files), source, "/* found")
    session.assign("key", 7)
    assert session.evaluate("key") == 7
    session.back()
    session.back()
    session.continue_()
    assert session.evaluate("key") == 7
    assert session.evaluate("flow.kind") == 7


def test_conditions_of_breakpoints_know_locals(source: Path, undo: ExitStack) -> None:
    obj, files = loading.read(source)
    loaded = undo.enter_context(loading.load(obj, files))
    session = undo.enter_context(loaded.programs["prog"].session(bytes(64)))
    line = line_of("/* in scaled")
    never = session.break_at(line, file=str(source), condition="inner == 49")
    session.break_at(line, file=str(source), condition="inner == 48 && key == 1")
    session.continue_()
    assert session.frames[0].line == line
    assert never.hits == 0


def test_an_object_that_was_compiled_and_loaded_plainly_is_compiled_again_for_its_dwarf(
    source: Path, undo: ExitStack
) -> None:
    session = begun(undo, osmia.compile(source).load("vm"), source, "/* found")
    assert session.evaluate("flow.where.y") == -9


def test_a_source_that_is_another_now_has_no_locals_and_it_says_so(
    source: Path, undo: ExitStack
) -> None:
    obj = osmia.compile(source)
    source.write_text(SOURCE.replace("unused = 12", "unused = key * result"))
    loaded = obj.load("vm")
    session = begun(undo, loaded, source, "/* found")
    source.write_text("no C at all")
    assert dict(session.frames[0].locals).keys() <= {"ctx"}
    assert session.frames[0].locals.remarks  # type: ignore[attr-defined]


def test_functions_that_an_unfollowed_pass_changed_say_nothing(
    source: Path, undo: ExitStack
) -> None:
    obj, _ = loading.read(source)
    loaded = undo.enter_context(obj.load("vm", calls="inline"))
    information = loading.information_of(loaded)
    assert not information.has_dwarf("prog")
    assert information.has_dwarf("summed")
    assert "'prog' was changed by a pass that was not followed" in information.remarks[0]


def test_the_information_is_kept_as_long_as_the_object_is_loaded(source: Path) -> None:
    obj, files = loading.read(source)
    with loading.load(obj, files) as loaded:
        assert loading.information_of(loaded) is loading.information_of(loaded)
        assert not loading.information_of(loaded).remarks


def test_frames_have_the_functions_that_were_inlined_into_them(
    source: Path, undo: ExitStack
) -> None:
    obj, files = loading.read(source)
    session = begun(undo, loading.load(obj, files), source, "/* in scaled")
    calls = session.frames[0].calls
    assert [each.function for each in calls] == ["scaled", "twice", "prog"]
    assert [each.line for each in calls] == [
        line_of("/* in scaled"),
        line_of("scaled(number, 3)"),
        line_of("twice(found->id & 15)"),
    ]


def test_a_breakpoint_is_at_a_function_that_was_inlined(source: Path, undo: ExitStack) -> None:
    obj, files = loading.read(source)
    loaded = undo.enter_context(loading.load(obj, files, calls="inline"))
    session = undo.enter_context(loaded.programs["prog"].session(bytes(64)))
    session.break_at(function="scaled")
    session.break_at(function="summed")
    session.continue_()
    assert session.frames[0].calls[0].function == "scaled"
    with pytest.raises(OsmiaError, match="nobody"):
        session.break_at(function="nobody")


def test_a_star_follows_a_pointer_and_what_is_there_is_changed(
    source: Path, undo: ExitStack
) -> None:
    obj, files = loading.read(source)
    session = begun(undo, loading.load(obj, files), source, "/* found")
    assert session.evaluate("*found").where.y == session.evaluate("found->where.y")
    assert session.evaluate("2 * *(u32 *)found + 2*key") == 2 * session.evaluate("found->id") + 2
    session.assign("found->where.y", 5)
    assert session.evaluate("*found").where.y == 5
    session.assign("*found", session.evaluate("*found").replace(kind=3))
    assert session.evaluate("found->kind") == 3
    with pytest.raises(DebuggerError, match="key is no pointer"):
        session.evaluate("*key")
    session.watch("*found")
