"""An editor debugs a program: real messages, from "initialize" to "disconnect"."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from .client import Client
from .conftest import SOURCE, line_of

Stopped = Callable[..., Client]


def lines(client: Client) -> list[int]:
    return [each["line"] for each in client.stack()]


def test_a_breakpoint_in_an_inlined_function_shows_its_frames_and_locals(stopped: Stopped) -> None:
    client = stopped("in hashed")
    stack = client.stack()
    assert [each["name"] for each in stack] == ["hashed [inlined]", "limited"]
    assert lines(client) == [line_of("in hashed"), line_of("hashed")]
    assert all(each["source"]["path"].endswith("limit.bpf.c") for each in stack)
    assert client.locals()["half"] == "32"
    assert client.locals(1)["length"] == "64"
    assert "half" not in client.locals(1)


def test_stepping_goes_over_inlined_functions_and_into_them(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="limited")
    client.break_at(source, line_of("length"))
    client.go()
    assert client.go("next")["reason"] == "step"
    assert client.stack()[0]["name"] == "limited"
    assert lines(client)[0] >= line_of("hashed")
    client.go("stepBack")
    assert lines(client) == [line_of("length")]
    client.go("stepIn")
    assert client.stack()[0]["name"] == "hashed [inlined]"
    client.go("stepOut")
    assert [each["name"] for each in client.stack()] == ["limited"]


def test_steps_into_and_out_of_functions(stopped: Stopped) -> None:
    client = stopped("count")
    client.go("stepIn")
    assert [each["name"] for each in client.stack()] == ["count", "limited"]
    client.go("stepOut")
    assert [each["name"] for each in client.stack()] == ["limited"]


def test_the_program_goes_back(stopped: Stopped, source: Path) -> None:
    client = stopped("total")
    before = client.variables(client.scope("Globals"))["total"]["value"]
    client.go("next")
    assert before == "0"
    assert client.variables(client.scope("Globals"))["total"]["value"] == "64 (0x40)"
    assert client.go("stepBack")["reason"] == "step"
    assert client.variables(client.scope("Globals"))["total"]["value"] == "0"
    client.break_at(source)
    assert client.go("reverseContinue")["reason"] == "entry"
    assert client.stack()[0]["name"] == "limited"


def test_a_map_entry_that_changes_stops_the_program(stopped: Stopped, source: Path) -> None:
    client = stopped("again")
    client.break_at(source)
    maps = client.variables(client.scope("Maps"))
    entries = client.variables(maps["flows"]["variablesReference"])
    assert entries["[0]"]["value"] == "{.packets = 1, .bytes = 64}"
    info = client.body(
        "dataBreakpointInfo", variablesReference=maps["flows"]["variablesReference"], name="[0]"
    )
    assert info["accessTypes"] == ["write"]
    made = client.body("setDataBreakpoints", breakpoints=[{"dataId": info["dataId"]}])
    assert made["breakpoints"][0]["verified"]
    stop = client.go("continue")
    assert stop["reason"] == "data breakpoint"
    assert stop["hitBreakpointIds"] == [made["breakpoints"][0]["id"]]
    assert "packets = 1" in stop["text"]
    assert "packets = 2" in stop["text"]
    stop = client.go("continue")
    assert "bytes = 129" in stop["text"]


def test_a_value_that_changes_stops_where_its_condition_is_true(stopped: Stopped) -> None:
    client = stopped("length")
    info = client.body(
        "dataBreakpointInfo", variablesReference=client.scope("Globals"), name="total"
    )
    asked = {"dataId": info["dataId"], "condition": "total > 1000"}
    client.body("setDataBreakpoints", breakpoints=[asked])
    client.body("continue", threadId=1)
    client.event("terminated")
    assert "limited: returned 2 (XDP_PASS)" in client.output


def test_a_local_is_watched_at_its_address(stopped: Stopped) -> None:
    client = stopped("first")
    info = client.body(
        "dataBreakpointInfo", variablesReference=client.scope("Locals"), name="first"
    )
    assert "16 bytes at 0x" in info["description"]


def test_conditions_hit_counts_and_log_points(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="limited")
    at = line_of("count")
    client.break_at(source, at, condition="key > 7")
    client.body(
        "setFunctionBreakpoints",
        breakpoints=[
            {"name": "count", "hitCondition": "2"},
            {"name": "hashed", "logMessage": "length is {length}"},
        ],
    )
    stop = client.go()
    assert stop["reason"] == "function breakpoint"
    assert client.stack()[0]["name"] == "count"
    assert client.body("evaluate", expression="r2")["result"] == "65 (0x41)"
    assert "length is 64" in client.output
    client.body("continue", threadId=1)
    client.event("terminated")


def test_hits_are_the_same_after_going_back(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="limited")
    asked = [{"name": "count", "hitCondition": ">= 2"}]
    client.body("setFunctionBreakpoints", breakpoints=asked)
    client.go()
    assert client.body("evaluate", expression="r2")["result"] == "65 (0x41)"
    client.go("continue")
    assert client.body("evaluate", expression="r2")["result"] == "66 (0x42)"
    client.go("reverseContinue")
    assert client.body("evaluate", expression="r2")["result"] == "65 (0x41)"
    assert client.go("reverseContinue")["reason"] == "entry"
    client.go("continue")
    assert client.body("evaluate", expression="r2")["result"] == "65 (0x41)"


def test_a_condition_that_cannot_be_told_stops_and_says_so(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="limited")
    client.break_at(source, line_of("total"), condition="nothing > 1")
    assert client.go()["reason"] == "breakpoint"
    assert "nothing" in client.output


def test_breakpoints_that_cannot_be_are_not_verified(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="limited")
    (made,) = client.break_at(Path("/nowhere/other.c"), 3)
    assert not made["verified"]
    assert "other.c" in made["message"]
    (made,) = client.break_at(source, 10_000)
    assert not made["verified"]
    (made,) = client.break_at(source, line_of("total"), hitCondition="often")
    assert "often" in made["message"]
    (made,) = client.break_at(source, line_of("total"), condition="((")
    assert not made["verified"]
    assert "no expression" in made["message"]
    asked = [{"name": "nobody"}]
    (made,) = client.body("setFunctionBreakpoints", breakpoints=asked)["breakpoints"]
    assert not made["verified"]


def test_a_breakpoint_is_taken_away_again(stopped: Stopped, source: Path) -> None:
    client = stopped("total")
    client.break_at(source)
    client.body("continue", threadId=1)
    client.event("terminated")


def test_a_local_is_changed_and_the_program_goes_on_with_it(stopped: Stopped) -> None:
    client = stopped("total")
    changed = client.body(
        "setVariable", variablesReference=client.scope("Locals"), name="length", value="5"
    )
    assert changed["value"] == "5"
    client.body("continue", threadId=1)
    client.event("terminated")
    assert "returned 1 (XDP_DROP)" in client.output


def test_registers_globals_and_entries_are_changed(stopped: Stopped) -> None:
    client = stopped("again")
    registers = client.scope("Registers")
    assert client.body("setVariable", variablesReference=registers, name="r5", value="0x20")
    assert client.variables(client.scope("Registers"))["r5"]["value"] == "32 (0x20)"
    client.body(
        "setVariable", variablesReference=client.scope("Globals"), name="total", value="1000"
    )
    assert client.body("evaluate", expression="total + 1")["result"] == "1001 (0x3e9)"
    maps = client.variables(client.scope("Maps"))["flows"]["variablesReference"]
    entry = client.variables(maps)["[0]"]["variablesReference"]
    client.body("setVariable", variablesReference=entry, name="packets", value="41")
    assert client.body("evaluate", expression="flows[0].packets")["result"] == "41 (0x29)"
    client.body("setExpression", expression="known->bytes", value="7")
    assert client.body("evaluate", expression="known->bytes")["result"] == "7"
    assert client.body("evaluate", expression="total = 3", context="repl")["result"] == "3"
    client.go("next")
    assert client.body("evaluate", expression="known->packets")["result"] == "42"


def test_expressions_are_c_s_and_wrong_ones_say_why(stopped: Stopped) -> None:
    client = stopped("again")
    evaluated = client.body("evaluate", expression="first.bytes", context="hover")
    assert evaluated["result"] == "65"
    assert client.body("evaluate", expression="known->packets * 3 + limit")["result"].startswith(
        "13"
    )
    pointer = client.body("evaluate", expression="*known", frameId=1)
    members = client.variables(pointer["variablesReference"])
    assert members["packets"]["value"] == "1"
    assert members["packets"]["evaluateName"] == "*known.packets"
    everything = client.body("evaluate", expression="flows")
    entries = client.variables(everything["variablesReference"])
    assert everything["result"].startswith("hash") and list(entries) == ["[0]"]
    inner = client.variables(entries["[0]"]["variablesReference"])
    assert inner["packets"]["evaluateName"] == "flows[0].packets"
    for opens in ("flows[0]", "*ctx", "&flows[0]", "(struct stats *)known"):
        assert client.body("evaluate", expression=opens)["variablesReference"], opens
    assert client.body("evaluate", expression="known->packets == 1 ? 2 : 3")["result"] == "2"
    assert "nothing" in client.refused("evaluate", expression="nothing + 1")
    assert client.refused("evaluate", expression="1 +")


def test_instructions_are_shown_stepped_and_stopped_at(stopped: Stopped) -> None:
    client = stopped("total")
    here = client.stack()[0]["instructionPointerReference"]
    listed = client.body(
        "disassemble", memoryReference=here, instructionOffset=-3, instructionCount=8
    )["instructions"]
    assert len(listed) == 8
    assert listed[3]["address"] == here
    assert listed[3]["line"] == line_of("total")
    addresses = [int(each["address"], 16) for each in listed]
    assert addresses == sorted(addresses)
    client.go("next", granularity="instruction")
    assert client.stack()[0]["instructionPointerReference"] == listed[4]["address"]
    client.go("stepBack", granularity="instruction")
    assert client.stack()[0]["instructionPointerReference"] == here
    asked = [{"instructionReference": listed[6]["address"]}]
    (made,) = client.body("setInstructionBreakpoints", breakpoints=asked)["breakpoints"]
    assert made["verified"]
    assert client.go("continue")["reason"] == "instruction breakpoint"
    assert client.stack()[0]["instructionPointerReference"] == listed[6]["address"]


def test_disassembly_beyond_the_code_is_as_long_as_it_was_asked_for(stopped: Stopped) -> None:
    client = stopped("total")
    here = client.stack()[0]["instructionPointerReference"]
    for offset in (-500, 500):
        listed = client.body(
            "disassemble", memoryReference=here, instructionOffset=offset, instructionCount=20
        )["instructions"]
        assert len(listed) == 20
        addresses = [int(each["address"], 16) for each in listed]
        assert addresses == sorted(set(addresses))


def test_memory_is_read_and_written(stopped: Stopped) -> None:
    client = stopped("again")
    known = client.variables(client.scope("Locals"))["known"]
    read = client.body("readMemory", memoryReference=known["memoryReference"], count=16)
    data = base64.b64decode(read["data"])
    assert data == (1).to_bytes(8, "little") + (64).to_bytes(8, "little")
    nine = base64.b64encode(b"\x09").decode()
    client.body("writeMemory", memoryReference=known["memoryReference"], data=nine)
    assert client.body("evaluate", expression="known->packets")["result"] == "9"
    nothing = client.body("readMemory", memoryReference="0x10", count=4)
    assert nothing["unreadableBytes"] == 4
    assert "the most" in client.refused("readMemory", memoryReference="0x10", count=1 << 30)
    assert client.refused("readMemory", memoryReference="z", count=1) == "'z' is no address"


def test_a_fault_is_an_exception_at_its_line(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="wrong")
    stop = client.go()
    assert stop["reason"] == "exception"
    assert lines(client)[0] == line_of("beyond")
    info = client.body("exceptionInfo", threadId=1)
    assert info["exceptionId"] == "ProgramFault"
    assert "packet" in info["description"]
    client.go("stepBack")
    client.refused("exceptionInfo", threadId=1)


def test_without_the_filter_a_fault_ends_the_program(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="wrong")
    client.body("setExceptionBreakpoints", filters=[])
    client.body("configurationDone")
    client.event("terminated")
    assert "wrong:" in client.output


def test_it_stops_at_the_entry_and_at_the_end(client: Client, source: Path) -> None:
    client.launch(program=str(source), function="limited", stopOnEntry=True, stopAtEnd=True)
    assert client.go()["reason"] == "entry"
    client.go("continue")
    assert client.stack()[0]["name"] == "limited"
    assert "returned 2 (XDP_PASS)" in client.output
    client.go("stepBack")
    client.body("continue", threadId=1)
    client.event("terminated")


def test_packets_follow_each_other_with_their_breakpoints(
    client: Client, source: Path, tmp_path: Path
) -> None:
    capture = tmp_path / "two.pcap"
    header = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\xff\xff\0\0\x01\0\0\0"
    packets = [bytes(20), bytes(90)]
    records = [bytes(8) + 2 * len(each).to_bytes(4, "little") + each for each in packets]
    capture.write_bytes(header + b"".join(records))
    client.launch(program=str(source), function="limited", pcap=str(capture))
    client.break_at(source, line_of("total"))
    client.go()
    assert client.locals()["length"] == "20"
    assert client.body("threads")["threads"][0]["name"] == "limited, packet 1 of 2"
    client.go("continue")
    assert client.locals()["length"] == "90"
    assert client.variables(client.scope("Globals"))["total"]["value"] == "20 (0x14)"
    client.body("continue", threadId=1)
    client.event("terminated")
    assert "20 bytes" in client.output
    assert "90 bytes" in client.output


def test_what_the_program_prints_is_printed_once(stopped: Stopped) -> None:
    client = stopped("total")
    assert client.output.count("64 bytes") == 1
    client.go("stepBack")
    client.go("stepBack")
    client.go("continue")
    assert client.output.count("64 bytes") == 1


def test_data_maps_and_the_packet_are_what_launch_says(client: Client, source: Path) -> None:
    client.launch(
        program=str(source),
        function="limited",
        packet="ff" * 12 + "0800" + "45" + "00" * 39,
        data={"limit": 100},
        maps={"flows": {"3": {"packets": 7, "bytes": 8}}},
    )
    client.break_at(source, line_of("verdict"))
    client.go()
    assert client.variables(client.scope("Globals"))["limit"]["value"] == "100 (0x64)"
    packet = client.variables(client.scope("Packet"))
    assert "IPv4" in packet["Ethernet"]["value"]
    assert client.body("evaluate", expression="flows[3].packets")["result"].startswith("10")
    client.body("continue", threadId=1)
    client.event("terminated")
    assert "returned 1 (XDP_DROP)" in client.output


def test_restart_begins_anew(stopped: Stopped) -> None:
    client = stopped("total")
    client.go("next")
    client.body("restart")
    assert client.event("stopped")["reason"] == "breakpoint"
    assert client.variables(client.scope("Globals"))["total"]["value"] == "0"


def test_numbers_of_what_was_are_refused_after_moving(stopped: Stopped) -> None:
    client = stopped("total")
    reference, frame = client.scope("Locals"), client.stack()[0]["id"]
    client.go("next")
    assert "has moved" in client.refused("variables", variablesReference=reference)
    assert client.body("scopes", frameId=frame)
    assert "has moved" in client.refused("scopes", frameId=99)


def test_sources_that_are_not_there_are_the_lines_that_the_object_has(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "gone.bpf.c"
    path.write_text(SOURCE)
    from osmia.toolchain import compile as compile_file

    object_path = tmp_path / "gone.bpf.o"
    object_path.write_bytes(compile_file(path, dwarf=True).data)
    path.unlink()
    client.launch(program=str(object_path), function="limited", stopOnEntry=True)
    client.go()
    shown = client.stack()[0]["source"]
    text = client.body("source", source=shown, sourceReference=shown["sourceReference"])["content"]
    assert "total += length;" in text.splitlines()[line_of("total") - 1]
    asked = [{"line": line_of("total")}]
    made = client.body("setBreakpoints", source=shown, breakpoints=asked)["breakpoints"]
    assert made[0]["verified"]
    client.go("continue")
    assert client.locals()["length"] == "64"
    assert client.body("loadedSources")["sources"]


def test_an_object_without_dwarf_says_so(client: Client, source: Path, tmp_path: Path) -> None:
    from osmia.toolchain import compile as compile_file

    path = tmp_path / "plain.bpf.o"
    path.write_bytes(compile_file(source).data)
    client.launch(program=str(path), function="limited")
    client.break_at(source, line_of("total"))
    client.go()
    assert "no DWARF" in client.output
    assert client.locals() == {"ctx": "<known when the function begins only: there is no DWARF>"}


def test_what_is_put_off_stops_at_breakpoints_behind_the_end(
    client: Client, tmp_path: Path
) -> None:
    from ..test_callbacks import SOURCE as TIMERS

    source = tmp_path / "timers.bpf.c"
    source.write_text(TIMERS)
    client.launch(program=str(source), packet="00" * 64, elapse=1, options={"memory": 1 << 25})
    client.body("setFunctionBreakpoints", breakpoints=[{"name": "fire"}])
    assert client.go()["reason"] == "function breakpoint"
    (frame,) = client.body("stackTrace", threadId=1)["stackFrames"]
    assert frame["name"] == "fire [timer of entries[1]]"
    assert client.refused("launch", program=str(source), elapse=-1)
