"""What engines declare to lack: each capability is refused with its reason, and documented."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.engine import registry
from osmia.engine.protocol import Engine

Load = Callable[..., osmia.LoadedObject]
DOCUMENT = Path(__file__).parents[2] / "docs" / "architecture.md"

#: How each capability is asked for.
USES: dict[str, list[Callable[[osmia.LoadedObject], Any]]] = {
    "attach": [lambda bpf: bpf.attach(), lambda bpf: bpf.programs["first"].attach()],
    "struct_ops": [
        lambda bpf: bpf.attach_struct_ops("control"),
        lambda bpf: bpf.register_struct_ops("control"),
    ],
    "pin": [
        lambda bpf: bpf.pin("/nowhere"),
        lambda bpf: bpf.unpin("/nowhere"),
        lambda bpf: bpf.programs["add"].pin("/nowhere/add"),
        lambda bpf: bpf.programs["add"].unpin("/nowhere/add"),
    ],
    "publish": [lambda bpf: osmia.publish(bpf, "nothing", root="/nowhere")],
    "open": [
        lambda bpf: type(bpf.programs["add"]).from_id(1),
        lambda bpf: type(bpf.programs["add"]).from_pin("/nowhere"),
        lambda bpf: type(bpf.programs["add"]).load(1, b""),
    ],
    "fileno": [
        lambda bpf: bpf.programs["add"].fileno(),
        lambda bpf: bpf.programs["add"].bind_map(3),
    ],
    "info": [lambda bpf: bpf.programs["add"].info],
    "btf": [lambda bpf: bpf.programs["add"].btf()],
    "dump": [lambda bpf: bpf.programs["add"].xlated(), lambda bpf: bpf.programs["add"].jited()],
    "run_statistics": [lambda bpf: bpf.programs["add"].run_statistics],
    "output": [
        lambda bpf: bpf.programs["add"].read_output(),
        lambda bpf: bpf.programs["add"].read_errors(),
    ],
    "imports": [lambda bpf: bpf.source.load(bpf.engine, imports=[bpf])],
    "session": [
        lambda bpf: bpf.programs["add"].session(),
        lambda bpf: bpf.programs["add"].debug(),
    ],
}


def test_every_capability_that_is_lacking_says_why(load: Load, engine: Engine) -> None:
    bpf = load()
    for capability, reason in engine.lacks.items():
        for use in USES[capability]:
            with pytest.raises(osmia.NotSupportedError) as caught:
                use(bpf)
            assert caught.value.capability == capability
            assert reason in str(caught.value)


@pytest.mark.parametrize("name", registry.OWN)
def test_own_engines_lack_what_the_document_says_and_no_more(name: str) -> None:
    table = DOCUMENT.read_text().split("\n| capability |")[1].split("\n\n")[0].split("\n")
    columns = [word.strip() for word in f"| capability |{table[0]}".split("|")]
    told = set()
    for row in table[2:]:
        cells = [word.strip() for word in row.split("|")]
        if "lacks" in cells[columns.index(name)]:
            told |= set(re.findall(r"`(\w+)`", cells[1]))
    assert registry.find(name).lacks.keys() == told
    assert {re.findall(r"`(\w+)`", row.split("|")[1])[0] for row in table[2:]} == USES.keys()


def test_what_is_the_kernels_is_found_from_the_common_type(engine: Engine, load: Load) -> None:
    program = load().programs["add"]
    with osmia.Program.from_id(program.info.id) as again:
        assert again.name == "add"
        assert isinstance(again, osmia.Program)
        assert again.engine == "kernel"
