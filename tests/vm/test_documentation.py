"""docs/vm.md names what the vm has: types, maps, helpers, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

from osmia.errors import NotSupportedError, OsmiaError
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.contexts import PLAIN, layout_for
from osmia.vm.engine import Vm
from osmia.vm.helpers import supported
from osmia.vm.sk_buff import GIVEN

DOCUMENT = (Path(__file__).parents[2] / "docs" / "vm.md").read_text()


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_helper_and_kfunc_is_in_the_table() -> None:
    table = "\n".join(line for line in section("Helpers and kfuncs").split("\n") if "|" in line)
    named = set(re.findall(r"`bpf_(\w+)`", table))
    assert named == supported().keys() - {"poison"} | {"tail_call"}


def test_every_map_type_is_listed(vm: Vm) -> None:
    named = {MapType[name] for name in re.findall(r"`([A-Z_]+)`", section("Maps"))}
    has = set()
    for kind in MapType:
        try:
            vm.create_map(kind)
        except NotSupportedError:
            continue
        except OsmiaError:
            pass
        has.add(kind)
    assert named == has


def test_every_context_is_in_the_table() -> None:
    table, rest = section("Program types and contexts").split("\n\n", 2)[:2]
    rows = [line.split("|") for line in table.split("\n") if line.startswith("| `")]
    structs = {
        ProgramType[name]: row[2].strip(" `").removeprefix("struct ")
        for row in rows
        for name in re.findall(r"`(\w+)`", row[1])
    }
    found = {kind: layout_for(kind) for kind in ProgramType}
    assert structs == {kind: each.name for kind, each in found.items() if each is not PLAIN}
    assert set(re.findall(r"`(\w+)`", rest.split("may be given", 1)[0])) >= set(GIVEN)
