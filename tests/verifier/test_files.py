"""Logs in files, and the objects that they are of."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from osmia.errors import OsmiaError
from osmia.object.model import Object
from osmia.verifier.files import reports_of_file

from .programs import NEW, PASTED


def test_a_log_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(PASTED)
    (report,) = reports_of_file(path)
    assert report.program == "main"
    assert not report.accepted
    assert report.summary.startswith("b.bpf.c:9: R3 invalid mem access 'scalar'")


def test_a_pipe_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(PASTED,))
    writer.start()
    (report,) = reports_of_file(path)
    writer.join()
    assert report.program == "main"


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    os.truncate(path, (1 << 30) + 1)
    with pytest.raises(OsmiaError, match="more than 1 GiB"):
        list(reports_of_file(path))


def test_the_object_has_the_names_and_lines(tmp_path: Path, flows: Object) -> None:
    path = tmp_path / "log"
    path.write_text(NEW.replace(" @ a.bpf.c:3", "").replace(" @ a.bpf.c:4", ""))
    (report,) = reports_of_file(path, flows, ["refused"])
    assert report.program == "refused"
    assert report.cost.functions[0].name == "refused"
    assert all(line.file.endswith("flows.bpf.c") for line in report.cost.lines)


def test_which_program_is_asked_when_nobody_says(tmp_path: Path, flows: Object) -> None:
    path = tmp_path / "log"
    path.write_text(NEW)
    with pytest.raises(OsmiaError, match="name it: accepted, refused"):
        list(reports_of_file(path, flows))
    with pytest.raises(OsmiaError, match="main"):
        list(reports_of_file(path, flows, ["main"]))


def test_the_log_of_another_object_is_refused(tmp_path: Path, flows: Object) -> None:
    path = tmp_path / "log"
    path.write_text(NEW.replace("\n4: (95)", "\n4000: (95)"))
    with pytest.raises(OsmiaError, match="of another object"):
        list(reports_of_file(path, flows, ["refused"]))


@pytest.mark.parametrize("text", [b"", b"\0\xff", b"Hello\n", b"a.c:1: error: no\n"])
def test_what_is_no_log_is_said_to_be_none(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(text)
    with pytest.raises(OsmiaError, match="no verifier log"):
        list(reports_of_file(path))
