"""Paths of a test's files: names along the dentries that it built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.btf import Kind
from osmia.object.uapi import ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import M32, M64
from osmia.vm.structures import Builder, types_of

if TYPE_CHECKING:
    from osmia.values import StructCodec

E_NAMETOOLONG = -36 & M64
DEEPEST = 1024
"""Directories of a path."""


@helper(
    "d_path",
    *(Argument.ANY, Argument.WRITE, Argument.SIZE),
    types=frozenset({ProgramType.TRACING, ProgramType.LSM}),
)
def d_path(call: Invocation, path: int, to: int, size: int) -> int:
    """bpf_d_path, since 5.10: from the dentry whose parent is itself, or none; its length with the
    NUL. Mounts are not looked at."""
    size &= M32
    if not size:
        return 0
    paths, dentries, names = (_codec(call, name) for name in ("path", "dentry", "qstr"))
    at = _pointer(call, path, paths, "dentry")
    parts: list[bytes] = []
    while at and len(parts) < DEEPEST:
        above = _pointer(call, at, dentries, "d_parent")
        if above == at:
            break
        name = at + dentries.by_name["d_name"].offset
        parts.append(call.string(_pointer(call, name, names, "name"), 256))
        at = above
    text = b"/" + b"/".join(part.strip(b"/") for part in reversed(parts) if part != b"/")
    if len(text) >= size:
        return E_NAMETOOLONG
    call.write(to, text + b"\0")
    return len(text) + 1


def _codec(call: Invocation, name: str) -> StructCodec:
    for btf in types_of(call.vm):
        type_id = btf.find(name, Kind.STRUCT)
        if type_id:
            return Builder(call.vm, btf).struct_codec(type_id)
    raise ProgramFault(f"there is no struct {name} for bpf_d_path")


def _pointer(call: Invocation, address: int, codec: StructCodec, field: str) -> int:
    place = address + codec.by_name[field].offset
    return int.from_bytes(call.read(place, 8), "little")
