"""What `struct_ops dump` says of one: the map, and the struct with the programs in it."""

from __future__ import annotations

import ctypes
from typing import Any

from osmia.btf import BTF, Kind, kernel_btf
from osmia.cli.bpftool_values import Writers
from osmia.engine.maps import KeyedMap
from osmia.errors import OsmiaError
from osmia.kernel.inventory.code_listing import function_names
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import try_btf_from_id


def told_struct_ops(ops: KeyedMap) -> list[dict[str, Any]]:
    """A struct_ops as bpftool's JSON has it: two objects."""
    info = ops.info
    types = try_btf_from_id(info.btf_vmlinux_id) if info.btf_vmlinux_id else kernel_btf()
    if types is None:
        raise OsmiaError(f"the types of struct_ops {ops.name!r} cannot be read")
    value = ops.read_encoded(bytes(info.key_size))
    type_id = info.btf_vmlinux_value_type_id
    written = Writers(types, _program_words).of(type_id)(value or bytes(info.value_size))
    return [{"bpf_map_info": _map_info(ops.fileno())}, {types.name_of(type_id): written}]


def _map_info(fd: int) -> Any:
    """The kernel's struct bpf_map_info of a map, member by member."""
    types: BTF = kernel_btf()
    type_id = types.find("bpf_map_info", Kind.STRUCT)
    if not type_id:
        return {}

    class Info(ctypes.Structure):
        _fields_ = (("data", ctypes.c_char * types.size_of(type_id)),)

    told = Info()
    syscall.obj_get_info(fd, told, what="read map information")
    return Writers(types).of(type_id)(bytes(told))


def _program_words(number: int) -> str:
    """What a pointer to a program is: "cong_avoid/prog_id:12"."""
    try:
        with KernelProgram.from_id(number) as program:
            name = function_names(program).get(0, "")
    except OsmiaError:
        name = ""
    return f"{name or '<unknown_prog_name>'}/prog_id:{number}"
