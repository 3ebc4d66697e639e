"""Entries of the map of static probes' arguments: each is given out once, whoever comes between."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.kernel.load.usdt_specs import UsdtSpecs

SPEC = {"args": [], "usdt_cookie": 0, "arg_cnt": 0}


class Specs:
    """A map of four entries; `handler` is called while one is stored."""

    name, max_entries, value_size = "__bpf_usdt_specs", 4, 1
    value_codec = SimpleNamespace(decode=lambda _: {**SPEC, "args": [{}, {}]})

    def __init__(self) -> None:
        self.stored: dict[int, Any] = {}
        self.handler: Any = None

    def __setitem__(self, number: int, value: Any) -> None:
        handler, self.handler = self.handler, None
        if handler is not None:
            handler()
        self.stored[number] = value


def specs_of(table: Any) -> UsdtSpecs:
    return UsdtSpecs(table)


def test_entries_are_given_out_until_there_is_none() -> None:
    specs = specs_of(Specs())
    taken = specs.store([SPEC] * 3)
    with pytest.raises(NotSupportedError, match="more than 4 kinds"):
        specs.store([SPEC] * 2)
    taken += specs.store([SPEC])
    assert sorted(taken) == [0, 1, 2, 3]
    specs.free(taken[1:3])
    assert sorted(specs.store([SPEC] * 2)) == sorted(taken[1:3])


def test_a_handler_that_attaches_meanwhile_gets_other_entries() -> None:
    table = Specs()
    specs = specs_of(table)
    others: list[int] = []
    table.handler = lambda: others.extend(specs.store([SPEC] * 2))
    taken = specs.store([SPEC] * 2)
    assert sorted(taken + others) == [0, 1, 2, 3]


def test_what_could_not_be_stored_is_free_again() -> None:
    table = Specs()
    specs = specs_of(table)

    def fail() -> None:
        raise KeyboardInterrupt

    table.handler = fail
    with pytest.raises(KeyboardInterrupt):
        specs.store([SPEC] * 4)
    assert sorted(specs.store([SPEC] * 4)) == [0, 1, 2, 3]
