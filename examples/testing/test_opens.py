"""Who opened what: with tasks and paths that the test makes up, and with real ones."""

import os
import threading

import pytest

pytestmark = pytest.mark.bpf("opens.bpf.c")


@pytest.fixture
def shell(bpf, bpf_machine):
    """`ls`, started by a shell, is what runs."""
    parent = bpf.vm.struct("task_struct", comm="sh", tgid=40)
    task = bpf.vm.struct("task_struct", comm="ls", pid=42, tgid=42, real_parent=parent)
    bpf_machine.run_as(task)
    return parent


def opened(bpf, path, result):
    """The events that opening a path with a result leads to."""
    name = bpf.vm.struct("filename", name=path)
    bpf.programs["enter"].run(args=[-100, name.name])
    bpf.programs["leave"].run(result=result)
    return bpf.maps["events"].read()


@pytest.mark.bpf(engines="vm")
def test_an_event_says_who_and_what(bpf, shell):
    (event,) = opened(bpf, "/etc/passwd", 3)
    assert (event.pid, event.parent, event.result) == (42, 40, 3)
    assert (str(event.process), str(event.path)) == ("ls", "/etc/passwd")
    assert len(bpf.maps["paths"]) == 0


@pytest.mark.bpf(engines="vm")
def test_a_long_path_is_cut(bpf, shell):
    (event,) = opened(bpf, "/" + "x" * 100, 3)
    assert str(event.path) == "/" + "x" * 62


@pytest.mark.bpf(engines="vm")
def test_a_path_that_cannot_be_read_is_empty(bpf, shell):
    bpf.programs["enter"].run(args=[-100, 0x10])
    bpf.programs["leave"].run(result=-14)
    (event,) = bpf.maps["events"].read()
    assert (event.result, str(event.path)) == (-14, "")


@pytest.mark.bpf(engines="vm", data={"only_failed": True})
def test_only_what_failed(bpf, shell):
    assert opened(bpf, "/etc/passwd", 3) == []
    (event,) = opened(bpf, "/etc/shadow", -13)
    assert event.result == -13


@pytest.mark.bpf(engines="vm", data={"only_pid": 7})
def test_only_one_process(bpf, shell, bpf_machine):
    assert opened(bpf, "/etc/passwd", 3) == []
    bpf_machine.run_as(bpf.vm.struct("task_struct", comm="vi", pid=8, tgid=7))
    (event,) = opened(bpf, "/etc/passwd", 3)
    assert str(event.process) == "vi"


@pytest.mark.bpf(engines="vm")
def test_what_was_opening_before_is_not_told(bpf, shell):
    bpf.programs["leave"].run(result=3)
    assert bpf.maps["events"].read() == []


@pytest.mark.bpf(engines="vm")
def test_events_that_do_not_fit_are_left_out(bpf, shell):
    bpf.vm.helpers["ringbuf_reserve"] = lambda *_: 0
    assert opened(bpf, "/etc/passwd", 3) == []
    assert len(bpf.maps["paths"]) == 0


@pytest.mark.bpf(engines="kernel", data={"only_pid": os.getpid()})
def test_real_files_of_this_process(bpf, tmp_path):
    bpf.attach()
    thread = threading.Thread(target=lambda: (tmp_path / "there").write_text("x"))
    thread.start()
    thread.join()
    told = {str(event.path): event for event in bpf.maps["events"].read()}
    event = told[str(tmp_path / "there")[:63]]
    assert event.pid == os.getpid()
    assert event.parent == os.getppid()
    assert event.result >= 0
