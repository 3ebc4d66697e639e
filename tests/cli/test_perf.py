"""`osmia perf`: programs behind the events that this process holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from osmia import compile as compile_source
from osmia.kernel.links import perf

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("raw_tp/sched_process_exit") int raw(void *ctx) { return 0; }
SEC("tp/sched/sched_process_exit") int traced(void *ctx) { return 0; }
"""


@pytest.mark.parametrize("linked", [True, False], ids=["links", "as before 5.15"])
def test_own_events_are_listed(linked: bool, osmia: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    if not linked:
        monkeypatch.setattr(perf, "_link", lambda *arguments: None)
    with compile_source(SOURCE).load() as bpf:
        ids = {name: program.id for name, program in bpf.programs.items()}
        links = bpf.attach()
        try:
            listed = osmia("perf", "list", "-j").json
            mine = {each["prog_id"]: each for each in listed if each["pid"] == os.getpid()}
            raw, traced = mine[ids["raw"]], mine[ids["traced"]]
            assert (raw["fd_type"], raw["tracepoint"]) == ("raw_tracepoint", "sched_process_exit")
            assert (traced["fd_type"], traced["tracepoint"]) == ("tracepoint", "sched_process_exit")
            assert raw["fd"] == links[0].fileno()
            lines = [line.split() for line in osmia("perf", "show").lines]
            assert lines[0] == ["pid", "fd", "program", "kind", "where", "offset"]
            row = [os.getpid(), raw["fd"], ids["raw"], "raw_tracepoint", "sched_process_exit"]
            assert list(map(str, row)) in lines
            if shutil.which("bpftool"):
                theirs = json.loads(subprocess.check_output(["bpftool", "-j", "perf", "list"]))
                told = [each for each in theirs if each["pid"] == os.getpid()]
                assert {each["prog_id"] for each in told} == mine.keys()
                assert all(each.items() <= mine[each["prog_id"]].items() for each in told)
        finally:
            for link in links:
                link.close()
    assert not [each for each in osmia("perf", "list", "-j").json if each["pid"] == os.getpid()]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize(("verb", "what"), [("perf", "query descriptor"), ("btf", "list btf ids")])
def test_who_may_not_ask_is_told_so(verb: str, what: str) -> None:
    # What the other user might have no right to read is imported before.
    code = "import os, sys; from osmia.cli import main, application, perf, btf\n"
    code += "import osmia.kernel.sys.privileges\n"
    code += "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    code += f"sys.exit(main(['{verb}', 'list']))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"osmia: cannot {what}") and "EPERM" in run.stderr
