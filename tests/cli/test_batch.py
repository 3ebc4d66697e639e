"""`osmia batch`: many command lines, one process."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osmia.cli.batch import Line, as_document, lines
from osmia.engine.maps import KeyedMap, Map
from osmia.errors import OsmiaError
from osmia.object.uapi import MapType

from .conftest import OSMIA, Result
from .test_dump import BPFTOOL

Cli = Callable[..., Result]


@pytest.fixture
def numbers() -> Iterator[KeyedMap]:
    with Map.create(MapType.HASH, key_size=4, value_size=4, max_entries=9, name="numbers") as made:
        yield made


@pytest.fixture
def batch(osmia: Cli, tmp_path: Path) -> Callable[..., Result]:
    """Run the lines of a text: batch("prog list", "-j")."""

    def run(text: str, *options: str) -> Result:
        path = tmp_path / "commands"
        path.write_text(text)
        return osmia("batch", path, *options)

    return run


def test_lines_are_read_as_a_shell_reads_them() -> None:
    text = "# first\n\nmap show 'a b' # c\n  prog \\\n list\nmap update key \"#1\"\nlast"
    assert list(lines(io.StringIO(text), "x")) == [
        Line(3, ["map", "show", "a b"]),
        Line(4, ["prog", "list"]),
        Line(6, ["map", "update", "key", "#1"]),
        Line(7, ["last"]),
    ]
    with pytest.raises(OsmiaError, match="x, line 2: no closing quotation"):
        list(lines(io.StringIO("a\nb 'c\n"), "x"))


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("", None),
        ('{"a":1}\n', {"a": 1}),
        ("[1,2]\n", [1, 2]),
        ('{"a":1}\n{"b":2}\n[3]\n', [{"a": 1}, {"b": 2}, [3]]),
        ("plain text\nof two lines\n", "plain text\nof two lines\n"),
        ("[1] is an index\n", "[1] is an index\n"),
    ],
)
def test_what_a_command_printed_is_one_value(printed: str, value: Any) -> None:
    assert json.loads("".join(as_document(io.StringIO(printed)))) == value


@pytest.mark.kernel
def test_commands_run_one_after_the_other(batch: Callable[..., Result], numbers: KeyedMap) -> None:
    done = batch(
        f"""
        map update id {numbers.id} key 1 value 10  # the first
        map update id {numbers.id} \\
            key 2 value 20
        map lookup id {numbers.id} key 2
        """,
        "-v",
    )
    assert done.status == 0, done.err
    assert dict(numbers) == {1: 10, 2: 20}
    assert done.lines[1].split() == ["02", "00", "00", "00", "14", "00", "00", "00"]
    assert done.err == "3 commands run\n"


@pytest.mark.kernel
def test_the_first_that_fails_ends_it_and_is_named(
    osmia: Cli, batch: Callable[..., Result], numbers: KeyedMap, compiled: Path
) -> None:
    text = f"""map update id {numbers.id} key 1 value 1
map lookup id {numbers.id} key 7
map update id {numbers.id} key 2 value 2
map update id {numbers.id} key
"""
    ended = batch(text)
    assert ended.status == 1
    assert "commands, line 2: map 'numbers' has no such key" in ended.err
    assert ended.err.startswith("osmia: ") and ended.err.count("\n") == 1
    assert dict(numbers) == {1: 1}
    whole = batch(text, "--keep-going")
    assert whole.status == 1
    assert "line 2: map 'numbers' has no such key" in whole.err
    assert "line 4: " in whole.err
    assert dict(numbers) == {1: 1, 2: 2}
    assert batch("nonsense").status == 2
    assert "line 1: there is no command 'nonsense'" in batch("nonsense").err
    assert batch("batch -").status == 2
    assert "is no text" in osmia("batch", compiled).err
    assert batch("map show 'x").err.endswith("commands, line 1: no closing quotation\n")


@pytest.mark.kernel
def test_as_json_it_is_one_array(batch: Callable[..., Result], numbers: KeyedMap) -> None:
    numbers[1] = 10
    name = ["id", str(numbers.id)]
    commands = [
        ["map", "dump", *name],
        ["map", "delete", *name, "key", "1"],
        ["map", "lookup", *name, "key", "1"],
    ]
    for options in (("-j",), ("--pretty",)):
        numbers[1] = 10
        done = batch("\n".join(map(" ".join, commands)), *options)
        dumped, deleted, failed = done.json
        assert dumped["command"] == commands[0]
        assert dumped["output"][0]["key"] == ["0x01", "0x00", "0x00", "0x00"]
        assert deleted == {"command": commands[1], "output": None}
        assert failed["output"] == {"error": "map 'numbers' has no such key", "line": 3}
        assert (done.status, done.err) == (1, "")
    assert batch("", "-j").json == []
    assert batch("# nothing", "--pretty").json == []


@pytest.mark.kernel
@pytest.mark.skipif(not BPFTOOL.exists(), reason="compares with bpftool 7.8")
def test_the_array_is_bpftools(
    batch: Callable[..., Result], numbers: KeyedMap, tmp_path: Path
) -> None:
    numbers[1] = 10
    text = f"map lookup id {numbers.id} key 1 0 0 0\nmap dump id {numbers.id}\n"
    mine = batch(text, "-j").json
    command = [str(BPFTOOL), "-j", "batch", "file", str(tmp_path / "commands")]
    assert mine == json.loads(subprocess.check_output(command))


@pytest.mark.kernel
def test_commands_come_by_standard_input(numbers: KeyedMap) -> None:
    text = f"map update id {numbers.id} key 5 value 50\n"
    subprocess.run([*OSMIA, "batch", "-"], input=text, text=True, check=True)
    assert dict(numbers) == {5: 50}
    bpftools_words = [*OSMIA, "-j", "batch", "file", "-"]
    done = subprocess.run(bpftools_words, input=text, text=True, check=True, capture_output=True)
    assert json.loads(done.stdout)[0]["output"] is None


@pytest.mark.kernel
def test_a_reader_that_goes_ends_it(numbers: KeyedMap) -> None:
    numbers.update_many((number, number) for number in range(9))
    text = f"map dump id {numbers.id}\n" * 2000
    with subprocess.Popen(
        [*OSMIA, "batch", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(text.encode())
        running.stdin.close()
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(60) == 141
