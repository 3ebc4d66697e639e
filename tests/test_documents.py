"""The Python in docs/ runs, and what its comments say comes out does come out."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import osmia
from osmia.engine.attaching import AttachOptions
from osmia.kernel.links.kinds import KINDS

from .documents import DOCS, blocks, run, write_programs

ROOT = Path(__file__).parents[1]
PACKET = bytes(12) + b"\x08\0" + b"\x45" + bytes(11) + bytes([10, 0, 0, 1]) + bytes(30)


def test_comments_are_compared() -> None:
    document = Path("document.md")
    run(document, "1 + 1    # 2: two", {})
    run(document, "1 + 1    # a number", {})
    with pytest.raises(AssertionError):
        run(document, "if True:\n    1 + 1    # 3; three", {})


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *DOCS.rglob("*.md")):
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


@pytest.mark.kernel
def test_coverage(here: Path) -> None:
    document = DOCS / "coverage.md"
    write_programs(document, here)
    names: dict[str, Any] = {}
    for block in blocks(document, "python"):
        run(document, block, names)
    assert (here / "coverage.info").read_text().startswith("TN:")
    assert "<svg" in (here / "costs.svg").read_text()


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


def test_data(here: Path) -> None:
    document = DOCS / "data.md"
    write_programs(document, here)
    names: dict[str, Any] = {}
    try:
        for block in blocks(document, "python"):
            run(document, block, names)
    finally:
        if "bpf" in names:
            names["bpf"].close()


def test_vm() -> None:
    document = DOCS / "vm.md"
    dispatcher, lines = blocks(document, "python")
    with osmia.compile(VALUES).load(engine="vm") as bpf:
        program = bpf.programs["ingress"]
        bpf.programs["other"] = program
        run(document, dispatcher, {"bpf": bpf, "packets": [PACKET]})
        names: dict[str, Any] = {"program": program, "packets": [PACKET]}
        run(document, lines, names)
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
