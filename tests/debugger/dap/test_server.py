"""The server over stdio and sockets, with clients that are wrong or go away."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.debugger.dap.messages import MOST_BODY, MOST_HEADER

from .client import Client
from .conftest import line_of

Connect = Callable[..., Client]
Start = Callable[..., tuple[Client, "subprocess.Popen[bytes]"]]


def framed(data: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(data) + data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (framed(b"{]"), "no JSON"),
        (framed(b"\xff\xfe"), "no JSON"),
        (framed(b"[" * 100_000), "no JSON"),
        (framed(b"[1, 2]"), "no object"),
        (framed(b'{"type": "event", "event": "x"}'), "no request"),
        (framed(b'{"seq": 1, "type": "request"}'), "no request"),
        (framed(b'{"seq": 1, "type": "request", "command": 3}'), "no request"),
    ],
)
def test_a_bad_message_is_told_and_the_next_is_answered(
    client: Client, data: bytes, words: str
) -> None:
    client.send_bytes(data)
    assert client.body("initialize")["supportsStepBack"]
    assert words in client.output


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Length: x\r\n\r\n",
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1),
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Type: text\r\n\r\n{}",
        b"x" * (MOST_HEADER + 1),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_a_header_behind_which_nothing_can_be_found_ends_the_connection(
    client: Client, data: bytes
) -> None:
    client.send_bytes(data)
    last = client.next()
    assert last is not None
    assert last["body"]["category"] == "stderr"
    assert client.next() is None
    assert client.served is not None
    client.served.join(60)
    assert not client.served.is_alive()


def test_other_headers_and_any_case_are_taken(client: Client) -> None:
    data = json.dumps({"seq": 1, "type": "request", "command": "threads"}).encode()
    client.send_bytes(b"content-length: %d\r\nContent-Type: x\r\n\r\n" % len(data) + data)
    assert client.answer(1)["success"]


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("nothing", {}, "no request 'nothing'"),
        ("stackTrace", {}, "no program"),
        ("continue", {"threadId": 1}, "no program"),
        ("configurationDone", {}, "no program"),
        ("attach", {}, "launch"),
        ("launch", {}, '"program" is missing'),
        ("launch", {"program": "/nowhere.bpf.o"}, "No such file"),
        ("launch", {"program": 3}, "and not str"),
        ("launch", {"program": "x.c", "stopOnEntry": "yes"}, "and not bool"),
        ("launch", {"program": "x.c", "executor": "jit"}, "interpreted"),
        ("launch", {"program": "x.c", "packet": "00", "pcap": "y"}, "is enough"),
        ("launch", [1], "no object"),
        ("setBreakpoints", {}, "lacks 'source'"),
        ("setBreakpoints", {"source": 5}, ""),
        ("evaluate", None, "no program"),
    ],
)
def test_wrong_requests_have_one_clear_error(
    client: Client, command: str, arguments: Any, words: str
) -> None:
    found = client.answer(client.send(command, arguments))
    assert not found["success"]
    assert words in found["message"]
    assert client.body("threads")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "limited, wrong"),
        ({"function": "limitd"}, "limited"),
        ({"function": "limited", "data": {"limt": 1}}, "limit"),
        ({"function": "limited", "maps": {"flow": {}}}, "flows"),
        ({"function": "limited", "packet": "zz"}, "hexadecimal"),
        ({"function": "limited", "pcap": "none.pcap"}, "none.pcap"),
        ({"function": "limited", "options": {"nothing": 1}}, "nothing"),
        ({"function": "limited", "defines": {"limited": "("}}, "error"),
    ],
)
def test_a_launch_that_cannot_be_leaves_nothing_and_another_may_follow(
    client: Client, source: Path, arguments: dict[str, Any], words: str
) -> None:
    assert words in client.refused("launch", program=str(source), **arguments)
    client.launch(program=str(source), function="limited")
    client.body("configurationDone")
    client.event("terminated")


def test_a_moving_program_is_paused_from_outside(client: Client, tmp_path: Path) -> None:
    endless = tmp_path / "endless.bpf.c"
    endless.write_text(
        '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar l[] SEC("license") = "GPL";\n'
        '__u64 n; SEC("xdp") int endless(struct xdp_md *ctx)\n{\n'
        "    for (;;)\n        n++;\n    return 0;\n}\n"
    )
    client.launch(program=str(endless), budget=1 << 40)
    client.body("configurationDone")
    client.body("pause", threadId=1)
    assert client.event("stopped")["reason"] == "pause"
    assert client.stack()[0]["name"] == "endless"
    client.body("continue", threadId=1)
    client.body("disconnect")
    assert client.next() is None


def test_a_client_that_goes_away_takes_its_running_program_along(
    client: Client, tmp_path: Path
) -> None:
    endless = tmp_path / "endless.bpf.c"
    endless.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n__u64 n;\n"
        'SEC("xdp") int endless(struct xdp_md *ctx) { for (;;) n++; return 0; }\n'
        'char l[] SEC("license") = "GPL";\n'
    )
    client.launch(program=str(endless), budget=1 << 40)
    client.body("configurationDone")
    client.end()
    assert client.served is not None
    client.served.join(60)
    assert not client.served.is_alive()


def test_a_client_that_goes_away_in_the_middle_of_a_message(client: Client) -> None:
    client.send_bytes(b"Content-Length: 100\r\n\r\n{")
    client.end()
    assert client.served is not None
    client.served.join(60)
    assert not client.served.is_alive()


def test_terminate_ends_the_program_and_disconnect_the_connection(
    client: Client, source: Path
) -> None:
    client.launch(program=str(source), function="limited", stopOnEntry=True)
    client.go()
    client.body("terminate")
    client.event("terminated")
    client.body("disconnect")
    assert client.next() is None


def test_over_stdio_nothing_but_messages_is_written_to_stdout(start: Start, source: Path) -> None:
    client, process = start("--dap")
    client.launch(program=str(source), function="limited")
    client.break_at(source, line_of("total"))
    assert client.go()["reason"] == "breakpoint"
    assert client.locals()["length"] == "64"
    client.body("continue", threadId=1)
    client.event("terminated")
    client.body("disconnect")
    assert process.wait(60) == 0
    assert client.next() is None


def test_over_stdio_a_client_that_goes_away_ends_the_process(start: Start) -> None:
    client, process = start("--dap")
    client.body("initialize")
    client.target.close()
    assert process.wait(60) == 0


def test_over_a_socket_editors_come_one_after_the_other(start: Start, source: Path) -> None:
    _, process = start("--dap=0")
    assert process.stderr is not None
    told = process.stderr.readline().decode()
    found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", told)
    assert found is not None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", int(found[1])), 60) as connection:
            client = Client(
                connection.makefile("rb"),
                connection.makefile("wb"),
                lambda made=connection: made.shutdown(socket.SHUT_RDWR),  # type: ignore[misc]
            )
            client.launch(program=str(source), function="limited", stopOnEntry=True)
            assert client.go()["reason"] == "entry"
            client.close()


def test_the_command_line_says_what_an_editor_need_not(start: Start, source: Path) -> None:
    words = ["limited", "--set", "limit=1000", "--packet", "00" * 30, "-D", "UNUSED=1", "--dap"]
    client, process = start(str(source), *words)
    client.launch()
    client.break_at(source, line_of("total"))
    client.go()
    assert client.locals()["length"] == "30"
    client.body("continue", threadId=1)
    client.event("terminated")
    assert "returned 1 (XDP_DROP)" in client.output
    client.body("disconnect")
    assert process.wait(60) == 0


@pytest.mark.parametrize("words", [["--dap=x"], ["--dap=70000"], ["x.c", "--batch", "--dap"]])
def test_a_wrong_command_line_is_one_error(start: Start, words: list[str]) -> None:
    _, process = start(*words)
    assert process.wait(60) == 2
    assert process.stderr is not None
    assert b"--dap" in process.stderr.read()


_STRANGE: list[Any] = [
    None,
    -1,
    1 << 70,
    1.5,
    True,
    "",
    "x",
    "0x10",
    [],
    {},
    [{}],
    [None],
    {"a": 1},
]
_NAMES = [
    *("frameId", "variablesReference", "name", "value", "expression", "context", "start", "count"),
    *("filter", "source", "breakpoints", "lines", "filters", "memoryReference", "offset", "data"),
    *("instructionOffset", "instructionCount", "startFrame", "levels", "granularity", "threadId"),
    *("sourceReference", "arguments"),
]
_COMMANDS = [
    *("stackTrace", "scopes", "variables", "setVariable", "evaluate", "setExpression", "threads"),
    *("dataBreakpointInfo", "exceptionInfo", "source", "loadedSources", "readMemory", "initialize"),
    *("writeMemory", "disassemble", "setBreakpoints", "setFunctionBreakpoints", "pause", "launch"),
    *("setInstructionBreakpoints", "setDataBreakpoints", "setExceptionBreakpoints", "restart"),
]


@pytest.mark.parametrize("seed", range(4))
def test_strange_arguments_are_refused_or_taken_and_break_nothing(
    client: Client, source: Path, seed: int
) -> None:
    chance = random.Random(seed)
    client.launch(program=str(source), function="limited", stopOnEntry=True)
    client.go()
    for _ in range(150):
        names = chance.sample(_NAMES, chance.randrange(6))
        arguments = {name: chance.choice(_STRANGE) for name in names}
        command = chance.choice(_COMMANDS)
        if command == "launch":
            arguments["program"] = 1
        found = client.answer(client.send(command, arguments))
        assert "osmia failed" not in found.get("message", ""), (command, arguments, found)
    assert client.body("threads")
    assert "Traceback" not in client.output
