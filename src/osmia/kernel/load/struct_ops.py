"""struct_ops: a struct of functions that the kernel calls, made from a variable's value.

The object's struct is matched with the kernel's by member names, as libbpf does it; the
kernel's copy is what the map of type STRUCT_OPS gets, with program descriptors where the
functions are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from osmia.btf import BTF, FuncProto, Kind, Member, Ptr, Struct
from osmia.btf.core.match import essential_name
from osmia.errors import NotSupportedError, RelocationError
from osmia.named_tuples import NamedTuple
from osmia.object import model
from osmia.object.model import DataSection, Object, Variable
from osmia.object.uapi import MapFlag, MapType
from osmia.passes.target import Target

_VALUE_PREFIX = "bpf_struct_ops_"


class Callback(NamedTuple):
    """A program in a struct: `member` counts in the kernel's struct, `offset` in its value."""

    program: str
    member: int
    offset: int


class StructOps(NamedTuple):
    """One struct_ops map. `value` is the kernel's struct with everything but the programs.

    `type_id` (of the struct) and `value_type_id` (of what the map holds) are ids in the
    BTF of `module`, "vmlinux" or a kernel module's name.
    """

    definition: model.Map
    module: str
    type_id: int
    value_type_id: int
    value: bytearray
    callbacks: tuple[Callback, ...]

    def value_with(self, programs: Mapping[str, int]) -> bytes:
        """The map's value; `programs` gives descriptors by name, missing ones stay NULL."""
        value = bytearray(self.value)
        for callback in self.callbacks:
            fd = programs.get(callback.program, 0)
            struct.pack_into("=Q", value, callback.offset, fd)
        return bytes(value)


def find_struct_ops(obj: Object, target: Target) -> list[StructOps]:
    """All struct_ops variables of `obj`, matched with the kernel's structs.

    Those with `autocreate` off are left out. Raises RelocationError where the kernel's struct
    lacks a member that is set, and NotSupportedError where it knows no such struct_ops.
    """
    return [
        _match(obj, section, key, target)
        for section in obj.data_sections.values()
        if section.kind is model.DataKind.STRUCT_OPS
        for key, variable in section.variables.items()
        if variable.autocreate
    ]


def callbacks_of(section: DataSection, variable: Variable) -> dict[int, str]:
    """The programs in a struct_ops variable, by offset in bytes."""
    start, end = variable.offset, variable.offset + variable.size
    return {r.offset - start: r.target for r in section.relocations if start <= r.offset < end}


def programs_to_load(obj: Object, matched: Iterable[StructOps]) -> set[str]:
    """The programs that load takes: those of struct_ops follow their structs, as in libbpf."""
    used = {
        program
        for section in obj.data_sections.values()
        if section.kind is model.DataKind.STRUCT_OPS
        for variable in section.variables.values()
        for program in callbacks_of(section, variable).values()
    }
    wanted = {callback.program for ops in matched for callback in ops.callbacks}
    return {
        program.name
        for program in obj.programs.values()
        if (program.name in wanted if program.name in used else program.autoload)
    }


def _match(obj: Object, section: DataSection, key: str, target: Target) -> StructOps:
    btf, variable = obj.btf, section.variables[key]
    local = btf.type(btf.resolve(variable.type_id)) if btf is not None else None
    if btf is None or not isinstance(local, Struct):
        raise RelocationError(f"struct_ops {variable.name!r} is no struct with BTF")
    name = essential_name(local.name)
    place = _find(target, name)
    if place is None:
        raise NotSupportedError(f"this kernel has no struct_ops {name!r}")
    module, kernel, type_id, value_type_id, data_offset = place
    matcher = _Matcher(btf, kernel, variable.name, data_offset)
    kernel_struct = kernel.type(type_id)
    assert isinstance(kernel_struct, Struct)
    matcher.copy(local, kernel_struct, section, variable, kernel.size_of(value_type_id))
    flags = MapFlag.LINK if section.name.endswith(".link") else MapFlag(0)
    definition = model.Map(
        name=key,
        type=MapType.STRUCT_OPS,
        key_size=4,
        value_size=kernel.size_of(value_type_id),
        max_entries=1,
        flags=flags,
    )
    return StructOps(
        definition, module, type_id, value_type_id, matcher.value, tuple(matcher.callbacks)
    )


def _find(target: Target, name: str) -> tuple[str, BTF, int, int, int] | None:
    """(module, BTF, struct, value struct, offset of the struct in the value)."""
    if target.btf is None:
        raise NotSupportedError("struct_ops needs the kernel's BTF", since="5.6")
    for module, btf in (("vmlinux", target.btf), *target.modules.items()):
        value_id = btf.find(_VALUE_PREFIX + name, Kind.STRUCT)
        value = btf.type(value_id)
        if not isinstance(value, Struct):
            continue
        for member in value.members:
            type_id = btf.resolve(member.type_id)
            if btf.kind_of(type_id) == Kind.STRUCT and btf.name_of(type_id) == name:
                return module, btf, type_id, value_id, member.bit_offset // 8
    return None


class _Matcher:
    """Copies one variable's members to where the kernel has them."""

    def __init__(self, local: BTF, kernel: BTF, name: str, data_offset: int) -> None:
        self.local = local
        self.kernel = kernel
        self.name = name
        self.data_offset = data_offset
        self.value = bytearray()
        self.callbacks: list[Callback] = []

    def copy(
        self,
        mine: Struct,
        other: Struct,
        section: DataSection,
        variable: Variable,
        value_size: int,
    ) -> None:
        self.value = bytearray(value_size)
        contents = section.contents[variable.offset : variable.offset + variable.size]
        programs = callbacks_of(section, variable)
        by_name = {member.name: index for index, member in enumerate(other.members) if member.name}
        for member in mine.members:
            offset = member.bit_offset // 8
            program = programs.get(offset)
            size = self.local.size_of(member.type_id)
            data = bytes(contents[offset : offset + size])
            index = by_name.get(essential_name(member.name))
            if index is None:
                # A member that the kernel lacks is fine as long as nothing was put there.
                if program is not None or any(data):
                    raise RelocationError(
                        f"struct_ops {self.name!r}: the kernel's {other.name} has no"
                        f" {member.name!r}"
                    )
                continue
            self._member(member, other.members[index], index, program, data)

    def _member(
        self, mine: Member, other: Member, index: int, program: str | None, data: bytes
    ) -> None:
        place = self.data_offset + other.bit_offset // 8
        if mine.bitfield_size or other.bitfield_size:
            raise RelocationError(
                f"struct_ops {self.name!r}: bitfield {mine.name!r} cannot be initialised"
            )
        if program is not None:
            if not self._is_callback(other.type_id):
                raise RelocationError(
                    f"struct_ops {self.name!r}: {mine.name!r} is no function in the kernel"
                )
            self.callbacks.append(Callback(program, index, place))
            return
        if self._kind(self.local, mine.type_id) != self._kind(self.kernel, other.type_id):
            raise RelocationError(
                f"struct_ops {self.name!r}: {mine.name!r} has another type in the kernel"
            )
        if len(data) != self.kernel.size_of(other.type_id):
            raise RelocationError(
                f"struct_ops {self.name!r}: {mine.name!r} has {len(data)} bytes, and"
                f" {self.kernel.size_of(other.type_id)} in the kernel"
            )
        if self._is_callback(other.type_id) and any(data):
            raise RelocationError(
                f"struct_ops {self.name!r}: {mine.name!r} is a number where a program belongs"
            )
        self.value[place : place + len(data)] = data

    def _is_callback(self, type_id: int) -> bool:
        pointer = self.kernel.type(self.kernel.resolve(type_id))
        return isinstance(pointer, Ptr) and isinstance(
            self.kernel.type(self.kernel.resolve(pointer.target)), FuncProto
        )

    @staticmethod
    def _kind(btf: BTF, type_id: int) -> Kind:
        return btf.kind_of(btf.resolve(type_id))
