"""docs/parity.md: as the list says, and the list as the code is."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _load_generator() -> ModuleType:
    name = "generate_parity"
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


parity = _load_generator()
SYMBOLS, COMMANDS = list(parity.entries("libbpf")), list(parity.entries("bpftool"))


def test_the_document_is_what_the_list_says() -> None:
    assert parity.DOCUMENT.read_text(encoding="utf-8") == parity.render(), (
        "run tools/generate_parity.py"
    )


def test_whatever_is_named_exists() -> None:
    faults = []
    for entry in SYMBOLS + COMMANDS:
        if entry.answer is parity.Answer.EQUIVALENT:
            try:
                parity.resolve(entry)
            except LookupError as error:
                faults.append(f"{entry.theirs}: {error}")
    assert faults == []


@pytest.mark.parametrize(
    "value",
    [
        "osmia.nowhere",
        "osmia.engine.maps.Map.fly",
        "osmia.engine.maps.Map.name.more",
        "$ osmia fly",
        "$ osmia prog fly",
    ],
)
def test_what_does_not_exist_is_found_out(value: str) -> None:
    with pytest.raises(LookupError):
        parity.resolve(parity.parse("theirs", "1.0", value))


@pytest.mark.parametrize("value", ["", "yes", "osmia.open and more", "needed: no"])
def test_an_entry_says_something(value: str) -> None:
    with pytest.raises(ValueError, match="names nothing"):
        parity.parse("theirs", "1.0", value)


def test_what_is_not_needed_has_a_reason() -> None:
    bare = [e for e in SYMBOLS + COMMANDS if e.answer is parity.Answer.NOT_NEEDED and not e.note]
    assert bare == []


def test_no_symbol_is_listed_twice() -> None:
    names = [entry.theirs for entry in SYMBOLS]
    assert sorted(names) == sorted(set(names))


def test_every_symbol_of_the_installed_libbpf_is_listed() -> None:
    found = sorted(Path("/usr/lib").glob("*/libbpf.so.1*"))
    if not found or shutil.which("nm") is None:
        pytest.skip("needs libbpf (libbpf-dev) and nm (binutils)")
    told = subprocess.run(
        ["nm", "-D", "--defined-only", found[0]], check=True, capture_output=True, text=True
    )
    exported = set(re.findall(r" T ((?:lib)?\w+?)@", told.stdout))
    assert len(exported) > 250
    assert exported - {entry.theirs for entry in SYMBOLS} == set()


def test_every_command_of_the_installed_bpftool_is_listed() -> None:
    bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin")
    if bpftool is None:
        pytest.skip("needs bpftool")
    listed = {(e.group, word) for e in COMMANDS for word in re.split(r", | ", e.theirs)}
    absent = set()
    for group in dict.fromkeys(entry.group for entry in COMMANDS):
        told = subprocess.run([bpftool, group, "help"], capture_output=True, text=True)
        usage = re.findall(rf"bpftool {group} (?:\{{ ([\w| ]+) \}}|(\w+))", told.stderr)
        for several, one in usage:
            verbs = several.split(" | ") if several else [one]
            absent |= {(group, verb) for verb in verbs if verb != "help"} - listed
    assert absent == set()
