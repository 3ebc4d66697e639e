"""Maps that are not made: impossible calls in their place, with libbpf's numbers and our words."""

from __future__ import annotations

from dataclasses import replace

from osmia.isa import disassemble
from osmia.object.model import Map, Object, Relocation, RelocationKind, Unresolved
from osmia.object.uapi import MapType
from osmia.passes import Target, prepare
from osmia.passes.left_out import leave_out_maps
from osmia.passes.poison import POISONED_MAP

from .machines import Asking


def using_maps() -> Object:
    obj = Asking().line("r6 = r1\nr1 = 0 ll\nr2 = 0 ll\nexit").object()
    relocations = (
        Relocation(8, RelocationKind.MAP, "kept"),
        Relocation(24, RelocationKind.MAP, "gone"),
    )
    maps = {name: Map(name, MapType.ARRAY, 4, 4, 1) for name in ("first", "kept", "gone")}
    obj.functions["p"] = replace(obj.functions["p"], relocations=relocations)
    obj.maps.update(maps)
    obj.set_autocreate("gone", False)
    return obj


def test_references_become_calls_that_cannot_be() -> None:
    function = leave_out_maps(using_maps()).functions["p"]
    assert [line for _, line in disassemble(function.code)] == [
        "r6 = r1",
        "r1 = 0x0 ll",
        f"call unknown#{POISONED_MAP + 2}",
        f"call unknown#{POISONED_MAP + 2}",
        "exit",
    ]
    assert [each.target for each in function.relocations] == ["kept"]
    what = "map 'gone' is used here, and autocreate is off"
    assert function.unresolved == (Unresolved(24, what), Unresolved(32, what))


def test_a_map_that_is_given_is_there() -> None:
    obj = using_maps()
    prepared = prepare(obj, Target(), given_maps={"gone"}).object
    assert prepared.functions["p"].relocations == obj.functions["p"].relocations
    assert prepare(obj, Target()).object.functions["p"].unresolved
