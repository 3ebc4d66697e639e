"""File descriptors have one owner, and say so when they are lost."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable

import pytest

from osmia.errors import ClosedError
from osmia.kernel.sys import fd
from osmia.kernel.sys.fd import FileDescriptor


def descriptor() -> FileDescriptor:
    return FileDescriptor(os.open("/dev/null", os.O_RDONLY), "the null device")


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_closing_closes_once() -> None:
    owner = descriptor()
    number = owner.fileno()
    owner.close()
    assert not is_open(number)
    again = os.open("/dev/null", os.O_RDONLY)  # takes the same number
    owner.close()
    assert is_open(again)
    os.close(again)


def test_a_closed_one_refuses_to_be_used() -> None:
    owner = descriptor()
    owner.close()
    with pytest.raises(ClosedError, match="the null device is closed"):
        owner.fileno()
    with pytest.raises(ClosedError), owner:
        pass


def test_leaving_a_with_block_closes() -> None:
    with descriptor() as owner:
        number = owner.fileno()
    assert owner.closed
    assert not is_open(number)


def test_a_lost_one_warns_and_closes() -> None:
    owner = descriptor()
    number = owner.fileno()
    with pytest.warns(ResourceWarning, match="the null device .* was never closed"):
        del owner
    assert not is_open(number)


def test_the_warning_says_where_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fd, "DEBUG", True)
    owner = descriptor()
    with pytest.warns(ResourceWarning, match="test_the_warning_says_where_it_was_made"):
        del owner


def test_detaching_hands_the_number_over() -> None:
    owner = descriptor()
    number = owner.detach()
    assert owner.closed
    assert is_open(number)
    os.close(number)


def test_a_duplicate_has_its_own_life() -> None:
    with descriptor() as first:
        second = first.duplicate()
    assert is_open(second.fileno())
    assert not os.get_inheritable(second.fileno())
    second.close()


@pytest.mark.parametrize("duplicated", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_copy_that_would_close_the_same_number_is_refused(
    duplicated: Callable[[object], object],
) -> None:
    with descriptor() as owner, pytest.raises(TypeError, match="the null device cannot be copied"):
        duplicated(owner)
