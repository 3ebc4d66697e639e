"""Where the kernel has what a program attaches to by type."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import pytest

from osmia import RelocationError, Target
from osmia.btf import BTF
from osmia.btf.builder import BTFBuilder
from osmia.kernel.load.attach_target import find_in_kernel
from osmia.object.model import Program
from osmia.object.uapi import AttachType, ProgramType


class ModulesUnread(Target):
    """A machine whose modules nobody should have to read."""

    @cached_property
    def modules(self) -> Mapping[str, BTF]:
        raise AssertionError("the modules' types were read")


def types_with(function: str) -> BTF:
    builder = BTFBuilder()
    builder.add_func(function, builder.add_func_proto(0))
    return builder.build()


def traces(place: str) -> Program:
    return Program(
        "p", "p", f"fentry/{place}", ProgramType.TRACING, AttachType.TRACE_FENTRY, attach_to=place
    )


def test_modules_are_not_read_for_what_the_kernel_itself_has() -> None:
    target = ModulesUnread(btf=types_with("do_it"))
    assert find_in_kernel(traces("do_it"), target).module == "vmlinux"
    assert find_in_kernel(traces("vmlinux:do_it"), target).module == "vmlinux"


def test_modules_are_searched_for_what_the_kernel_lacks() -> None:
    target = Target(btf=types_with("do_it"), modules={"one": types_with("other")})
    assert find_in_kernel(traces("other"), target).module == "one"
    assert find_in_kernel(traces("one:other"), target).module == "one"
    with pytest.raises(RelocationError, match="no 'other'"):
        find_in_kernel(traces("vmlinux:other"), target)
