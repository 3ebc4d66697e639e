"""The table of section names, name by name, against what libraries and loads of libbpf say."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import osmia
from osmia.kernel.load import attach_target
from osmia.kernel.load.target import kernel_target
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import attributes, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.sections import find_section, section_definitions
from osmia.object.uapi import ProgramType

pytestmark = pytest.mark.slow

ROWS = section_definitions()


def _names(text: str) -> set[str]:
    return set(text.split())


_SINCE_1_8 = _names("""
    tracepoint.s tp.s raw_tracepoint.s raw_tp.s tp_btf.s fsession fsession.s fentry.multi
    fexit.multi fsession.multi fentry.multi.s fexit.multi.s fsession.multi.s
""")
#: libbpf's version: names that came later.
LATER = {
    "1.1": _SINCE_1_8
    | _names("""
        kprobe.session uprobe.multi uretprobe.multi uprobe.session uprobe.multi.s
        uretprobe.multi.s uprobe.session.s usdt.s tc/ingress tc/egress tcx/ingress tcx/egress
        netkit/primary netkit/peer sk_skb/verdict cgroup/connect_unix cgroup/sendmsg_unix
        cgroup/recvmsg_unix cgroup/getpeername_unix cgroup/getsockname_unix struct_ops.s netfilter
    """),
    "1.6": _SINCE_1_8,
}


class Asked(NamedTuple):
    """What a library says of a name: nothing for a name that it does not know."""

    type: int
    attach_type: int


def ask(library: ctypes.CDLL, name: str) -> Asked | None:
    kind, expected = ctypes.c_int(), ctypes.c_int()
    error = library.libbpf_prog_type_by_name(
        name.encode(), ctypes.byref(kind), ctypes.byref(expected)
    )
    return None if error else Asked(kind.value, expected.value)


def known(name: str) -> Asked | None:
    found = find_section(name)
    return Asked(int(found[0].type), int(found[0].attach_type or 0)) if found else None


def variations() -> list[str]:
    """Each name as it is, with what may stand behind it, and with what may not."""
    endings = ("", "/x", "/", "x", ".s", "+", "/x/y:z")
    return [name + ending for name in ROWS for ending in endings] + ["", "?xdp", "XDP", "/", "xdp "]


@pytest.fixture
def library(request: pytest.FixtureRequest, libraries: dict[str, str]) -> ctypes.CDLL:
    loaded = ctypes.CDLL(libraries[request.param])
    loaded.libbpf_set_print.restype = ctypes.c_void_p
    loaded.libbpf_set_print.argtypes = [ctypes.c_void_p]
    before = loaded.libbpf_set_print(None)  # each unknown name prints the whole list
    request.addfinalizer(lambda: loaded.libbpf_set_print(before))
    return loaded


@pytest.mark.parametrize(("library", "version"), [(v, v) for v in LATER], indirect=["library"])
def test_a_library_says_the_same_of_every_name(library: ctypes.CDLL, version: str) -> None:
    for name in variations():
        found = find_section(name)
        later = found is not None and found[0].name.rstrip("+") in LATER[version]
        assert ask(library, name) == (None if later else known(name)), name


@pytest.mark.parametrize(("library", "version"), [(v, v) for v in LATER], indirect=["library"])
def test_where_a_library_has_an_attach_type_it_is_ours(library: ctypes.CDLL, version: str) -> None:
    attach_type = ctypes.c_int()
    said = {
        name: attach_type.value
        for name in ROWS
        if not library.libbpf_attach_type_by_name(name.encode(), ctypes.byref(attach_type))
    }
    assert len(said) > 30
    assert said == {name: ROWS[name].attach_type for name in said}


def test_the_newest_libbpf_lists_the_same_names(peers: Any) -> None:
    done = subprocess.run(
        [peers["newer bpftool"].command, "prog", "load", "none", "none", "type", "no such name"],
        capture_output=True,
        text=True,
    )
    listed = re.search(r"supported section\(type\) names are:(.*)", done.stderr)
    assert listed, done.stderr
    assert sorted(listed[1].split()) == sorted(row.name for row in ROWS.values())


#: What stands behind the slash where not any function will do.
TARGETS = {
    "tp_btf": "sched_switch",
    "lsm": "file_open",
    "lsm_cgroup": "socket_bind",
    "iter": "task",
}


def source() -> tuple[str, dict[str, str]]:
    """A program for every name that loads without another program or a struct_ops map, and
    the sections by the programs' names."""
    sections = {}
    for number, row in enumerate(ROWS.values()):
        if row.type in (ProgramType.EXT, ProgramType.STRUCT_OPS):
            continue
        name = row.name.rstrip("+")
        target = TARGETS.get(name.removesuffix(".s"), "bpf_fentry_test1")
        ending = f"/{target}" if row.name.endswith("+") else ""
        sections[f"case_{number}"] = name + ending
    lines = [
        f'SEC("{section}") int {name}(void *ctx) {{ return 0; }}'
        for name, section in sections.items()
    ]
    return "\n".join(lines), sections


class Recorded(NamedTuple):
    """The arguments of BPF_PROG_LOAD."""

    type: int
    attach_type: int
    flags: int
    has_target: bool


def record(bpftool: str, path: Path, bpffs: Path, directory: Path, *words: str) -> list[list[str]]:
    """The lines, word by word, that loading the object with bpftool leaves (record_loads.c)."""
    preloaded, lines = directory / "record_loads.so", directory / "loads"
    c = Path(__file__).parent / "record_loads.c"
    compiler = [sys.executable, "-m", "ziglang", "cc"]
    subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", preloaded, c], check=True)
    environment = os.environ | {"LD_PRELOAD": str(preloaded), "RECORD_LOADS": str(lines)}
    # It fails in the end: what it takes for programs cannot be pinned.
    subprocess.run(
        [bpftool, "prog", "loadall", path, bpffs / "programs", *words],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    return [line.split() for line in lines.read_text().splitlines()]


def recorded(lines: list[list[str]]) -> dict[str, Recorded]:
    return {
        name: Recorded(int(kind), int(attach), int(flags), btf_id != "0")
        for name, kind, attach, flags, btf_id in lines
    }


@pytest.mark.kernel
def test_the_newest_libbpf_loads_every_section_with_the_same_arguments(
    peers: Any, compile_text: Callable[[str], Path], bpffs: Path, tmp_path: Path
) -> None:
    bpftool = peers["newer bpftool"].command
    text, sections = source()
    path = compile_text(text)
    obj = osmia.open(path)
    theirs = recorded(record(bpftool, path, bpffs, tmp_path))
    assert theirs.keys() == sections.keys()
    for name, section in sections.items():
        program, asked = obj.programs[name], theirs[name]
        expected = program.expected_attach_type or 0
        if section.startswith("usdt"):  # either says at load which links the kernel has
            expected = asked.attach_type
        has_target = attach_target.needs_target(program)
        if has_target:
            assert attach_target.find_in_kernel(program, kernel_target())
        mine = Recorded(int(program.type), int(expected), program.flags, has_target)
        assert mine == asked, section


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("section", "pattern"),
    [("fentry.multi", "vfs_*"), ("fexit.multi.s", "*printk*"), ("fsession.multi", "s?n*_m*")],
)
def test_the_newest_libbpf_attaches_to_the_same_functions(
    section: str,
    pattern: str,
    peers: Any,
    compile_text: Callable[[str], Path],
    bpffs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bpftool = peers["newer bpftool"].command
    path = compile_text(f'SEC("{section}/{pattern}") int case_1(void *ctx) {{ return 0; }}')
    _load, theirs = record(bpftool, path, bpffs, tmp_path, "autoattach")
    mine: list[str] = []

    def invoke(command: int, attribute: attributes.LinkCreate) -> int:
        assert command == syscall.Command.LINK_CREATE
        asked = attributes.LinkTracingMultiOptions.from_buffer(attribute.options)
        ids = (ctypes.c_uint32 * asked.cnt).from_address(asked.ids)
        words = (attribute.target_fd, attribute.attach_type, attribute.flags, asked.cookies, *ids)
        mine.extend(["link", *map(str, words)])
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    definition = osmia.open(path).programs["case_1"]
    monkeypatch.setattr(syscall, "invoke", invoke)
    nothing = FileDescriptor(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "program")
    with KernelProgram(
        nothing,
        type=definition.type,
        name="case_1",
        expected_attach_type=definition.expected_attach_type,
        definition=definition,
    ) as program:
        program.attach().close()
    assert mine == theirs
    assert len(mine) > 10
