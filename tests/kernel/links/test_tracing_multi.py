"""One link on many kernel functions: which functions, with which cookies. What libbpf asks for
is compared in tests/differential/test_sections.py."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

import pytest

from osmia.btf import Kind, kernel_btf
from osmia.errors import NotSupportedError
from osmia.kernel.links import SymbolNotFoundError, attach_tracing_multi
from osmia.kernel.links.tracing_multi import matching_ids
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import attributes, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType, ProgramType

pytestmark = pytest.mark.kernel


@pytest.fixture
def program() -> Iterator[KernelProgram]:
    """No program; whoever attaches it finds out."""
    nothing = FileDescriptor(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "program")
    attach_type = AttachType.TRACE_FENTRY_MULTI
    with KernelProgram(
        nothing, type=ProgramType.TRACING, name="p", expected_attach_type=attach_type
    ) as opened:
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], list[int]]]:
    """The ids and cookies of each link that was asked for."""
    found: list[tuple[list[int], list[int]]] = []

    def link_create(fd: int, *, options: attributes.LinkTracingMultiOptions, **_: object) -> int:
        ids = (ctypes.c_uint32 * options.cnt).from_address(options.ids)
        cookies = (ctypes.c_uint64 * options.cnt).from_address(options.cookies or options.ids)
        found.append((list(ids), list(cookies) if options.cookies else []))
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    monkeypatch.setattr(syscall, "link_create", link_create)
    return found


def test_cookies_stay_with_their_functions(
    program: KernelProgram, asked: list[tuple[list[int], list[int]]]
) -> None:
    names = ["vfs_write", "vfs_fsync", "vfs_read"]
    ids = {name: kernel_btf().find(name, Kind.FUNC) for name in names}
    attach_tracing_multi(program, names, cookies=[3, 1, 2]).close()
    attach_tracing_multi(program, names, cookie=7).close()
    attach_tracing_multi(program, names).close()
    given = dict(zip(asked[0][0], asked[0][1], strict=True))
    assert given == {ids["vfs_write"]: 3, ids["vfs_fsync"]: 1, ids["vfs_read"]: 2}
    assert asked[0][0] == sorted(ids.values())
    assert asked[1] == (sorted(ids.values()), [7, 7, 7])
    assert asked[2] == (sorted(ids.values()), [])


def test_functions_that_no_trampoline_takes_are_left_out() -> None:
    types = kernel_btf()
    assert "vfs_read" in [types.name_of(each) for each in matching_ids(types, "vfs_*")]
    assert types.find("_printk", Kind.FUNC)
    with pytest.raises(SymbolNotFoundError, match="_printk"):  # it takes "…"
        matching_ids(types, "_printk")


def test_wrong_functions_and_cookies_are_refused(program: KernelProgram) -> None:
    with pytest.raises(SymbolNotFoundError, match="'no_such_function_\\*'"):
        attach_tracing_multi(program, "no_such_function_*")
    with pytest.raises(SymbolNotFoundError, match="'vfs_nothing'"):
        attach_tracing_multi(program, ["vfs_read", "vfs_nothing"])
    for cookies in ({"cookies": [1]}, {"cookies": [1, 2], "cookie": 3}):
        with pytest.raises(ValueError, match="cookie"):
            attach_tracing_multi(program, ["vfs_read", "vfs_write"], **cookies)
    with pytest.raises(ValueError, match="cookie"):
        attach_tracing_multi(program, "vfs_*", cookies=[1])


@pytest.mark.skipif(not features.kernel_is_older_than("7.1"), reason="this kernel is new enough")
def test_an_older_kernel_says_since_when_there_is_such_a_link(program: KernelProgram) -> None:
    with pytest.raises(NotSupportedError, match=r"needs Linux 7\.1"):
        attach_tracing_multi(program, ["vfs_read"])
