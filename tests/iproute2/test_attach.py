"""Attached as tc and ip do: what they list afterwards, what packets meet, and the verbs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.cli.running import run
from osmia.errors import KernelError, MapMismatchError, OsmiaError
from osmia.formats.elf_writer import write_object
from osmia.kernel.load.graft import graft, pinned_map_path
from osmia.kernel.rtnetlink import lwt, qdisc_marks, tc_filters
from osmia.kernel.rtnetlink import xdp as xdp_netlink
from osmia.object import ProgramType
from osmia.passes.attachment import for_attachment
from osmia.passes.convert import convert

ARRAY, PROG_ARRAY, ARRAY_OF_MAPS = 2, 3, 12
SHOT, PASS = 2, 0
CALL = "r2 = 0x0 ll\nr3 = 1\ncall bpf_tail_call\nr0 = 0\nexit"
COUNT = """
    *(u32 *)(r10 -4) = 0
    r2 = r10
    r2 += -4
    r1 = 0x0 ll
    call bpf_map_lookup_elem
    if r0 == 0x0 goto out
    r1 = 1
    lock *(u64 *)(r0 +0) += r1
out:
    r0 = 0
    exit
"""
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("tc") is None, reason="needs iproute2"),
]


def map_at(pin: Path) -> Any:
    return osmia.Map.from_pin(pin)


def kernel_release() -> tuple[int, ...]:
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))


def shown(*words: str) -> Any:
    tool, *rest = words
    out = subprocess.run([tool, "-j", "-d", *rest], capture_output=True, text=True, check=True)
    return json.loads(out.stdout or "[]")


def send(count: int, device: str = "right") -> None:
    frame = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02" + b"\x88\xb5" + bytes(50)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((device, 0))
        for _ in range(count):
            sender.send(frame)


@pytest.fixture
def counting(legacy: Any, words: Any, tmp_path: Path) -> Path:
    """An object that counts in a global map, in section `classifier` and in section `prog`."""
    path = tmp_path / "count.o"
    path.write_bytes(
        legacy(
            maps={"count": words(ARRAY, 4, 8, 1, pinning=2)},
            programs={
                "classifier": COUNT,
                "prog": COUNT.replace("r0 = 0\n    exit", "r0 = 2\nexit"),
            },
            references={"classifier": {3: "count"}, "prog": {3: "count"}},
        ).to_bytes()
    )
    return path


@pytest.fixture
def calling(legacy: Any, words: Any, tmp_path: Path) -> Callable[[int], Path]:
    """Objects whose entry tail-calls a program that returns the number given."""

    def make(verdict: int) -> Path:
        path = tmp_path / f"calling{verdict}.o"
        path.write_bytes(
            legacy(
                maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5, pinning=2)},
                programs={"classifier": CALL, "5/1": f"r0 = {verdict}\nexit"},
                references={"classifier": {0: "jump"}},
            ).to_bytes()
        )
        return path

    return make


def test_tc_lists_the_filter_by_name_id_and_tag(counting: Path, veth: str, tc_mount: Path) -> None:
    assert run(["tc", "attach", veth, "ingress", str(counting), "--prio", "7"]) == 0
    (listed,) = (f for f in shown("tc", "filter", "show", "dev", veth, "ingress") if "options" in f)
    found, prog = listed["options"], listed["options"]["prog"]
    (mine,) = tc_filters.filters(veth)
    assert found["bpf_name"] == "count.o:[classifier]"
    assert found["direct-action"]
    assert (listed["pref"], prog["id"], prog["tag"]) == (7, mine.program_id, mine.tag)
    assert prog["name"].startswith("f_class")
    send(5)
    with map_at(tc_mount / "tc/globals/count") as count:
        assert count[0] == 5
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert not tc_filters.filters(veth)


def test_filters_without_direct_action_and_twice_at_one_place(
    counting: Path, veth: str, tc_mount: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tc", "attach", veth, "egress", str(counting), "--prio", "3", "--handle", "1"]
    assert run([*words, "--no-direct-action"]) == 0
    assert not tc_filters.filters(veth)[0].direct_action
    assert run(words) == 1
    assert "EEXIST" in capsys.readouterr().err
    assert run([*words, "--replace"]) == 0
    (replaced,) = tc_filters.filters(veth, "egress")
    assert replaced.direct_action
    assert run(["tc", "list", veth, "-j"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["prio"], row["tag"], row["direction"]) == (3, replaced.tag, "egress")


def test_a_filter_that_fails_leaves_no_qdisc(veth: str, counting: Path, tc_mount: Path) -> None:
    obj, name = for_attachment(osmia.open(counting), ProgramType.XDP)
    with obj.load() as loaded, pytest.raises(KernelError):
        tc_filters.add_filter(loaded.programs[name], veth, "ingress")
    assert not [q for q in shown("tc", "qdisc", "show", "dev", veth) if q["kind"] == "clsact"]


def has_qdisc(device: str) -> bool:
    return any(q["kind"] == "clsact" for q in shown("tc", "qdisc", "show", "dev", device))


def test_the_qdisc_that_attaching_made_goes_with_the_last_filter(
    veth: str, counting: Path, tc_mount: Path
) -> None:
    for direction in ("ingress", "egress", "egress"):
        assert run(["tc", "attach", veth, direction, str(counting)]) == 0
    assert run(["tc", "detach", veth, "egress", "--all"]) == 0
    assert has_qdisc(veth)
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert not has_qdisc(veth)
    assert {path.name for path in Path(qdisc_marks.DIRECTORY).iterdir()} == {"lock"}


def test_a_qdisc_of_somebody_elses_stays(veth: str, counting: Path, tc_mount: Path) -> None:
    add = ["tc", "qdisc", "add", "dev", veth, "clsact"]
    subprocess.run(add, check=True)
    assert run(["tc", "attach", veth, "ingress", str(counting)]) == 0
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert has_qdisc(veth)
    # One that was made here, taken away and made anew by somebody else is that one's.
    subprocess.run(["tc", "qdisc", "del", "dev", veth, "clsact"], check=True)
    assert run(["tc", "attach", veth, "ingress", str(counting)]) == 0
    subprocess.run(["tc", "qdisc", "del", "dev", veth, "clsact"], check=True)
    subprocess.run(add, check=True)
    assert run(["tc", "attach", veth, "ingress", str(counting)]) == 0
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert has_qdisc(veth)


def test_a_qdisc_with_somebody_elses_filter_stays(
    veth: str, counting: Path, tc_mount: Path
) -> None:
    assert run(["tc", "attach", veth, "ingress", str(counting)]) == 0
    classic = ["bpf", "bytecode", "1,6 0 0 4294967295,"]
    subprocess.run(["tc", "filter", "add", "dev", veth, "egress", *classic], check=True)
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert has_qdisc(veth)


@pytest.mark.parametrize("content", ["", "another boot\n"])
def test_what_is_no_mark_of_this_boot_says_nothing(
    veth: str, counting: Path, tc_mount: Path, content: str
) -> None:
    assert run(["tc", "attach", veth, "ingress", str(counting)]) == 0
    (mark,) = (p for p in Path(qdisc_marks.DIRECTORY).iterdir() if p.name != "lock")
    mark.write_text(content)
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert has_qdisc(veth)


def test_where_no_mark_can_be_written_the_qdisc_stays(
    veth: str, counting: Path, tc_mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdisc_marks, "DIRECTORY", "/proc/nowhere")
    assert run(["tc", "attach", veth, "ingress", str(counting)]) == 0
    assert run(["tc", "detach", veth, "ingress"]) == 0
    assert has_qdisc(veth)


def test_tcx_links_are_pinned(
    counting: Path, veth: str, tc_mount: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin = tc_mount / "link"
    if kernel_release() < (6, 6):
        assert run(["tc", "attach", veth, "ingress", str(counting), "--tcx", str(pin)]) == 1
        assert "needs Linux 6.6" in capsys.readouterr().err
        return
    assert run(["tc", "attach", veth, "ingress", str(counting), "--tcx", str(pin)]) == 0
    send(3)
    with map_at(tc_mount / "tc/globals/count") as count:
        assert count[0] == 3
    pin.unlink()


def test_ip_lists_the_xdp_program_by_id_and_tag(
    counting: Path, veth: str, tc_mount: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["xdp", "attach", veth, str(counting)]) == 0
    (link,) = shown("ip", "link", "show", "dev", veth)
    (mine,) = xdp_netlink.attached_xdp(veth)
    assert link["xdp"]["prog"]["id"] == mine.program_id
    with osmia.Program.from_id(mine.program_id) as program:
        assert link["xdp"]["prog"]["tag"] == program.info.tag
    assert mine.mode == "native"
    send(4)
    with map_at(tc_mount / "tc/globals/count") as count:
        assert count[0] == 4
    assert run(["xdp", "attach", veth, str(counting)]) == 1
    assert "EBUSY" in capsys.readouterr().err
    assert run(["xdp", "attach", veth, str(counting), "--replace"]) == 0
    assert run(["xdp", "detach", veth]) == 0
    assert not xdp_netlink.attached_xdp(veth)


def test_routes_through_programs_are_listed_by_ip(
    counting: Path, veth: str, tc_mount: Path
) -> None:
    obj, name = for_attachment(osmia.open(counting), ProgramType.LWT_OUT, "classifier")
    with obj.load() as loaded:
        try:
            lwt.add_route("203.0.113.0/24", veth, programs={"out": loaded.programs[name]})
        except KernelError as error:
            pytest.skip(f"this kernel has no lightweight BPF tunnels: {error}")
    (route,) = shown("ip", "route", "show", "203.0.113.0/24")
    assert route["encap"] == "bpf"
    lwt.remove_route("203.0.113.0/24", veth)
    assert not shown("ip", "route", "show", "203.0.113.0/24")


def test_what_converted_objects_do_is_what_tc_makes_of_them(
    legacy: Any, words: Any, veth: str, tc_mount: Path, tmp_path: Path
) -> None:
    """tc 6.1 is built on libbpf and refuses section `maps`; it loads what was converted. (Tail
    calls it cannot: it loads one program, and libbpf wants all that `values` name.)"""
    data = legacy(
        maps={
            "count": words(ARRAY, 4, 8, 1, pinning=2),
            "outer": words(ARRAY_OF_MAPS, 4, 4, 4, inner_id=3, pinning=2),
            "inner": words(ARRAY, 4, 8, 2, id=3, inner_idx=2, pinning=2),
        },
        programs={"classifier": COUNT},
        references={"classifier": {3: "count"}},
    ).to_bytes()
    old = tmp_path / "old.o"
    old.write_bytes(data)
    new = tmp_path / "new.o"
    new.write_bytes(write_object(convert(osmia.open(data)).object))
    tc = ["tc", "filter", "add", "dev", veth, "ingress", "bpf", "da", "obj"]
    subprocess.run(["tc", "qdisc", "add", "dev", veth, "clsact"], check=True)
    refused = subprocess.run([*tc, str(old), "sec", "classifier"], capture_output=True, text=True)
    version = subprocess.run(["tc", "-V"], capture_output=True, text=True).stdout
    if "libbpf" in version:
        assert refused.returncode != 0
    subprocess.run([*tc, str(new), "sec", "tc"], check=True)
    send(3)
    by_tc = _datapath(veth, tc_mount)
    subprocess.run(["tc", "filter", "del", "dev", veth, "ingress"], check=True)
    shutil.rmtree(tc_mount / "tc")
    assert run(["tc", "attach", veth, "ingress", str(old)]) == 0
    send(3)
    assert _datapath(veth, tc_mount) == by_tc


def _datapath(device: str, root: Path) -> Any:
    """Program tags, pins, map definitions, slots and counters of a running datapath."""
    tags = [each.tag for each in tc_filters.filters(device)]
    maps = {}
    for pin in sorted((root / "tc/globals").iterdir()):
        with map_at(pin) as found:
            info = found.info
            maps[pin.name] = (info.type, info.key_size, info.value_size, info.max_entries)
    with (
        map_at(root / "tc/globals/count") as count,
        map_at(root / "tc/globals/outer") as outer,
        map_at(root / "tc/globals/inner") as inner,
    ):
        slots = {
            index: (value if isinstance(value, int) else value.id) == inner.id
            for index, value in outer.items()
            if value
        }
        return tags, maps, slots, count[0]


def test_graft_replaces_one_slot_while_packets_flow(
    calling: Callable[[int], Path], veth: str, tc_mount: Path
) -> None:
    """The entry's verdict comes by tail call: first it drops, after the graft it passes."""
    assert run(["tc", "attach", veth, "ingress", str(calling(SHOT))]) == 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as receiver:
        receiver.bind((veth, 0x88B5))
        receiver.settimeout(0.2)
        send(1)
        with pytest.raises(TimeoutError):
            receiver.recv(100)
        assert run(["graft", "jump", "1", f"{calling(PASS)}:5/1"]) == 0
        send(1)
        assert receiver.recv(100)


def test_a_graft_takes_its_key_from_the_section(
    calling: Callable[[int], Path], tc_mount: Path
) -> None:
    with osmia.open(calling(SHOT)).load() as loaded:
        entry = loaded.programs["f_classifier"]
        assert entry.run(bytes(64)).retval == SHOT
        graft(osmia.open(calling(7)), pinned_map_path("m:globals/jump"), None, "5/1")
        assert entry.run(bytes(64)).retval == 7


def test_what_does_not_fit_is_refused_and_the_slot_stays(
    calling: Callable[[int], Path], tc_mount: Path
) -> None:
    with osmia.open(calling(SHOT)).load() as loaded:
        entry = loaded.programs["f_classifier"]
        path = pinned_map_path("jump")
        replacement = osmia.open(calling(7))
        with pytest.raises(MapMismatchError, match="sched_cls in the map, xdp here"):
            graft(replacement, path, 1, "5/1", ProgramType.XDP)
        with pytest.raises(OsmiaError, match="slot 4 is out of range"):
            graft(replacement, path, 4, "5/1")
        with pytest.raises(OsmiaError, match="does not tell a slot"):
            graft(replacement, path, None, "classifier")
        assert entry.run(bytes(64)).retval == SHOT


def test_xdp_programs_are_grafted_whether_loaded_with_an_attach_type_or_not(
    legacy: Any, words: Any, tc_mount: Path
) -> None:
    def xdp(verdict: int) -> bytes:
        data: bytes = legacy(
            maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5, pinning=2)},
            programs={"xdp": CALL, "5/1": f"r0 = {verdict}\nexit"},
            references={"xdp": {0: "jump"}},
        ).to_bytes()
        return data

    root = tc_mount / "tc/globals"
    for obj in (osmia.open(xdp(1)), convert(osmia.open(xdp(1))).object):
        with obj.load(pin_root=root) as loaded:
            assert loaded.programs["f_xdp"].run(bytes(64)).retval == 1
            graft(osmia.open(xdp(2)), pinned_map_path("jump"), 1, "5/1")
            assert loaded.programs["f_xdp"].run(bytes(64)).retval == 2
        (root / "jump").unlink()


def test_xdp_links_are_pinned(counting: Path, veth: str, tc_mount: Path) -> None:
    pin = tc_mount / "link"
    assert run(["xdp", "attach", veth, str(counting), "--link", str(pin)]) == 0
    send(3)
    with map_at(tc_mount / "tc/globals/count") as count:
        assert count[0] == 3
    pin.unlink()


BY_NAME = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, long); __uint(pinning, LIBBPF_PIN_BY_NAME); } osmia_counted SEC(".maps");
static int count(void) {
    int k = 0;
    long *seen = bpf_map_lookup_elem(&osmia_counted, &k);
    if (seen) __sync_fetch_and_add(seen, 1);
    return 0;
}
SEC("tc") int filter(struct __sk_buff *c) { return count(); }
SEC("xdp") int receive(struct xdp_md *c) { return 2 + count(); }
SEC("lwt_out") int leave(struct __sk_buff *c) { return count(); }
"""


@pytest.mark.parametrize(
    "words",
    [
        ["tc", "attach", "left", "ingress", "FILE"],
        ["tc", "attach", "left", "ingress", "FILE", "--tcx", "LINK"],
        ["xdp", "attach", "left", "FILE", "-s", "receive"],
        ["lwt", "attach", "10.11.12.0/24", "left", "FILE", "-s", "leave"],
    ],
    ids=["tc", "tcx", "xdp", "lwt"],
)
def test_what_is_attached_shares_the_maps_that_tc_has_pinned_by_name(
    words: list[str], veth: str, tc_mount: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a word it would count in a new map under /sys/fs/bpf, beside the one in use."""
    file = tmp_path / "counted.o"
    file.write_bytes(write_object(osmia.compile(BY_NAME)))
    by_tc = tc_mount / "tc/globals"
    with osmia.open(file).load(pin_root=by_tc) as running:
        names = {"FILE": str(file), "LINK": str(tc_mount / "link")}
        words = [names.get(word, word) for word in words]
        if "--tcx" in words and kernel_release() < (6, 6):
            pytest.skip("tcx is since Linux 6.6")
        assert run(words) == 1
        assert "'osmia_counted' is pinned in" in capsys.readouterr().err
        assert run([*words, "--pin-root", str(by_tc)]) == 0
        if words[0] != "lwt":
            send(3)
            assert running.maps["osmia_counted"][0] == 3
    assert not Path("/sys/fs/bpf/osmia_counted").exists()


def test_only_prog_arrays_take_grafts(
    calling: Callable[[int], Path], legacy: Any, words: Any, tc_mount: Path
) -> None:
    with (
        osmia.open(legacy(maps={"plain": words(pinning=2)}).to_bytes()).load(),
        pytest.raises(OsmiaError, match="no prog array but a array"),
    ):
        graft(osmia.open(calling(7)), pinned_map_path("plain"), 1, "5/1")


def test_the_command_converts_checks_and_prints(
    counting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new.o"
    assert run(["convert", str(counting), "--type", "xdp", "-o", str(target)]) == 0
    assert osmia.open(target).dialect == "libbpf"
    assert run(["convert", str(counting), "--check"]) == 1
    assert "cannot express: program 'f_prog'" in capsys.readouterr().err
    assert run(["convert", str(counting), "--source", "--type", "xdp"]) == 0
    assert '} count SEC(".maps");' in capsys.readouterr().out
    assert run(["check", str(counting), "-v"]) == 0
    assert "1 maps (struct bpf_elf_map)" in capsys.readouterr().out
    assert run(["check", "--strict-btf", str(counting)]) == 1
    assert "the object has no BTF" in capsys.readouterr().out


def test_the_command_warns_of_prog_arrays_that_nobody_holds(
    legacy: Any,
    words: Any,
    veth: str,
    tc_mount: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "loose.o"
    path.write_bytes(
        legacy(
            maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5)},
            programs={"classifier": CALL, "5/1": "r0 = 0\nexit", "6/1": "r0 = 0\nexit"},
            references={"classifier": {0: "jump"}},
        ).to_bytes()
    )
    assert run(["tc", "attach", veth, "ingress", str(path)]) == 0
    said = capsys.readouterr().err
    assert "prog array 'jump' is not pinned" in said
    assert "no prog array has id 6" in said
