"""The programs of a light skeleton as the loader program gets them: code with numbers in it
that are known now, and where it has to write those that the kernel tells."""

from __future__ import annotations

import struct

from osmia.errors import NotSupportedError, ObjectFormatError, RelocationError
from osmia.kernel.load.attach_target import traces_static_probes
from osmia.kernel.load.image import write_call, write_load
from osmia.kernel.skeletons.contents import Contents
from osmia.object import model
from osmia.object.model import ExternKind, Relocation, RelocationKind
from osmia.object.uapi import AttachType
from osmia.passes.layout import ProgramLayout
from osmia.passes.stages import Prepared
from osmia.records import dataclass

#: Source registers of ld_imm64: a map by its index in `fd_array`, an address in its value.
_MAP_INDEX, _MAP_INDEX_VALUE = 5, 6


@dataclass(frozen=True)
class Image:
    """A program to load. `uses` are the instructions that name externs, in order; `functions`
    the kernel functions among them, each once, as they are first called."""

    program: model.Program
    code: bytes
    expected_attach_type: int
    function_info: bytes
    line_info: bytes
    core_relocations: bytes
    uses: tuple[Relocation, ...]
    functions: tuple[str, ...]

    @property
    def externs(self) -> tuple[str, ...]:
        """The names of all that it uses, each once."""
        return tuple(dict.fromkeys(use.target for use in self.uses))


def images_of(contents: Contents, prepared: Prepared) -> list[Image]:
    """The images of the programs to be loaded."""
    return [
        _image(contents, each, prepared.layout(each.name))
        for each in contents.programs
        if each.autoload
    ]


def _image(contents: Contents, program: model.Program, layout: ProgramLayout) -> Image:
    code = bytearray(layout.code)
    uses: list[Relocation] = []
    for each in layout.relocations:
        match each.kind:
            case RelocationKind.MAP:
                write_load(code, each, _MAP_INDEX, _number(contents.map_numbers, layout, each))
            case RelocationKind.DATA:
                number = _number(contents.section_numbers, layout, each)
                write_load(code, each, _MAP_INDEX_VALUE, number, each.addend)
            case RelocationKind.EXTERN:
                write_load(code, each, 0, 0, 0)
                uses.append(each)
            case RelocationKind.EXTERN_CALL:
                write_call(code, each._replace(addend=0), 0)
                uses.append(each)
            case _:
                raise RelocationError(f"program {layout.name!r}: {each.target!r} is not resolved")
    uses.sort()
    externs = contents.object.externs
    names = [use.target for use in uses if externs[use.target].kind is ExternKind.KFUNC]
    return Image(
        program,
        bytes(code),
        _expected_attach_type(program),
        layout.function_info,
        layout.line_info,
        _core_relocations(contents, layout),
        tuple(uses),
        tuple(dict.fromkeys(names)),
    )


def _number(numbers: dict[str, int], layout: ProgramLayout, relocation: Relocation) -> int:
    try:
        return numbers[relocation.target]
    except KeyError:
        raise RelocationError(
            f"program {layout.name!r} uses {relocation.target!r}, which does not exist"
        ) from None


def _expected_attach_type(program: model.Program) -> int:
    """As libbpf has it for a kernel that is as new as it is."""
    if traces_static_probes(program):
        return AttachType.TRACE_UPROBE_MULTI
    return program.expected_attach_type or 0


def _core_relocations(contents: Contents, layout: ProgramLayout) -> bytes:
    """Records of struct bpf_core_relo, instruction offsets in bytes from the program's start."""
    obj, records = contents.object, bytearray()
    for slot, name in layout.functions:
        for each in obj.functions[name].core_relocations:
            access = obj.btf.string_offset(each.access) if obj.btf is not None else None
            if access is None:
                raise ObjectFormatError(f"CO-RE record without its access {each.access!r} in BTF")
            records += struct.pack("=IIII", each.offset + 8 * slot, each.type_id, access, each.kind)
    if records and not layout.function_info:
        raise NotSupportedError(
            f"program {layout.name!r} has CO-RE records and functions without types: the kernel"
            " takes the ones with the others only"
        )
    return bytes(records)
