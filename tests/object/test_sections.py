"""The section-name table: what SEC() names say, and what is said of unknown ones."""

import pytest

from osmia.object import AttachType, ProgramFlag, ProgramType
from osmia.object.sections import (
    find_section,
    section_definitions,
    tail_call_of,
    unknown_section,
)


def test_the_table_has_libbpfs_names() -> None:
    rows = section_definitions().values()
    assert len(rows) == 116
    assert sum(row.auto_attach for row in rows) == 50


@pytest.mark.parametrize(
    ("section", "type_", "attach_type", "target"),
    [
        ("xdp", ProgramType.XDP, AttachType.XDP, ""),
        ("tc/ingress", ProgramType.SCHED_CLS, AttachType.TCX_INGRESS, ""),
        ("tp/syscalls/sys_enter_openat", ProgramType.TRACEPOINT, None, "syscalls/sys_enter_openat"),
        ("kprobe", ProgramType.KPROBE, None, ""),
        ("fentry.s/do_unlinkat", ProgramType.TRACING, AttachType.TRACE_FENTRY, "do_unlinkat"),
        ("cgroup/connect4", ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_CONNECT, ""),
    ],
)
def test_names_give_type_attach_type_and_target(
    section: str, type_: ProgramType, attach_type: AttachType | None, target: str
) -> None:
    found = find_section(section)
    assert found is not None
    row, rest = found
    assert (row.type, row.attach_type, rest) == (type_, attach_type, target)


@pytest.mark.parametrize("section", ["xdp/eth0", "tc/foo", "kprobes/x", "", "kprobe.multiple/x"])
def test_other_names_match_nothing(section: str) -> None:
    assert find_section(section) is None


def test_sleepable_and_frags_set_program_flags() -> None:
    rows = section_definitions()
    assert rows["lsm.s"].flags == ProgramFlag.SLEEPABLE
    assert rows["xdp.frags"].flags == ProgramFlag.XDP_HAS_FRAGS


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "'tracepoint/sched/sched_switch'" in str(
        unknown_section("tracepont/sched/sched_switch", "f.o")
    )
    assert "'xdp'" in str(unknown_section("xdpp", "f.o"))


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("7/0", (7, 0)),
        ("?7/3", (7, 3)),
        ("0x10/010", (16, 8)),
        ("-1/+2", (-1, 2)),
        (" 7/ 3", (7, 3)),
        ("7/3rest", (7, 3)),
    ],
)
def test_a_section_of_two_numbers_is_a_place_in_a_prog_array(
    section: str, place: tuple[int, int]
) -> None:
    assert tail_call_of(section) == place


@pytest.mark.parametrize("section", ["xdp", "7", "7/", "/7", "tc/ingress", "a/7"])
def test_other_sections_are_no_places(section: str) -> None:
    assert tail_call_of(section) is None
