"""Light skeletons compiled and run: what they make, as the kernel describes it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from osmia.kernel.sys import syscall

from ...differential.seen import SeenMap, SeenProgram, see_map, see_program

T = TypeVar("T")

#: Opens, changes initial values, loads, says what came of it, and stays until its input ends.
PROGRAM = """\
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <linux/types.h>
{types}
#include "{header}"

int main(void)
{{
	struct {name} *skel = {name}__open();

	if (!skel)
		return 2;
	{before}
	if ({name}__load(skel)) {{
		perror("load");
		{failed}
		{name}__destroy(skel);
		return 1;
	}}
	{says}
	{after}
	puts("end");
	fflush(stdout);
	getchar();
	{name}__destroy(skel);
	return 0;
}}
"""


class LoaderFailedError(Exception):
    """The skeleton did not load."""


@dataclass(frozen=True)
class Made:
    """What a skeleton made: programs by their names in it, maps in its order, printed lines."""

    programs: dict[str, SeenProgram]
    maps: dict[str, SeenMap]
    lines: list[str]


def build(
    header: str,
    directory: Path,
    *,
    types: str = "",
    before: str = "",
    after: str = "",
    failed: str = "",
) -> Path:
    """Compile a program around the header; its path.

    `types` come before the header; statements run `before` the load, `after` it, or when it
    `failed`.
    """
    name = re.search(r"^struct (\w+) \{$", header, re.MULTILINE)
    assert name is not None
    directory.mkdir(exist_ok=True)
    (directory / "skeleton.h").write_text(header)
    says = "\n\t".join(
        f'printf("{group} {each} %d\\n", skel->{group}.{each}.{field});'
        for group, kind, field in (("progs", "prog", "prog_fd"), ("maps", "map", "map_fd"))
        for each in re.findall(rf"struct bpf_{kind}_desc (\w+);", header)
    )
    source = directory / "program.c"
    text = PROGRAM.format(
        header="skeleton.h",
        name=name[1],
        types=types,
        before=before,
        says=says,
        after=after,
        failed=failed,
    )
    source.write_text(text)
    program = directory / "program"
    command: list[str | Path] = [
        "gcc",
        "-Wall",
        "-Werror",
        "-Wno-unused-function",
        "-o",
        program,
        source,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return program


@contextmanager
def running(program: Path) -> Iterator[tuple[int, list[str]]]:
    """The program while it holds what it made: its process, and the lines that it printed."""
    pipe = subprocess.PIPE
    with subprocess.Popen([program], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = []
        for line in process.stdout:
            if line == "end\n":
                break
            lines.append(line.strip())
        else:
            raise LoaderFailedError(process.stderr.read().strip())
        try:
            yield process.pid, lines
        finally:
            process.communicate("\n", timeout=30)


def see(program: Path) -> Made:
    """Run the program and look at what it made."""
    with running(program) as (process, lines):
        programs: dict[str, SeenProgram] = {}
        maps: dict[str, SeenMap] = {}
        rest: list[str] = []
        for line in lines:
            match line.split():
                case ["progs", name, fd]:
                    if int(fd) > 0:  # else it was left out
                        programs[name] = _look(process, fd, "prog", see_program)
                case ["maps", name, fd]:
                    maps[name] = _look(process, fd, "map", see_map)
                case _:
                    rest.append(line)
        return Made(programs, maps, rest)


def _own(process: int, fd: str, kind: str) -> int:
    """A descriptor of one's own for what another process has as `fd`."""
    text = Path(f"/proc/{process}/fdinfo/{fd}").read_text()
    found = re.search(rf"^{kind}_id:\s*(\d+)$", text, re.MULTILINE)
    assert found is not None, text
    by_id = syscall.prog_get_fd_by_id if kind == "prog" else syscall.map_get_fd_by_id
    return by_id(int(found[1]))


def _look(process: int, fd: str, kind: str, see: Callable[[int], T]) -> T:
    own = _own(process, fd, kind)
    try:
        return see(own)
    finally:
        os.close(own)
