"""XDP, tcx and clsact on a veth pair of the test's own, with real frames."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.errors import ClosedError, KernelError, NotSupportedError
from osmia.kernel.links import (
    KernelLink,
    LinkId,
    ProgramId,
    attach_clsact,
    attach_netkit,
    attach_tcx,
    attach_xdp,
    attached_tcx,
)
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.rtnetlink.tc_filters import add_filter
from osmia.kernel.rtnetlink.tc_filters import filters as tc_filters
from osmia.object.uapi import AttachType, LinkType, ProgramType

from ..conftest import Counter, Network

pytestmark = pytest.mark.kernel

Make = Callable[..., KernelProgram]
XDP_DROP, XDP_PASS = 1, 2
TCX_NEXT, TCX_PASS, TCX_DROP = -1, 0, 2
INGRESS = AttachType.TCX_INGRESS


@pytest.fixture
def xdp(counting: Make) -> KernelProgram:
    return counting(ProgramType.XDP, XDP_PASS, AttachType.XDP)


@pytest.mark.parametrize("mode", ["", "native", "generic"])
def test_xdp_sees_every_frame_while_attached(
    mode: str, xdp: KernelProgram, network: Network, counter: Counter
) -> None:
    with attach_xdp(xdp, "left", mode=mode) as link:
        network.send(5)
        assert counter.value == 5
        assert link.info.type is LinkType.XDP
        assert link.info.program_id == xdp.id
        assert link.info.details == {"interface_index": network.left_index}
    network.send(5)
    assert counter.value == 5


def test_attach_picks_xdp_by_the_program_type(
    xdp: KernelProgram, network: Network, counter: Counter
) -> None:
    with xdp.attach("left", mode="generic"):
        network.send()
    assert counter.value == 1


def test_an_interface_may_be_given_by_index(
    xdp: KernelProgram, network: Network, counter: Counter
) -> None:
    with xdp.attach(network.left_index):
        network.send()
    assert counter.value == 1


def test_an_interface_that_does_not_exist_is_named(xdp: KernelProgram, network: Network) -> None:
    with pytest.raises(KernelError, match="find interface 'nowhere'") as caught:
        xdp.attach("nowhere")
    assert caught.value.errno == errno.ENODEV


def test_attaching_to_no_interface_is_refused(xdp: KernelProgram) -> None:
    with pytest.raises(ValueError, match="which interface"):
        xdp.attach()


def test_a_second_xdp_program_is_told_that_there_is_one(
    xdp: KernelProgram, network: Network
) -> None:
    with attach_xdp(xdp, "left"), pytest.raises(KernelError, match="another XDP program"):
        attach_xdp(xdp, "left")


def test_native_mode_on_a_device_without_it_points_to_generic(
    xdp: KernelProgram, network: Network
) -> None:
    with pytest.raises(KernelError, match='mode="generic" works'):
        attach_xdp(xdp, "lo", mode="native")


def test_update_swaps_the_program(
    xdp: KernelProgram, returning: Make, network: Network, counter: Counter
) -> None:
    other = returning(ProgramType.XDP, XDP_PASS, AttachType.XDP)
    with attach_xdp(other, "left") as link:
        network.send()
        assert counter.value == 0
        link.update(xdp, expected=other)
        network.send()
        assert counter.value == 1
        with pytest.raises(KernelError) as caught:
            link.update(other, expected=other)
        assert caught.value.errno == errno.EPERM


def test_a_pinned_link_outlives_its_object_until_it_is_detached(
    xdp: KernelProgram, network: Network, counter: Counter, bpffs: Path
) -> None:
    path = bpffs / "link"
    with attach_xdp(xdp, "left") as link:
        link.pin(path)
    network.send()
    assert counter.value == 1
    with KernelLink.from_pin(path) as again:
        again.detach()
    network.send()
    assert counter.value == 1


def test_detach_removes_the_pins_it_made(xdp: KernelProgram, network: Network, bpffs: Path) -> None:
    link = attach_xdp(xdp, "left")
    link.pin(bpffs / "link")
    link.pin(bpffs / "again")
    assert link.pin_paths == (bpffs / "link", bpffs / "again")
    link.detach()
    assert not list(bpffs.iterdir())
    assert not link.pin_paths


def test_a_closed_link_is_refused(xdp: KernelProgram, network: Network) -> None:
    link = attach_xdp(xdp, "left")
    link.detach()
    link.detach()
    assert link.closed
    with pytest.raises(ClosedError), link:
        pass
    with pytest.raises(ClosedError):
        link.update(xdp)


def test_a_link_can_be_opened_by_its_id(xdp: KernelProgram, network: Network) -> None:
    with attach_xdp(xdp, "left") as link, KernelLink.from_id(link.id) as again:
        assert again.info == link.info


@pytest.fixture
def classifier(counting: Make) -> KernelProgram:
    return counting(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS)


def test_tcx_sees_what_comes_in(
    classifier: KernelProgram, network: Network, counter: Counter
) -> None:
    with attach_tcx(classifier, "left", "ingress") as link:
        network.send(3)
        assert counter.value == 3
        assert link.info.type is LinkType.TCX
        assert link.info.details["attach_type"] is INGRESS
    network.send()
    assert counter.value == 3


def test_tcx_sees_what_goes_out(counting: Make, network: Network, counter: Counter) -> None:
    program = counting(ProgramType.SCHED_CLS, TCX_NEXT, AttachType.TCX_EGRESS)
    with program.attach("right"):
        network.send(2)
    assert counter.value == 2


def test_tcx_programs_run_in_the_order_asked_for(returning: Make, network: Network) -> None:
    programs = [returning(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS) for _ in range(5)]
    middle, front, end, before, after = programs
    with (
        attach_tcx(middle, "left") as anchor,
        attach_tcx(front, "left", first=True),
        attach_tcx(end, "left", last=True),
        attach_tcx(before, "left", before=anchor),
        attach_tcx(after, "left", after=LinkId(anchor.id)),
    ):
        hook = attached_tcx("left", "ingress")
        order = [front, before, middle, after, end]
        assert hook.program_ids == tuple(program.id for program in order)
        assert hook.link_ids[2] == anchor.id


def test_a_stale_revision_is_refused(returning: Make, network: Network) -> None:
    one, two = (returning(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS) for _ in range(2))
    revision = attached_tcx("left", "ingress").revision
    with attach_tcx(one, "left", expected_revision=revision):
        with pytest.raises(KernelError) as caught:
            attach_tcx(two, "left", expected_revision=revision)
        assert caught.value.errno == errno.ESTALE


def test_an_anchor_that_is_not_there_is_refused(returning: Make, network: Network) -> None:
    program = returning(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS)
    with pytest.raises(KernelError) as caught:
        attach_tcx(program, "left", before=ProgramId(program.id))
    assert caught.value.errno == errno.ENOENT


def test_two_places_at_once_are_refused(returning: Make, network: Network) -> None:
    program = returning(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS)
    with pytest.raises(ValueError, match="at most one"):
        attach_tcx(program, "left", first=True, last=True)


def test_a_direction_is_asked_for_when_the_program_names_none(
    returning: Make, network: Network
) -> None:
    program = returning(ProgramType.SCHED_CLS, TCX_NEXT)
    with pytest.raises(ValueError, match="ingress or egress"):
        program.attach("left")


def test_netkit_is_refused_where_the_kernel_lacks_it(returning: Make, network: Network) -> None:
    if features.has_attach_type(AttachType.NETKIT_PRIMARY):
        pytest.skip("this kernel has netkit")
    program = returning(ProgramType.SCHED_CLS, TCX_NEXT, AttachType.NETKIT_PRIMARY)
    with pytest.raises(NotSupportedError, match="netkit"):
        attach_netkit(program, "left")


def qdiscs(device: str) -> str:
    return subprocess.run(
        ["tc", "qdisc", "show", "dev", device], check=True, capture_output=True, text=True
    ).stdout


def filters(device: str, direction: str = "ingress") -> str:
    return subprocess.run(
        ["tc", "filter", "show", "dev", device, direction],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_clsact_sees_what_comes_in_and_cleans_up(
    classifier: KernelProgram, network: Network, counter: Counter
) -> None:
    with attach_clsact(classifier, "left", "ingress"):
        network.send(4)
        assert counter.value == 4
        assert "clsact" in qdiscs("left")
        assert "counting" in filters("left")
        assert "direct-action" in filters("left")
    assert "clsact" not in qdiscs("left")
    network.send()
    assert counter.value == 4


def test_clsact_sees_what_goes_out(
    classifier: KernelProgram, network: Network, counter: Counter
) -> None:
    with attach_clsact(classifier, "right", "egress"):
        network.send(2)
    assert counter.value == 2


def test_a_qdisc_that_was_there_stays(classifier: KernelProgram, network: Network) -> None:
    subprocess.run(["tc", "qdisc", "add", "dev", "left", "clsact"], check=True)
    with attach_clsact(classifier, "left", "ingress"):
        pass
    assert "clsact" in qdiscs("left")
    assert filters("left") == ""


def test_egress_filters_are_refused_where_they_would_see_ingress(
    classifier: KernelProgram, network: Network, counter: Counter
) -> None:
    subprocess.run(["tc", "qdisc", "add", "dev", "left", "ingress"], check=True)
    with pytest.raises(KernelError, match="left has an ingress qdisc; egress filters need clsact"):
        attach_clsact(classifier, "left", "egress")
    with pytest.raises(KernelError, match="egress filters need clsact"):
        add_filter(classifier, "left", "egress")
    assert tc_filters("left") == []
    with attach_clsact(classifier, "left", "ingress"):
        network.send(3)
        assert [each.direction for each in tc_filters("left")] == ["ingress"]
    assert counter.value == 3
    assert "ingress" in qdiscs("left")


@pytest.mark.parametrize("then", ["clsact", "ingress", ""])
def test_a_qdisc_that_somebody_removed_is_no_matter(
    classifier: KernelProgram, network: Network, then: str
) -> None:
    with attach_clsact(classifier, "left", "ingress"):
        subprocess.run(["tc", "qdisc", "del", "dev", "left", "clsact"], check=True)
        if then:
            subprocess.run(["tc", "qdisc", "add", "dev", "left", then], check=True)
    assert ("ingress" in qdiscs("left")) is (then == "ingress")


def test_the_qdisc_goes_with_the_last_filter(classifier: KernelProgram, network: Network) -> None:
    first = attach_clsact(classifier, "left", "ingress")
    second = attach_clsact(classifier, "left", "egress")
    first.detach()
    assert "clsact" in qdiscs("left")
    second.detach()
    assert "clsact" not in qdiscs("left")


def test_priority_and_handle_are_taken(classifier: KernelProgram, network: Network) -> None:
    with attach_clsact(classifier, "left", "ingress", priority=7, handle=3):
        shown = filters("left")
        assert "pref 7 bpf" in shown and "handle 0x3" in shown
        with pytest.raises(KernelError) as caught:
            attach_clsact(classifier, "left", "ingress", priority=7, handle=3)
        assert caught.value.errno == errno.EEXIST
    assert "clsact" not in qdiscs("left")


def test_replacing_leaves_the_filter_to_the_new_owner(
    classifier: KernelProgram, returning: Make, network: Network, counter: Counter
) -> None:
    quiet = returning(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS)
    old = attach_clsact(quiet, "left", "ingress", priority=1, handle=1)
    new = attach_clsact(classifier, "left", "ingress", priority=1, handle=1, replace=True)
    network.send()
    assert counter.value == 1
    old.detach()  # it is not its filter any more
    network.send()
    assert counter.value == 2
    new.detach()
    assert "clsact" not in qdiscs("left")


def test_clsact_updates_in_place(
    classifier: KernelProgram, returning: Make, network: Network, counter: Counter
) -> None:
    quiet = returning(ProgramType.SCHED_CLS, TCX_NEXT, INGRESS)
    with attach_clsact(quiet, "left", "ingress") as link:
        link.update(classifier)
        network.send()
        assert counter.value == 1
        assert filters("left").count("handle 0x1") == 1
    assert "clsact" not in qdiscs("left")


def test_clsact_links_have_no_descriptor_and_no_pin(
    classifier: KernelProgram, network: Network
) -> None:
    with attach_clsact(classifier, "left", "ingress") as link:
        with pytest.raises(NotSupportedError, match="without a link"):
            link.fileno()
        with pytest.raises(NotSupportedError, match="cannot be pinned"):
            link.pin("/sys/fs/bpf/never")


def test_a_refused_filter_leaves_no_qdisc(classifier: KernelProgram, network: Network) -> None:
    classifier.close()
    with pytest.raises(ClosedError):
        attach_clsact(classifier, "left", "ingress")
    assert "clsact" not in qdiscs("left")


def test_an_interface_that_went_away_detaches_silently(
    classifier: KernelProgram, network: Network
) -> None:
    link = attach_clsact(classifier, "left", "ingress")
    subprocess.run(["ip", "link", "delete", "left"], check=True)
    link.detach()


@pytest.mark.second_kernel
def test_without_tcx_attach_falls_back_to_clsact(
    counting: Make, network: Network, counter: Counter
) -> None:
    if not features.kernel_is_older_than("6.6"):
        pytest.skip("this kernel has tcx")
    program = counting(ProgramType.SCHED_CLS, TCX_PASS)
    with program.attach("left", direction="ingress"):
        network.send(2)
        assert "clsact" in qdiscs("left")
    assert counter.value == 2
    assert "clsact" not in qdiscs("left")
