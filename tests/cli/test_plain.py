"""Lists and lookups are read without click, and are what click's parser makes of the same words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from osmia.cli import plain
from osmia.cli.application import application, invoke
from osmia.cli.output import Output
from osmia.engine.maps import Map
from osmia.object.uapi import MapType

from .conftest import OSMIA, Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


@pytest.fixture
def held() -> Iterator[Map]:
    with Map.create(
        MapType.ARRAY, key_size=4, value_size=4, max_entries=1, name="plainly_held"
    ) as made:
        yield made


@pytest.mark.parametrize("noun", ["prog", "map", "link"])
@pytest.mark.parametrize("options", [[], ["-j"], ["--pretty"], ["-j", "-f"]])
def test_a_list_needs_no_click(noun: str, options: list[str]) -> None:
    code = "import sys; from osmia.cli import main; status = main(sys.argv[1:]);"
    code += "print('click' in sys.modules, status, file=sys.stderr)"
    command = [sys.executable, "-c", code, noun, "list", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "False 0\n"


@pytest.mark.parametrize(
    "line",
    [
        "map show ID",
        "map list id ID -j",
        "-p map show name plainly_held",
        "map list ID -f",
        "map lookup id ID key 0 0 0 0",
        "map lookup -j name plainly_held key 0",
    ],
)
def test_what_is_printed_is_the_same(
    held: Map, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.replace("ID", str(held.id)).split()
    assert plain.done(words, Output())
    plainly = capsys.readouterr().out
    invoke(words, Output())
    assert capsys.readouterr().out == plainly
    assert plainly


@pytest.mark.parametrize(
    "line",
    [
        "map",
        "map list --help",
        "map list -v",
        "map -f list",
        "map list tag 1 2",
        "map dump 1",
        "map list name",
        "link list name flows",
        "map lookup id 1",
        "map lookup id 1 key",
        "map lookup 1 key 0",
        "map lookup id 1 key -1",
        "map lookup id 1 k 0 0 0 0",
        "map lookup id 1 key 0 -f",
        "map list id many",
        "--color never map list",
        "features",
    ],
)
def test_other_lines_and_wrong_ones_are_clicks(line: str) -> None:
    output = Output()
    assert not plain.done(line.split(), output)
    assert not output.json and not output.pretty


def test_a_wrong_line_is_told_with_its_command(osmia: Cli) -> None:
    told = osmia("link", "list", "name", "flows", "-j")
    assert told.status == 2
    assert "(see osmia link list --help)" in told.err


def test_what_is_not_there_is_an_error_in_one_line() -> None:
    done = subprocess.run([*OSMIA, "map", "list", "no_such"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "osmia: there is no map with name no_such\n"


def test_a_key_that_is_not_there_is_an_error_in_one_line(held: Map) -> None:
    command = [*OSMIA, "map", "lookup", "id", str(held.id), "key", "9", "0", "0", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "osmia: map 'plainly_held' has no such key\n"


def test_each_list_is_a_command_of_clicks_too() -> None:
    import click

    for noun in plain.LISTS:
        group = application.get_command(click.Context(application), noun)
        assert isinstance(group, click.Group)
        assert {"list", "show"} <= set(group.list_commands(click.Context(group)))
