"""`osmia batch`: many command lines in one process, one a line of a file."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import click

from osmia.cli.application import attempt
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.errors import OsmiaError
from osmia.named_tuples import NamedTuple

#: Bytes of a command's output that are kept in memory until it is known what it is.
_IN_MEMORY = 1 << 20


class Line(NamedTuple):
    """A command line, and the number of the line that it begins in."""

    number: int
    words: list[str]


@click.command("batch", cls=Verb, json=True)
@click.argument("file")
@click.option("--keep-going", is_flag=True, help="Go on after a command that failed.")
@pass_output
def batch_command(output: Output, file: str, keep_going: bool) -> int:
    """Run the commands in FILE, one a line, in one process; - is standard input.

    They are written as in a shell, without `osmia` in front: quotes hold words together, # begins a
    comment, and a line that ends in \\ goes on in the next. The first that fails ends it, and its
    exit status is that of the whole. With -j the output is one array, of each command and what it
    printed, as bpftool's.
    """
    name = "standard input" if file == "-" else file
    with click.open_file(file, encoding="utf-8") as stream:
        running = _Running(output, name, keep_going)
        return running.run(stream)


class _Running:
    """The commands of one file."""

    def __init__(self, output: Output, name: str, keep_going: bool) -> None:
        self._output, self._name, self._keep_going = output, name, keep_going
        self._status = 0
        self._done = 0

    def run(self, stream: IO[str]) -> int:
        """Run all of them; the exit status of the first that failed, 0 when none did."""
        as_json = self._output.json
        if as_json:
            sys.stdout.write("[")
        try:
            for line in lines(stream, self._name):
                status = self._as_json(line) if as_json else self._as_text(line)
                self._done += 1
                self._status = self._status or status
                if status and not self._keep_going:
                    break
        finally:
            if as_json:
                sys.stdout.write("\n]\n" if self._output.pretty and self._done else "]\n")
        if self._output.verbose:
            note(f"{self._done:,} commands run")
        return self._status

    def _as_text(self, line: Line) -> int:
        status, problem = self._attempt(line)
        sys.stdout.flush()
        if problem:
            # The line that names the file stands behind tracebacks.
            before, mark, after = problem.rpartition("osmia: ")
            where = printable(f"{self._name}, line {line.number}: ")
            sys.stderr.write(f"{before}{mark}{where}{after}")
            sys.stderr.flush()
        return status

    def _as_json(self, line: Line) -> int:
        """One object: the words, and under "output" what was printed, or the error."""
        with SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8") as printed:
            target: Any = printed
            with redirect_stdout(target):
                status, problem = self._attempt(line)
            printed.seek(0)
            before = "," if self._done else ""
            if problem:
                pieces = iter([json.dumps({"error": _message(problem), "line": line.number})])
            else:
                pieces = as_document(target)
            opening = f'{{"command":{json.dumps(line.words)},"output":'
            if self._output.pretty:
                whole = json.loads("".join([opening, *pieces, "}"]))
                shown = json.dumps(whole, indent=4).replace("\n", "\n    ")
                sys.stdout.write(f"{before}\n    {shown}")
            else:
                sys.stdout.write(before + opening)
                sys.stdout.writelines(pieces)
                sys.stdout.write("}")
        return status

    def _attempt(self, line: Line) -> tuple[int, str]:
        output = Output()
        output.json, output.verbose = self._output.json, self._output.verbose
        output.color = self._output.color
        if line.words[0] in ("ba", "bat", "batch"):
            return 2, "osmia: a batch does not begin another one\n"
        return attempt(line.words, output)


def lines(stream: IO[str], name: str) -> Iterator[Line]:
    """The command lines of a file called `name`. OsmiaError for quotes that do not end."""
    begun, text = 0, ""
    for number, line in enumerate(_text(stream, name), 1):
        begun = begun or number
        text += line.rstrip("\n")
        if text.endswith("\\") and not text.endswith("\\\\"):
            text = text[:-1]
            continue
        if words := _words(text, name, begun):
            yield Line(begun, words)
        begun, text = 0, ""
    if words := _words(text, name, begun):
        yield Line(begun, words)


def _text(stream: IO[str], name: str) -> Iterator[str]:
    try:
        yield from stream
    except UnicodeDecodeError as error:
        raise OsmiaError(f"{name} is no text: {error}") from None


def _words(text: str, name: str, number: int) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise OsmiaError(f"{name}, line {number}: {str(error).lower()}") from None


def as_document(printed: IO[str]) -> Iterator[str]:
    """One JSON value for what a command printed: its document, an array of its documents, text
    where it printed text, null where it printed nothing."""
    first = printed.readline()
    second = printed.readline()
    if not first:
        yield "null"
    elif not first.startswith(("{", "[", '"', "null\n")) or not _is_json(first):
        yield json.dumps(first + second + printed.read())
    elif not second:
        yield first.rstrip("\n")
    else:
        yield "["
        yield first.rstrip("\n")
        while second:
            yield ","
            yield second.rstrip("\n")
            second = printed.readline()
        yield "]"


def _message(problem: str) -> str:
    """What an error says: the last line where it is an object, as of a command that prints JSON."""
    last = problem.rstrip("\n").rpartition("\n")[2]
    if last.startswith('{"error":') and _is_json(last):
        return str(json.loads(last)["error"])
    return problem.rpartition("osmia: ")[2].rstrip("\n")


def _is_json(line: str) -> bool:
    """Whether a line is a document; of long ones, which are lists of entries, that is believed."""
    if len(line) > _IN_MEMORY:
        return True
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
