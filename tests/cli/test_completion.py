"""Completion, through click's classes for shells: what is offered for every kind of word."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import CompletionItem, get_completion_class

from osmia.cli.application import VERBS, application
from osmia.cli.running import COMPLETION_VARIABLE
from osmia.kernel.programs.program import KernelProgram

from .conftest import OSMIA, Result

Cli = Callable[..., Result]


def items(line: str, shell: str = "bash") -> list[CompletionItem]:
    """What is offered for the last word of a command line, which ends in a blank for a new one."""
    *words, incomplete = line.split(" ")
    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(application, {}, "osmia", COMPLETION_VARIABLE)
    return completion.get_completions(words, incomplete)


def values(line: str) -> list[str]:
    return [each.value for each in items(line) if each.type == "plain"]


def types(line: str) -> set[str]:
    return {each.type for each in items(line)}


def test_verbs_come_with_what_they_do() -> None:
    assert values("pro") == ["prog", "profile"]
    assert {each.value for each in items("")} >= set(VERBS)
    assert items("stub")[0].help == VERBS["stubs"]


def test_commands_of_a_noun_those_that_are_imported_later_too() -> None:
    assert values("prog d") == ["detach", "dump"]
    assert "lookup" in values("map ")
    assert "--directory" in values("prog load --d")


@pytest.mark.kernel
def test_programs_by_name_id_tag_and_pin(pinned: Path) -> None:
    with KernelProgram.from_pin(pinned / "count") as program:
        info = program.info
    for verb in ("show", "dump xlated", "run", "pin", "profile"):
        offered = values(f"prog {verb} ")
        assert {"count", str(info.id), "id", "name", "tag", "pinned"} <= set(offered)
    assert str(info.id) in values("prog show id ")
    assert "count" in values("prog show name co")
    assert "count" not in values("prog show name x")
    assert info.tag in values("prog show tag ")
    assert str(pinned / "count") in values("prog pin pinned /")
    (told,) = [each for each in items("prog show id ", "zsh") if each.value == str(info.id)]
    assert told.help == "xdp count"


@pytest.mark.kernel
def test_maps_and_the_words_behind_them(pinned: Path) -> None:
    assert {"totals", "by_cpu"} <= set(values("map dump "))
    assert "totals" in values("map dump name t")
    assert str(pinned / "maps/totals") in values("map dump pinned /")
    assert values("map update totals ") == ["key"]
    assert values("map update name totals ") == ["key"]
    assert "value" in values("map update totals key 1 ")
    assert values("map update totals key 1 value 2 ") == ["any", "exist", "noexist"]
    assert values("map lookup totals key ") == ["hex"]
    assert "totals" in values("map create x --inner to")
    assert "lru_hash" in values("map create x --type lru")
    assert "file" in types("map load totals ")


@pytest.mark.kernel
def test_links_and_btf(osmia: Cli, compiled: Path, pinned: Path) -> None:
    with KernelProgram.from_pin(pinned / "count") as program, program.attach("lo", mode="generic"):
        offered = items("link detach id ")
        assert "xdp" in {each.help for each in offered}
    assert set(values("btf dump ")) == {"id", "prog", "map", "file", "vmlinux"}
    assert "1" in values("btf dump id ")
    assert "count" in values("btf dump prog name ")
    assert {"key", "value", "kv", "all"} == set(values("btf dump map totals "))
    assert types("btf dump file ") == {"file"}


@pytest.mark.kernel
def test_hooks_and_where_they_belong(pinned: Path) -> None:
    assert "sk_msg_verdict" in values("prog attach count sk_")
    assert "totals" in values("prog attach count sk_msg_verdict ")
    assert values("prog tracelog std") == ["stdout", "stderr"]
    assert "count" in values("prog tracelog stdout ")
    assert "cgroup_inet_egress" in values("cgroup attach /x cgroup_inet_e")
    assert {"multi", "override"} == set(values("cgroup attach /x cgroup_device count "))


def test_devices() -> None:
    for line in ("xdp attach ", "tc attach ", "xdp list ", "net list ", "run x.o --iface "):
        assert "lo" in values(line), line
    assert values("tc attach lo in") == ["ingress"]
    assert "xdpgeneric" in values("net attach xdpg")


def test_what_is_in_a_file(compiled: Path) -> None:
    assert "count" in values(f"run {compiled} --prog ")
    assert "count" in values(f"prog load {compiled} /x -p c")
    assert "count" in values(f"verify {compiled} c")
    assert "count" in values(f"debug {compiled} c")
    assert {"count", "report"} <= set(values(f"inspect {compiled} -p "))
    assert {"xdp", "count"} <= set(values(f"xdp attach lo {compiled} -s "))
    assert "totals=" in values(f"prog load {compiled} /x --map t")
    settings = values(f"prog load {compiled} /x --set ")
    assert settings and all(each.endswith("=") for each in settings)
    assert "count" in values(f"fleet run tls://x {compiled} --attach c")
    assert values(f"fleet run tls://x {compiled} --set ") == settings
    assert "count" in values(f"fleet upgrade tls://x a {compiled} --try ")
    counters = values(f"fleet upgrade tls://x a {compiled} --moves ")
    assert [f"{each}=" for each in counters] == settings
    assert "cgroup/skb" in values("prog load a b --type cgroup/s")


def test_files_and_engines_are_left_to_those_who_know_them() -> None:
    assert types("inspect ") == {"file"}
    assert types("debug x.o one --pcap ") == {"file"}
    assert values("run x.o --engine v") == ["vm"]


def test_nothing_is_said_of_what_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF nothing")
    for file in (broken, tmp_path / "absent.o", tmp_path / "source.bpf.c"):
        assert items(f"run {file} --prog ") == []


@pytest.mark.kernel
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_ask_by_environment(shell: str, pinned: Path) -> None:
    line = "osmia prog show name co"
    asked = {COMPLETION_VARIABLE: f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": "4"}
    if shell == "fish":
        asked["COMP_CWORD"] = "co"
    done = subprocess.run(
        OSMIA, env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert "count" in done.stdout
    assert done.stderr == ""


@pytest.mark.kernel
@pytest.mark.parametrize("line", ["pro", "prog show ", "map dump name ", "xdp attach "])
def test_an_answer_loads_little(line: str) -> None:
    code = (
        "import sys; from osmia.cli.application import application\n"
        "from osmia.cli.running import COMPLETION_VARIABLE\n"
        "from click.shell_completion import BashComplete\n"
        f"*words, incomplete = {line.split(' ')!r}\n"
        "shell = BashComplete(application, {}, 'osmia', COMPLETION_VARIABLE)\n"
        "assert shell.get_completions(words, incomplete)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"numpy", "rich", "capstone", "asyncio", "osmia.kernel.load.loader", "osmia.vm"}
    assert not loaded & heavy
    verbs = {name for name in VERBS if f"osmia.cli.{name}" in loaded}
    assert verbs <= {line.split()[0]}
