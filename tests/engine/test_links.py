"""Attaching, on every engine: whose the links are, and when they end."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia

Load = Callable[..., osmia.LoadedObject]


def calls(bpf: osmia.LoadedObject) -> int:
    """How many attached programs see this process call getpgid."""
    bpf.data["watched"] = os.getpid()
    bpf.data["calls"] = 0
    os.getpgid(0)
    count: int = bpf.data["calls"]
    bpf.data["watched"] = 0
    return count


@pytest.fixture
def bpf(load: Load) -> osmia.LoadedObject:
    return load()


def test_what_is_attached_stays_when_nobody_keeps_the_links(bpf: osmia.LoadedObject) -> None:
    bpf.attach()
    gc.collect()
    assert calls(bpf) == 2
    assert [link.what.split()[1] for link in bpf.links] == ["'first'", "'second'"]


def test_what_a_program_attached_stays_too(bpf: osmia.LoadedObject) -> None:
    bpf.programs["first"].attach()
    gc.collect()
    assert calls(bpf) == 1


def test_closing_the_object_detaches(bpf: osmia.LoadedObject, load: Load) -> None:
    other = load()
    bpf.attach()
    (first, *_) = bpf.links
    bpf.close()
    assert first.closed and bpf.links == ()
    assert calls(other) == 0


def test_links_are_closed_before_programs(
    bpf: osmia.LoadedObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bpf.attach()
    seen = []
    for name, link in {"first": first, "second": second}.items():

        def close(name: str = name, really: Callable[[], None] = link._close) -> None:
            seen.append((name, any(program.closed for program in bpf.programs.values())))
            really()

        monkeypatch.setattr(link, "_close", close)
    bpf.close()
    assert seen == [("second", False), ("first", False)]
    assert all(program.closed for program in bpf.programs.values())


def test_a_link_that_is_detached_leaves_the_object(bpf: osmia.LoadedObject) -> None:
    first, second = bpf.attach()
    first.detach()
    assert bpf.links == (second,)
    assert calls(bpf) == 1
    first.detach()


def test_a_link_whose_block_ends_leaves_the_object(bpf: osmia.LoadedObject) -> None:
    with bpf.programs["first"].attach() as link:
        assert list(bpf.links) == [link]
    assert list(bpf.links) == []
    assert calls(bpf) == 0


def test_a_link_that_is_taken_away_stays_attached(bpf: osmia.LoadedObject, load: Load) -> None:
    other = load()
    with other.programs["first"].attach().disown() as link:
        assert other.links == ()
        number = link.info.program_id
        other.close()
        assert not link.closed
        assert link.info.program_id == number
    assert link.closed


def test_a_pinned_link_outlives_the_object(bpffs: Path, load: Load, obj: osmia.Object) -> None:
    bpf = load()
    link = bpf.programs["first"].attach()
    link.pin(bpffs / "link")
    identifier = link.info.id
    bpf.close()
    assert link.closed

    from osmia.kernel.links import KernelLink

    with KernelLink.from_pin(bpffs / "link") as again:
        assert again.id == identifier
    (bpffs / "link").unlink()


def test_when_one_cannot_be_attached_none_is(
    bpf: osmia.LoadedObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    bpf.programs["first"].attach().detach()  # engines that attach nothing end here

    def refuse(*_: object) -> osmia.Link:
        raise osmia.KernelError(16, "attach program 'second'")

    monkeypatch.setattr(bpf.programs["second"], "_attach", refuse)
    with pytest.raises(osmia.KernelError, match="attach program 'second'"):
        bpf.attach()
    assert bpf.links == ()
    assert calls(bpf) == 0


def test_one_that_fails_to_close_keeps_no_other_open(
    bpf: osmia.LoadedObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bpf.attach()
    close = second._close

    def fail() -> None:
        close()
        raise osmia.KernelError(5, "detach it")

    monkeypatch.setattr(second, "_close", fail)
    with pytest.raises(osmia.KernelError, match="detach it"):
        bpf.close()
    assert first.closed and second.closed
    assert all(program.closed for program in bpf.programs.values())


def test_nothing_is_attached_after_the_end(bpf: osmia.LoadedObject) -> None:
    bpf.attach()
    bpf.close()
    with pytest.raises(osmia.ClosedError):
        bpf.programs["first"].attach()
    with pytest.raises(osmia.ClosedError):
        bpf.attach(without=["first", "second"])
    assert bpf.links == ()


def test_a_link_made_while_the_object_is_closed_is_closed(
    bpf: osmia.LoadedObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = bpf.programs["first"]
    attach = program._attach
    made: list[osmia.Link] = []

    def slowly(*arguments: Any) -> osmia.Link:
        made.append(attach(*arguments))
        bpf.close()
        return made[0]

    monkeypatch.setattr(program, "_attach", slowly)
    with pytest.raises(osmia.ClosedError, match=r"is closed: .* is not attached"):
        program.attach()
    assert made[0].closed


def test_threads_attach_and_detach_at_once(bpf: osmia.LoadedObject) -> None:
    bpf.programs["first"].attach().detach()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                with bpf.programs["first"].attach():
                    assert bpf.links
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert bpf.links == ()


def test_an_object_that_is_dropped_lets_go_at_once(load: Load, obj: osmia.Object) -> None:
    bpf: Any = load()
    bpf.attach()
    bpf.close()
    gc.disable()
    try:
        bpf = obj.load(bpf.engine)
        bpf.attach()
        ids = [link.info.id for link in bpf.links]
        with pytest.warns(ResourceWarning, match="never closed"):
            del bpf
    finally:
        gc.enable()
    from osmia.kernel.links import KernelLink

    for identifier in ids:
        with pytest.raises(osmia.KernelError, match="ENOENT"):
            KernelLink.from_id(identifier)


def test_names_in_without_are_left_out(bpf: osmia.LoadedObject) -> None:
    with ExitStack() as stack:
        links = [stack.enter_context(link) for link in bpf.attach(without=["first"])]
        assert [link.what.split()[1] for link in links] == ["'second'"]
    with pytest.raises(KeyError, match="has no program 'secnod'; did you mean 'second'"):
        bpf.attach(without=["secnod"])


def test_an_option_that_the_kind_does_not_take_names_the_nearest(
    bpf: osmia.LoadedObject,
) -> None:
    with pytest.raises(TypeError, match="has no option 'cokie'; did you mean 'cookie'"):
        bpf.programs["first"].attach(cokie=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="attach of xdp programs has no option 'cookie'"):
        bpf.programs["ingress"].attach("lo", cookie=1)
    assert bpf.links == ()
