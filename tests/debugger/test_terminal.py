"""The console: gdb's words over a session, from scripts."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

import osmia.debugger.terminal.opening as opening
from osmia.debugger import DebuggerError
from osmia.debugger.terminal.completion import completions
from osmia.debugger.terminal.console import Console, Left
from osmia.debugger.terminal.words import COMMANDS, find, split

from .conftest import Begin, line_of

SOURCE = """
struct size { __u32 bytes; __u16 parts[2]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, __u32); __type(value, struct size); } sizes SEC(".maps");
int limit = 3, counter;
struct size last = {7, {1, 2}};
struct { struct { int is; } in; } from = {{4}};
static __attribute__((noinline)) int size_of(struct xdp_md *ctx)
{
	counter++;
	return ctx->data_end - ctx->data;
}
SEC("xdp") int choose(struct xdp_md *ctx)
{
	__u32 key = size_of(ctx);
	struct size size = {key, {4, 5}};
	bpf_map_update_elem(&sizes, &key, &size, 0);
	if (key > limit)
		return XDP_DROP;
	return XDP_PASS;
}
"""


class Told:
    """A console, and what it says to each line."""

    def __init__(self, begin: Begin, *, styled: bool = False) -> None:
        assert opening
        self._output = StringIO()
        self.console = Console(begin(SOURCE), self._output, styled=styled, packets=[bytes(64)] * 2)

    def __call__(self, *lines: str) -> str:
        self._output.seek(0)
        self._output.truncate()
        for line in lines:
            self.console.attempt(line)
        return self._output.getvalue()


@pytest.fixture
def say(begin: Begin) -> Told:
    return Told(begin)


def test_steps_print_the_line_and_a_new_functions_name(say: Told) -> None:
    assert "size_of () at prog.bpf.c:" in say("tbreak size_of", "c")
    assert "Value returned is 64" in say("finish")
    assert "choose () at" in say("bt")
    line = line_of(SOURCE, "struct size size")
    assert say("next") == f"{line}\t        struct size size = {{key, {{4, 5}}}};\n"


def test_an_empty_line_says_the_last_step_again(say: Told) -> None:
    say("stepi")
    say("", "", "")
    assert "position 4 of 4" in say("info position")
    say("print limit", "")
    assert "position 4 of 4" in say("info position")


def test_abbreviations_are_gdbs_and_others_must_be_clear() -> None:
    words = {"b": "break", "c": "continue", "s": "step", "n": "next", "p": "print", "l": "list"}
    words |= {"i": "info", "bt": "backtrace", "rs": "back", "rn": "rnext", "rc": "rcontinue"}
    words |= {"f": "frame", "d": "delete", "disas": "disassemble", "unt": "until", "q": "quit"}
    assert {word: find(word).name for word in words} == words
    with pytest.raises(DebuggerError, match="ambiguous: back"):
        find("ba")
    with pytest.raises(DebuggerError, match="no command 'frobnicate'"):
        find("frobnicate")
    assert split("x/4xw r1") == ("x", "/4xw r1") and split("p/x a b") == ("p", "/x a b")
    assert all(each.summary for each in COMMANDS.values())


def test_places_of_breakpoints_are_said_as_in_gdb(say: Told) -> None:
    assert say("break size_of") == "Breakpoint 1 at size_of()\n"
    line = line_of(SOURCE, "bpf_map_update_elem")
    assert say(f"b prog.bpf.c:{line} if limit == 3") == f"Breakpoint 2 at prog.bpf.c:{line}\n"
    assert say("b helper bpf_map_update_elem") == "Breakpoint 3 at calls of bpf_map_update_elem\n"
    assert say("b map sizes[64]") == "Breakpoint 4 at accesses to sizes[64]\n"
    assert say("b *0") == "Breakpoint 5 at instruction 0 of choose\n"
    assert "error: no program has a function 'nobody'" in say("b nobody")
    told = say("info breakpoints")
    assert f"2   prog.bpf.c:{line} if limit == 3: 0 hits" in told and told.count("\n") == 5
    say("d 1 3 4 5", "condition 2 limit == 4", "run", "c")
    assert "returned 1 (XDP_DROP)" in say("run", "c")
    assert "Breakpoint 2" in say("condition 2", "run", "c")
    assert "returned" in say("disable 2", "run", "c")
    assert "no breakpoints" in say("delete", "info b")


def test_a_watched_entry_tells_both_values(say: Told) -> None:
    assert say("watch sizes[64]") == "Watchpoint 1: sizes[64]\n"
    told = say("continue")
    assert "Old value = none\nNew value = {.bytes = 64, .parts = {4, 5}}\n" in told
    assert "Old value = {.bytes = 64, .parts = {4, 5}}\nNew value = none\n" in say("c", "rc")


def test_values_are_printed_and_set(say: Told) -> None:
    assert say("p limit") == "limit = 3\n"
    assert say("p/x limit + 13") == "limit + 13 = 0x10\n"
    assert say("p last") == "last = {.bytes = 7, .parts = {1, 2}}\n"
    assert (
        say("set last.parts[1] = 9", "p last.parts") == "last.parts[1] = 9\nlast.parts = {1, 9}\n"
    )
    assert say("set var limit = limit * 100") == "limit = 300\n"
    assert say("set sizes[1] = {.bytes = 2}") == "sizes[1] = {.bytes = 2, .parts = {0, 0}}\n"
    assert "[1] = {.bytes = 2" in say("maps sizes")
    assert "(context, struct xdp_md *)" in say("p $r1")
    assert say("set u32(r10 - 8) = 0x01020304", "x/4xb r10-8").endswith("0x04  0x03  0x02  0x01\n")
    assert "error: there is no 'nothing' here" in say("p nothing").replace("nothing: ", "")
    assert "error: r10 is the frame pointer" in say("set r10 = 1")
    assert "XDP_PASS" in say("continue")
    assert "error: the program has ended" in say("step")


def test_source_instructions_frames_and_packet_are_shown(say: Told) -> None:
    say("b size_of", "c")
    listed = say("list")
    assert "=>" in listed and "counter++;" in listed
    assert "bpf_map_update_elem" in say("list") and "no more lines" in say("l", "l", "l", "l")
    assert "call size_of" in say("up", "disas 0") and "#1  choose ()" in say("frame")
    assert "error: this frame is the outermost: nothing called it" in say("up")
    assert "error: there is no frame 2" in say("frame 2")
    assert "#0  size_of ()" in say("down 7") and "#1  choose ()" in say("up 5")
    assert "error: this frame is the innermost: it called nothing" in say("down", "down")
    assert "r10  " in say("info registers") and say("info r r1").startswith("r1")
    assert "limit = 3" in say("info variables") and "data_end" in say("info ctx")
    assert "sizes: hash, 0 of 8 entries" in say("info maps")
    packet = say("packet")
    assert packet.startswith("Ethernet ") and "0030  00 00" in packet
    assert "choose: instructions 0 to" in say("info functions")
    assert "info about one of" in say("info nothing")
    assert "position" in say("help goto") and "rcontinue" in say("help")


def test_expressions_are_displayed_at_each_stop(say: Told) -> None:
    say("display counter", "b size_of", "c")
    assert "counter = 0" in say("stepi") and "counter = 1" in say("finish")
    assert "counter" not in say("undisplay", "next")


def test_run_begins_again_on_another_packet(say: Told) -> None:
    say("continue")
    assert "choose ()" in say("run 2")
    assert "error: packet 3: there are 2" in say("run 3")
    assert "The beginning of the run" in say("step", "rc")


def test_scripts_are_read_and_end_at_an_error(say: Told, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("# a remark\n\nbreak size_of\ncontinue\nfrobnicate\necho after\n")
    told = say(f"source {script}")
    assert "size_of ()" in told and "no command 'frobnicate'" in told and "after" not in told
    script.write_text(f"source {script}\n")
    assert "read each other" in say(f"source {script}")
    assert "error: " in say(f"source {tmp_path}/none")
    with pytest.raises(Left):
        say("quit")


def test_colours_are_for_terminals(begin: Begin) -> None:
    assert "\x1b[" not in Told(begin)("b size_of", "c")
    assert "\x1b[32m" in Told(begin, styled=True)("b size_of", "c")


def test_words_are_completed(say: Told) -> None:
    complete = completions
    assert complete(say.console, "", "rc") == ["rcontinue"]
    assert complete(say.console, "break ", "si") == ["size_of"]
    assert complete(say.console, "break map ", "") == ["sizes"]
    assert complete(say.console, "b helper ", "bpf_m") == ["bpf_map_update_elem"]
    assert complete(say.console, "print ", "l") == ["last", "limit"]
    assert complete(say.console, "info ", "reg") == ["registers"]
    assert complete(say.console, "frobnicate ", "") == []


def test_what_cannot_be_is_said_and_not_tried(say: Told, tmp_path: Path) -> None:
    assert "last.parts has no element 2" in say("set last.parts[2] = 1")
    assert "1048576 at once" in say("x/99999999xw r1")
    assert "takes no other address" in say("x/2i r1")
    assert "=>" in say("x/2i $pc")
    assert "constant" in say("watch 5")
    assert "condition is missing" in say("break size_of if")
    assert say(f"source {tmp_path}/none") == f"error: {tmp_path}/none: No such file or directory\n"
    said = say("print limit = 5")
    assert said.endswith("is no expression: = changes a value: `set` does that (column 7)\n")


def test_pythons_keywords_are_names_in_c(say: Told) -> None:
    assert say("print from.in.is") == "from.in.is = 4\n"
    assert say("set from.in.is = 5", "print from.in.is + 1").endswith("= 6\n")
    assert say("watch from.in.is").startswith("Watchpoint")
    assert say("print limit == 3 && !counter ? 1 : 2").endswith("= 1\n")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("-7 / 2", "-3"),
        ("7 / -2", "-3"),
        ("-7 % 2", "-1"),
        ("7 % -2", "1"),
        ("-7 / -2 * 2", "6"),
        ("2 - -3 * +1", "5"),
    ],
)
def test_numbers_divide_as_in_c(say: Told, expression: str, value: str) -> None:
    assert say(f"print {expression}") == f"{expression} = {value}\n"


def test_what_is_set_may_be_made_of_what_is_there(say: Told) -> None:
    assert say("set limit += 2", "set limit <<= 1 + 1") == "limit = 5\nlimit = 20\n"
    assert say("set last.parts[0 + (1 == 1)] -= 3", "p last.parts[1]").endswith("= 65535\n")


def test_a_division_by_zero_is_said(say: Told) -> None:
    assert "zero" in say("print limit / 0")
    assert "zero" in say("print limit % counter")
