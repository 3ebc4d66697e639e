"""The options of the kernel engine, for type checkers and for who checks their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from osmia.passes.options import ObjectOptions

if TYPE_CHECKING:
    from osmia.engine.maps import Map
    from osmia.engine.program import Program
    from osmia.object import model
    from osmia.object.uapi import AttachType


class LoadOptions(TypedDict, total=False):
    """What `osmia.kernel.load.loader.load` takes beside the options of passes.

    `keyring` has the kernel load the object by its signed loader (`osmia sign --kernel`), if a
    certificate in that keyring is its signer's (since 6.18): "builtin", "secondary", "platform",
    "session", "user", …, or a serial number. No other option goes with it.
    """

    pin_root: str | os.PathLike[str]
    maps: Mapping[str, Map] | None
    attach_to: Mapping[str, Program] | None
    log_level: int
    token: str | os.PathLike[str] | None
    ifindex: int
    keyring: str | int | None


class KernelOptions(ObjectOptions, LoadOptions, total=False):
    """What `Object.load("kernel")` takes."""


class ProgramOptions(TypedDict, total=False):
    """What `osmia.kernel.programs.program.KernelProgram.load` takes beside type and code."""

    license: str
    name: str
    expected_attach_type: AttachType | int | None
    flags: int
    kernel_version: int
    attach_btf_id: int
    attach_fd: int
    btf_fd: int
    func_info: bytes
    func_info_size: int
    line_info: bytes
    line_info_size: int
    fd_array: Sequence[int]
    ifindex: int
    token_fd: int
    log_level: int
    source_lines: Callable[[], Sequence[model.SourceLine]]
    definition: model.Program | None
