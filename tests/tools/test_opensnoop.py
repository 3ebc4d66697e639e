"""opensnoop sees a process of these tests open files, and be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.tools.opensnoop import Opened, opensnoop

from .conftest import first, say_go, waiting

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("both_kernels")]


def test_files_that_a_process_opens_are_shown(tmp_path: Path) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.touch()
    with waiting(f": < {there}; : < {missing}") as shell, opensnoop(pid=shell.pid) as files:
        say_go(shell)
        opened = first(files, lambda row: row.path == str(there))
        refused = first(files, lambda row: row.path == str(missing))
        assert files.lost == 0
    assert opened == Opened(shell.pid, "sh", opened.fd, "", str(there))
    assert opened.fd > 2
    assert refused == Opened(shell.pid, "sh", -1, "ENOENT", str(missing))


def test_others_are_left_out_and_so_is_what_was_not_refused(tmp_path: Path) -> None:
    script = f"{tmp_path}/missing; : < /dev/null; : < {tmp_path}/last"
    with waiting(script) as shell, opensnoop(pid=shell.pid, failed=True) as files:
        Path("/dev/null").read_bytes()
        say_go(shell)
        rows = list(files.rows(0.5))
    assert {row.pid for row in rows} == {shell.pid}
    assert {row.fd for row in rows} == {-1}
    assert rows[-1].path == f"{tmp_path}/last"


def test_what_there_was_no_room_for_is_counted(tmp_path: Path) -> None:
    opens = 5000  # more than the ring buffer holds
    script = f"i=0; while [ $i -lt {opens} ]; do true < {tmp_path}/missing; i=$((i+1)); done"
    with waiting(script) as shell, opensnoop(pid=shell.pid) as files:
        say_go(shell)
        rows = list(files.rows(0))
        assert 0 < len(rows) < opens
        assert len(rows) + files.lost == opens


def test_a_path_may_be_as_long_as_fits_and_is_cut_behind_that(tmp_path: Path) -> None:
    path = f"{tmp_path}/{'x' * 250}"
    with waiting(f": < {path}") as shell, opensnoop(pid=shell.pid) as files:
        say_go(shell)
        row = first(files, lambda row: row.path.startswith(str(tmp_path)))
    assert row.path == path[:255]
