"""The Python in docs/ runs, and what its comments say comes out does come out."""

from __future__ import annotations

import ast
import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import osmia
from osmia.engine.attaching import AttachOptions
from osmia.kernel.links.kinds import KINDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CLONE_NEWNET = 0x4000_0000
PACKET = bytes(12) + b"\x08\0" + b"\x45" + bytes(11) + bytes([10, 0, 0, 1]) + bytes(30)


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language, each with its line numbers in the document."""
    text = document.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, each.start(1)) + each[1] for each in found]


def write_programs(document: Path, directory: Path) -> None:
    """The document's C programs under the names in their first comments."""
    for source in blocks(document, "c"):
        name = re.match(r"\s*/\* ([\w.]+) \*/", source)
        assert name is not None
        (directory / name[1]).write_text(source.lstrip())


def results(block: str) -> dict[int, Any]:
    """What comments behind a line say that its expression gives: a literal, up to "; " or ": "."""
    told = {}
    for token in tokenize.generate_tokens(StringIO(block).readline):
        if token.type == tokenize.COMMENT:
            text = re.split(r"[;:] ", token.string.lstrip("# "), maxsplit=1)[0]
            try:
                told[token.start[0]] = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                continue
    return told


class Checked(ast.NodeTransformer):
    """Wraps expressions of which a comment tells the result in a comparison with it."""

    def __init__(self, told: dict[int, Any]) -> None:
        self.told = told

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if node.end_lineno not in self.told:
            return node
        told = ast.parse(repr(self.told[node.end_lineno]), mode="eval").body
        node.value = ast.Call(ast.Name("equal", ast.Load()), [node.value, told], [])
        return node


def equal(value: object, told: object) -> None:
    assert value == told


def run(document: Path, block: str, names: dict[str, Any]) -> None:
    tree = Checked(results(block)).visit(ast.parse(block))
    code = compile(ast.fix_missing_locations(tree), str(document), "exec")
    names["equal"] = equal
    exec(code, names)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def interface() -> Iterator[str]:
    """`veth0` in a network namespace that this thread is in."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0
        try:
            for command in ("add veth0 type veth peer name veth1", "set veth0 up"):
                subprocess.run(["ip", "link", *command.split()], check=True)
            yield "veth0"
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0
    finally:
        os.close(home)


def test_comments_are_compared() -> None:
    document = Path("document.md")
    run(document, "1 + 1    # 2: two", {})
    run(document, "1 + 1    # a number", {})
    with pytest.raises(AssertionError):
        run(document, "if True:\n    1 + 1    # 3; three", {})


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *DOCS.glob("*.md")):
        text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        for path, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)", text):
            target = document.parent / path if path else document
            assert target.exists(), f"{document.name}: {path}"
            if anchor:
                assert anchor in anchors(target), f"{document.name}: {path}#{anchor}"


def anchors(document: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def tool(name: str) -> ModuleType:
    """A module of tools/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_attach_options_is_that_of_the_code() -> None:
    text = (DOCS / "python.md").read_text()
    assert tool("generate_attach_table").document(text) == text, "run tools/generate_attach_table"


def test_every_attach_option_has_a_type() -> None:
    options = {name for kind in KINDS for name in kind.options()}
    assert options == AttachOptions.__optional_keys__


@pytest.mark.kernel
def test_python(here: Path, interface: str, bpffs: Path) -> None:
    document = DOCS / "python.md"
    write_programs(document, here)
    names: dict[str, Any] = {"pins": bpffs / "flows"}
    try:
        for block in blocks(document, "python"):
            run(document, block, names)
    finally:
        if "bpf" in names:
            names["bpf"].close()  # as the last block does


@pytest.mark.slow
def test_testing(here: Path) -> None:
    document = DOCS / "testing.md"
    write_programs(document, here)
    shutil.copy(ROOT / "examples" / "traffic.pcap", here)
    source = "\n".join(block.strip("\n") for block in blocks(document, "python"))
    (here / "test_limit.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(here)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    count = source.count("\ndef test_") + 1  # one of them on two engines
    skipped = re.search(r"(\d+) skipped", done.stdout)
    assert f"{count - bool(skipped)} passed" in done.stdout
    assert (skipped is not None) == (os.geteuid() != 0)


VALUES = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow { __u32 saddr; __u32 dport; __u64 bytes; };
struct config { __u32 limit; };
const volatile __u32 sample_rate = 8;
__u64 dropped;
struct config config;
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	__u32 key = 1;

	dropped += bpf_map_lookup_elem(&flows, &key) ? sample_rate : config.limit;
	return XDP_PASS;
}
"""


def test_values() -> None:
    document = DOCS / "values.md"
    decoding, meaning, structs, variables, _stubs = blocks(document, "python")
    run(document, decoding, {"packet": PACKET})
    with osmia.compile(Path(__file__).parent / "cli" / "meaning.bpf.c").load(engine="vm") as bpf:
        routes, peers = bpf.maps["routes"], bpf.maps["peers"]
        routes["10.0.0.0/8"] = 1
        run(document, meaning, {"routes": routes, "peers": peers, "key": "10.0.0.9"})
    obj = osmia.compile(VALUES)
    with obj.load(engine="vm") as bpf:
        bpf.maps["flows"][1] = {"saddr": 1, "dport": 443, "bytes": 1500}
        run(document, structs, {"flow": bpf.maps["flows"][1]})
        run(document, variables, {"obj": obj, "bpf": bpf})
        assert bpf.data.config.limit == 3


def test_vm() -> None:
    document = DOCS / "vm.md"
    dispatcher, coverage = blocks(document, "python")
    with osmia.compile(VALUES).load(engine="vm") as bpf:
        program = bpf.programs["ingress"]
        bpf.programs["other"] = program
        run(document, dispatcher, {"bpf": bpf, "packets": [PACKET]})
        names: dict[str, Any] = {"program": program, "packets": [PACKET]}
        run(document, coverage, names)
        assert names["never"] == set()


@pytest.mark.kernel
def test_readme(here: Path, interface: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = ROOT / "README.md"
    (block,) = blocks(document, "python")
    shutil.copy(ROOT / "examples" / "flows.bpf.c", here)
    names: dict[str, Any] = {"packet": PACKET}

    def stop() -> None:
        names["events"].close()

    # Its loop waits for ever: closing the map ends it.
    block = block.replace("print(len(", "names_stop(); print(len(")
    names["names_stop"] = stop
    with pytest.raises(osmia.ClosedError):
        run(document, block, names)
    assert capsys.readouterr().out.startswith("2 ")


@pytest.mark.kernel
def test_observing(here: Path) -> None:
    document = DOCS / "observing.md"
    write_programs(document, here)
    names: dict[str, Any] = {}
    for block in blocks(document, "python"):
        run(document, block, names)
    assert (here / "flame.html").read_text().startswith("<!DOCTYPE html>")
    assert names["frame"].name


@pytest.mark.kernel
def test_tools() -> None:
    document = DOCS / "tools.md"
    for block in blocks(document, "python"):
        run(document, block, {})
