"""Which kind of the attach table a program is of, and which options that has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.kernel.links.kinds import KINDS, attach, kind_of
from osmia.object.sections import find_section
from osmia.object.uapi import ProgramType


def program(section: str) -> Any:
    """What an object file with a program of this section says, as far as attachments look."""
    found = find_section(section)
    assert found is not None
    definition = SimpleNamespace(section=section, attach_to=section.partition("/")[2])
    return SimpleNamespace(
        type=found[0].type,
        expected_attach_type=found[0].attach_type,
        name="prog",
        definition=definition,
    )


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("xdp", "xdp"),
        ("tc", "tc, tcx"),
        ("tcx/ingress", "tc, tcx"),
        ("netkit/peer", "netkit"),
        ("cgroup_skb/ingress", "cgroup, sock_ops"),
        ("sockops", "cgroup, sock_ops"),
        ("lsm_cgroup/bpf", "lsm_cgroup"),
        ("lsm/bpf", "fentry, fexit, fmod_ret, lsm, tp_btf"),
        ("fentry/f", "fentry, fexit, fmod_ret, lsm, tp_btf"),
        ("fexit.multi/f*", "fentry.multi, fexit.multi, fsession.multi"),
        ("iter/task", "iter"),
        ("freplace/f", "freplace"),
        ("kprobe/f", "kprobe, kretprobe"),
        ("kretprobe/f", "kprobe, kretprobe"),
        ("ksyscall/openat", "ksyscall, kretsyscall"),
        ("kprobe.multi/f*", "kprobe.multi"),
        ("kprobe.session/f*", "kprobe.multi"),
        ("uprobe/libc:malloc", "uprobe, uretprobe"),
        ("uretprobe.s/libc:malloc", "uprobe, uretprobe"),
        ("uprobe.multi/libc:m*", "uprobe.multi"),
        ("usdt/libc:libc:memory", "usdt"),
        ("tp/sched/sched_switch", "tracepoint"),
        ("raw_tp/sched_switch", "raw_tp"),
        ("perf_event", "perf_event"),
        ("socket", "socket filter"),
        ("sk_reuseport", "sk_reuseport"),
        ("sk_msg", "sk_skb, sk_msg"),
        ("sk_lookup", "sk_lookup, flow_dissector"),
        ("netfilter", "netfilter"),
    ],
)
def test_a_section_means_a_kind(section: str, kind: str) -> None:
    assert kind_of(program(section), None, {}).name == kind


@pytest.mark.parametrize("target", ["/bin/true:main", "libc:malloc", ("libc", "malloc")])
def test_a_probe_whose_target_is_a_file_is_in_user_space(target: Any) -> None:
    assert kind_of(program("kprobe"), target, {}).name == "uprobe, uretprobe"
    assert kind_of(program("kprobe"), "do_unlinkat", {}).name == "kprobe, kretprobe"
    assert kind_of(program("kprobe"), "f", {"pid": 1}).name == "uprobe, uretprobe"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ProgramType.SYSCALL, "not attached but run"),
        (ProgramType.STRUCT_OPS, "attached with its map"),
        (ProgramType.LWT_IN, "ip route"),
        (9999, "no way to attach programs of type 9999"),
    ],
)
def test_what_is_of_no_kind_says_why(kind: int, words: str) -> None:
    one: Any = SimpleNamespace(type=kind, expected_attach_type=None, name="prog", definition=None)
    with pytest.raises(NotSupportedError, match=words):
        attach(one)


def test_every_kind_is_some_programs() -> None:
    first: dict[object, object] = {}
    for kind in KINDS:
        for each in kind.types:
            for hook in kind.attach_types or (None,):
                for section in kind.sections or ("",):
                    first.setdefault((each, hook, section), kind)
    assert {id(kind) for kind in first.values()} == {id(kind) for kind in KINDS}


def test_options_are_those_of_the_kind_alone() -> None:
    with pytest.raises(TypeError, match="attach of netkit programs has no option 'direction'"):
        attach(program("netkit/peer"), "nk0", direction="ingress")
    with pytest.raises(TypeError, match="did you mean 'reference_counter'"):
        attach(program("uprobe/libc:malloc"), reference_countr=1)
    with pytest.raises(ValueError, match="what it traces was said at load"):
        attach(program("fentry/f"), "g")
