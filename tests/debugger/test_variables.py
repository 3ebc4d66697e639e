"""Variables of compiled programs: where they are, what they hold, and what nobody can say."""

from __future__ import annotations

import pytest

from osmia.debugger.values import UnknownValueError
from osmia.debugger.variables import DebugInformation
from osmia.errors import CodecError, ReadOnlyError
from osmia.formats.open import read_elf
from osmia.object.model import Object
from osmia.toolchain import compile as compile_file

from .variables_program import SOURCE, compiled, linked, opened, run

CLANGS = ("zig", "clang-19")


@pytest.fixture(scope="module", params=CLANGS)
def program(request: pytest.FixtureRequest) -> tuple[Object, DebugInformation]:
    return opened(compiled(compiler=request.param))


Program = tuple[Object, DebugInformation]


def test_inlined_functions_have_levels_and_locals_of_their_own(program: Program) -> None:
    _, (shown,) = run(*program, "/* in scaled")
    inner, middle, outer = shown.levels
    assert [each.function for each in shown.levels] == ["scaled", "twice", "prog"]
    assert [each.inlined for each in shown.levels] == [True, True, False]
    assert inner.place is None
    assert middle.place is not None
    assert outer.place is not None
    assert "scaled(number, 3)" in SOURCE.splitlines()[middle.place.line - 1]
    assert "twice(found->id" in SOURCE.splitlines()[outer.place.line - 1]
    assert middle.place.file.endswith("source.bpf.c")
    assert shown.texts[0]["inner"] == "48"
    assert shown.texts[0]["doubled"] == "16"
    assert shown.texts[0]["factor"] == "3"
    assert shown.texts[2]["key"] == "1"


def test_a_local_of_an_inlined_function_is_there_behind_the_call(program: Program) -> None:
    _, (shown,) = run(*program, "/* in twice")
    assert [each.function for each in shown.levels] == ["twice", "prog"]
    assert shown.texts[0]["first"] == "48"


def test_a_struct_is_read_in_pieces_with_its_enum_and_text(program: Program) -> None:
    _, (shown,) = run(*program, "/* found")
    flow = shown.variables[0]["flow"]
    assert flow.type.name == "struct flow"
    assert [each.name for each in flow.members()] == ["id", "name", "where", "kind"]
    assert flow.member("id").value == 0x12345678
    assert flow.member("kind").text == "KIND_HIGH"
    assert flow.member("where").member("y").value == -9
    assert flow.member("name").value == "bee"
    assert flow.value.where.y == -9
    assert ".where = {.x = 0, .y = -9}, .kind = KIND_HIGH" in flow.text


def test_bitfields_have_their_own_bits_and_sign(program: Program) -> None:
    _, (shown,) = run(*program, "/* found")
    bits = shown.variables[0]["bits"]
    assert [each.text for each in bits.members()] == ["5", "17", "-3"]


def test_arrays_have_elements(program: Program) -> None:
    _, (shown,) = run(*program, "/* found")
    points = shown.variables[0]["points"]
    assert points.count == 3
    assert points.text == "{{.x = 1, .y = 2}, {.x = 5, .y = 6}, {.x = 5, .y = 6}}"
    assert points.member("[2]").member("x").value == 5
    assert [each.name for each in points.members(1, 5)] == ["[1]", "[2]"]
    with pytest.raises(KeyError, match="no element 3"):
        points.member("[3]")


def test_pointers_are_followed_to_what_they_point_to(program: Program) -> None:
    _, (shown,) = run(*program, "/* found")
    found = shown.variables[0]["found"]
    assert found.type.name == "struct flow *"
    assert found.member("id").value == 0x12345678
    assert found.pointed().address == found.value
    _, shown_in_loop = run(*program, "/* in the loop")
    assert shown_in_loop[0].variables[0]["flow"].member("name").text == '"bee"'


def test_what_was_optimised_out_is_said_to_be(program: Program) -> None:
    _, (shown,) = run(*program, "/* found")
    assert shown.texts[0]["ctx"] == "<optimised out>"
    assert shown.texts[0]["result"] == "<has no value here>"
    with pytest.raises(UnknownValueError, match="optimised out"):
        _ = shown.variables[0]["ctx"].value
    with pytest.raises(ReadOnlyError, match="optimised out"):
        shown.variables[0]["ctx"].assign(1)


def test_a_constant_that_the_compiler_knows_has_a_value_and_no_place(program: Program) -> None:
    _, (shown,) = run(*program, "/* found")
    unused = shown.variables[0]["unused"]
    assert (unused.value, unused.address) == (12, None)
    with pytest.raises(ReadOnlyError, match="has no place"):
        unused.assign(13)


def test_a_loop_s_counter_counts_and_static_locals_are_in_their_section(program: Program) -> None:
    _, shown = run(*program, "/* in the loop")
    counts = [each.variables[0]["i"].value for each in shown if not each.variables[0]["i"].missing]
    assert sorted(set(counts)) == [0, 1, 2, 3]
    assert shown[0].texts[0]["count"] == "6"
    assert shown[0].texts[0]["often"] == "0"
    _, after = run(*program, "/* after the loop")
    assert after[-1].texts[0]["often"] == "1"


def test_arguments_come_first(program: Program) -> None:
    _, shown = run(*program, "/* in the loop")
    variables = list(shown[0].variables[0].values())
    assert [each.name for each in variables if each.is_argument] == ["flow", "count"]
    assert [each.is_argument for each in variables] == sorted(
        (each.is_argument for each in variables), reverse=True
    )


def test_a_changed_local_is_what_the_program_goes_on_with(program: Program) -> None:
    source = """
    SEC("xdp") int prog(struct xdp_md *ctx)
    {
        int in_register = ctx->data_end - ctx->data;
        volatile short in_memory = 1;
        asm volatile("r0 = %0" : : "r"(in_register) : "r0");   /* here */
        return in_register + in_memory;
    }
    """
    head = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar l[] SEC("license") = "GPL";'
    obj, information = opened(compiled(head + source))
    assert run(obj, information, "/* here")[0] == 65
    change = {"in_register": "0x100", "in_memory": -3}
    assert run(obj, information, "/* here", change=change)[0] == 0x100 - 3
    with pytest.raises(CodecError):
        run(obj, information, "/* here", change={"in_register": 1 << 40})


def test_after_a_pass_moved_code_variables_are_found_in_its_new_place(program: Program) -> None:
    obj, information = program
    _, shown = run(obj, information, "/* in the loop", calls="inline")
    first = shown[0]
    assert [each.function for each in first.levels] == ["summed", "prog"]
    assert [each.inlined for each in first.levels] == [True, False]
    place = first.levels[1].place
    assert place is not None
    assert "summed(&flow, 6)" in SOURCE.splitlines()[place.line - 1]
    assert first.texts[0]["count"] == "6"
    assert first.variables[0]["flow"].member("id").value == 0x12345678
    sums = [each.variables[0]["sum"] for each in shown]
    known = [each.value for each in sums if not each.missing]
    assert known[0] == 0
    assert known == sorted(known)
    assert known[-1] >= ord("b")
    assert first.variables[1]["flow"].member("id").value == 0x12345678
    assert first.texts[1]["key"] == "1"
    assert first.texts[1]["unused"] == "12"
    assert "a pass inlined what is called here" in first.texts[1]["result"]
    _, (still,) = run(obj, information, "/* in scaled", calls="inline")
    assert [each.function for each in still.levels] == ["scaled", "twice", "prog"]
    assert still.texts[0]["inner"] == "48"


def test_pruned_code_leaves_the_others_with_their_variables(program: Program) -> None:
    _, (shown,) = run(*program, "/* in scaled", prune=True)
    assert shown.texts[0]["inner"] == "48"
    assert shown.texts[2]["flow"].startswith("{.id = 305419896")


def test_linked_objects_have_the_variables_of_their_inputs() -> None:
    library = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
int shift = 2;
static __noinline int moved(int number)
{
    static int before = 5;
    int result = number << shift;
    before += result;                     /* in moved */
    return before;
}
int shifted(int number) { return moved(number); }
"""
    user = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
extern int shifted(int number);
static int before = 70;
static __noinline int moved(int number) { return number + before++; }
SEC("xdp") int prog(struct xdp_md *ctx)
{
    int length = ctx->data_end - ctx->data;
    int got = shifted(length);
    return moved(got);                    /* in prog */
}
char _license[] SEC("license") = "GPL";
"""
    obj, information = linked(user, library)
    assert not information.remarks
    assert all(information.has_dwarf(key) for key in obj.functions)
    value, (shown, *_) = run(obj, information, "/* in moved")
    assert value == 64 * 4 + 5 + 70
    assert shown.texts[0]["before"] == "5"
    assert shown.variables[0]["result"].value == 256
    _, in_prog = run(obj, information, "/* in prog")
    assert in_prog[0].variables[0]["got"].value == 64 * 4 + 5


def test_without_dwarf_arguments_are_known_at_the_beginning_and_it_says_so() -> None:
    data = compile_file(SOURCE).data
    obj = read_elf(data, "", "prog")
    information = DebugInformation(obj, [("prog.o", data)])
    assert "has no DWARF" in information.remarks[0]
    _, (shown, *_) = run(obj, information, "static __noinline int summed")
    flow = shown.variables[0]["flow"]
    assert flow.type.name == "struct flow *"
    assert flow.member("id").value == 0x12345678
    _, loop = run(obj, information, "/* after the loop")
    assert "there is no DWARF" in loop[0].texts[0]["flow"]


def test_code_that_is_another_than_what_was_compiled_has_no_variables() -> None:
    data = compiled()
    other = compiled(SOURCE.replace("value * 2", "value * 2 * value"))
    information = DebugInformation(read_elf(data, "", "prog"), [("prog.o", other)])
    assert "'prog' is not what prog was compiled to" in information.remarks[0]
    assert information.has_dwarf("summed")
    assert not information.has_dwarf("prog")


def test_an_object_that_was_opened_from_a_file_finds_its_own_dwarf(tmp_path: object) -> None:
    from pathlib import Path

    import osmia

    path = Path(str(tmp_path)) / "prog.bpf.o"
    path.write_bytes(compiled())
    information = DebugInformation(osmia.open(path))
    assert not information.remarks
    assert information.has_dwarf("summed")


@pytest.mark.parametrize("flags", [["-gdwarf-4"], ["-gdwarf-5"], ["-O1"], ["-gdwarf-2"]])
def test_other_versions_of_dwarf_and_levels_of_optimisation(flags: list[str]) -> None:
    obj, information = opened(compiled(flags=flags))
    assert not information.remarks
    _, shown = run(obj, information, "/* found")
    assert shown[0].variables[0]["flow"].member("where").member("y").value == -9
    assert [each.text for each in shown[0].variables[0]["bits"].members()] == ["5", "17", "-3"]
