"""execsnoop sees a shell of these tests execute programs."""

from __future__ import annotations

import os
import subprocess

import pytest

from osmia.tools.execsnoop import Executed, execsnoop

from .conftest import first, say_go, waiting

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("both_kernels")]


def test_a_program_is_shown_with_its_arguments() -> None:
    script = "env -i true 'two words' '' é; exit"
    with waiting(script) as shell, execsnoop(parent=shell.pid) as programs:
        say_go(shell)
        begun = first(programs, lambda row: row.process == "env")
        ended = first(programs, lambda row: row.process == "true")
    assert begun.command == "env -i true 'two words' '' 'é'"
    assert ended == Executed(begun.pid, shell.pid, os.getuid(), "true", "true 'two words' '' 'é'")


def test_users_are_told_apart() -> None:
    with execsnoop(parent=os.getpid(), uid=65534) as programs:
        subprocess.run(["true", "root"], check=True)
        subprocess.run(["true", "nobody"], check=True, user=65534)
        rows = list(programs.rows(0.2))
    assert [row.command for row in rows] == ["true nobody"]


def test_arguments_that_are_too_long_are_cut() -> None:
    with execsnoop(parent=os.getpid()) as programs:
        subprocess.run(["true", "x" * 2000], check=True)
        row = first(programs, lambda row: row.process == "true")
    assert row.command == f"true {'x' * (1024 - len('true') - 1)} …"
