"""Which program a section means, and what an object becomes for one attachment."""

from __future__ import annotations

import pytest

import osmia
from osmia.errors import OsmiaError
from osmia.object.model import Map, Object, Pinning, Program
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.passes.attachment import find_program, for_attachment, for_graft

TC, XDP, UNSPEC = ProgramType.SCHED_CLS, ProgramType.XDP, ProgramType.UNSPEC


def made_of(*programs: tuple[str, str, ProgramType], held: str = "") -> Object:
    """Programs by name, section and type; `held` are names of those in a prog array."""
    slots = tuple(enumerate(held.split()))
    array = Map("jumps", MapType.PROG_ARRAY, 4, 4, 8, slots=slots)
    return Object(
        "datapath",
        programs={name: Program(name, name, section, kind) for name, section, kind in programs},
        maps={"jumps": array},
    )


def test_a_section_is_named_or_iproute2s_default() -> None:
    obj = made_of(("main", "classifier", TC), ("other", "tc", TC))
    assert find_program(obj, TC).name == "main"
    assert find_program(obj, TC, "tc").name == "other"
    assert find_program(obj, TC, "other").name == "other"


def test_a_section_comes_before_a_program_of_that_name() -> None:
    obj = made_of(("a", "b", TC), ("b", "c", TC))
    assert find_program(obj, TC, "b").name == "a"
    assert find_program(obj, TC, "c").name == "b"


def test_the_only_program_of_the_type_needs_no_name() -> None:
    obj = made_of(("main", "tc/ingress", TC), ("fast", "xdp", XDP))
    assert find_program(obj, TC).name == "main"
    assert find_program(obj, XDP).name == "fast"


def test_programs_in_prog_arrays_are_not_meant_when_nobody_says_one() -> None:
    """They are reached by tail calls: the entry is the one that no array holds."""
    obj = made_of(("entry", "tc/ingress", TC), ("tail", "tc/tail", TC), held="tail")
    assert find_program(obj, TC).name == "entry"
    assert find_program(obj, TC, "tail").name == "tail"
    with pytest.raises(OsmiaError, match="one sched_cls program; it has 'tc/tail'"):
        find_program(made_of(("tail", "tc/tail", TC), held="tail"), TC)


def test_what_is_not_clear_is_an_error() -> None:
    two = made_of(("a", "tc", TC), ("b", "tc", TC))
    with pytest.raises(OsmiaError, match="several programs in 'tc'; give a name"):
        find_program(two, TC, "tc")
    with pytest.raises(OsmiaError, match="no 'egress'; it has 'tc', 'tc'"):
        find_program(two, TC, "egress")
    with pytest.raises(OsmiaError, match="it has no programs"):
        find_program(made_of(), TC)


def test_an_attachment_loads_its_program_and_what_prog_arrays_hold() -> None:
    obj = made_of(("main", "classifier", UNSPEC), ("tail", "1/0", XDP), ("rest", "xdp", XDP))
    obj.maps["jumps"] = made_of(held="tail").maps["jumps"]
    prepared, name = for_attachment(obj, TC)
    assert name == "main"
    kinds = {each.name: (each.autoload, each.type) for each in prepared.programs.values()}
    assert kinds == {"main": (True, TC), "tail": (True, TC), "rest": (False, XDP)}
    assert obj.programs["main"].type is UNSPEC


def test_a_type_of_its_own_keeps_what_the_section_said() -> None:
    obj = made_of(("fast", "prog", XDP))
    said = Program("fast", "fast", "prog", XDP, AttachType.XDP, flags=32)
    obj.programs["fast"] = said
    assert for_attachment(obj, XDP)[0].programs["fast"] == said
    changed = for_attachment(obj, TC, "prog")[0].programs["fast"]
    assert (changed.type, changed.expected_attach_type, changed.flags) == (TC, None, 0)


def test_a_graft_loads_one_program_and_fills_nothing() -> None:
    obj = made_of(("main", "tc", TC), ("tail", "1/0", UNSPEC), held="tail")
    inner = (0, "main")
    obj.maps["pinned"] = Map("pinned", MapType.HASH_OF_MAPS, slots=(inner,), pinning=Pinning.GLOBAL)
    obj.maps["own"] = Map("own", MapType.HASH_OF_MAPS, slots=(inner,))
    prepared = for_graft(obj, TC, "tail")
    assert [each.name for each in prepared.programs.values() if each.autoload] == ["tail"]
    assert prepared.programs["tail"].type is TC
    slots = {name: definition.slots for name, definition in prepared.maps.items()}
    assert slots == {"jumps": (), "pinned": (), "own": (inner,)}


def test_several_programs_are_named() -> None:
    source = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    source += 'SEC("tc") int one(struct __sk_buff *skb) { return 0; }\n'
    source += 'SEC("tc") int other(struct __sk_buff *skb) { return 1; }\n'
    obj = osmia.compile(source)
    with pytest.raises(OsmiaError, match="to attach; give a name: 'one', 'other'"):
        for_attachment(obj, TC)
    with pytest.raises(OsmiaError, match="several programs in 'tc'; give a name: 'one', 'other'"):
        for_attachment(obj, TC, "tc")
