"""The loader program of a light skeleton: what `load` does by bpf(2), done by a BPF program.

It is of type SYSCALL (since 5.14) and calls bpf_sys_bpf for types, maps and programs, in that
order; bpf_btf_find_by_name_kind and bpf_kallsyms_lookup_name answer for externs and for what
programs attach to. CO-RE records are handed to the kernel with each program (since 5.17).
"""

from __future__ import annotations

from enum import Enum
from sys import byteorder

from osmia.kernel.load.attach_target import kernel_name, needs_target
from osmia.kernel.load.definitions import NAME_LENGTH
from osmia.kernel.maps.opening import TYPES_WITHOUT_BTF
from osmia.kernel.skeletons.blob import Attributes, Blob
from osmia.kernel.skeletons.code import CONTEXT_SIZE, LoaderCode
from osmia.kernel.skeletons.contents import Contents, SkeletonMap
from osmia.kernel.skeletons.externs import ExternTable
from osmia.kernel.skeletons.images import Image, images_of
from osmia.kernel.sys.attributes import BtfLoad, MapCreate, MapElement, ProgLoad
from osmia.kernel.sys.syscall import Command
from osmia.named_tuples import NamedTuple
from osmia.object import model
from osmia.object.model import DataKind
from osmia.object.uapi import MapFlag, MapType
from osmia.passes.stages import Prepared

#: As many maps libbpf lets programs have: descriptors of modules follow behind that many.
MAP_DESCRIPTORS = 64

#: struct bpf_map_desc (descriptor, max_entries, initial_value), struct bpf_prog_desc.
MAP_SIZE, _MAP_ENTRIES, _MAP_VALUE = 16, 4, 8
PROGRAM_SIZE = 4

#: Bytes of the records that go with a program (include/uapi/linux/bpf.h).
_FUNCTION_INFO, _LINE_INFO, _CORE_RELOCATION = 8, 16, 16

_MAPS_OF_MAPS = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
_INDEX_SIZE = 4


class LoaderProgram(NamedTuple):
    """The program's instructions, and the bytes that it works on."""

    code: bytes
    data: bytes


class Form(Enum):
    """Who makes sure that the bytes which a loader works on are its own, where it is signed.

    CHECKED: the loader, against a hash in its code, which alone is signed (since 6.18; kernels
    since 7.3 refuse it). COVERED: the kernel, as the signature is of code and bytes (since 7.3).
    Neither lets who runs it say initial values and numbers of entries.
    """

    UNSIGNED = ""
    CHECKED = "checked"
    COVERED = "covered"


def loader_program(contents: Contents, form: Form = Form.UNSIGNED) -> LoaderProgram:
    """The program that loads `contents`. Raises as `Object.load` for code that is not sound."""
    return _Writer(contents, form).written()


def signed_bytes(form: Form, made: LoaderProgram) -> bytes:
    """What is signed of a loader."""
    return made.code + (made.data if form is Form.COVERED else b"")


class _Writer:
    """One loader program in the making."""

    def __init__(self, contents: Contents, form: Form) -> None:
        self.contents = contents
        self.form = form
        self.blob = Blob()
        self.code = LoaderCode()
        self.images = images_of(contents, Prepared(contents.object))
        self.maps_end = CONTEXT_SIZE + MAP_SIZE * len(contents.maps)
        room = max(MAP_DESCRIPTORS, len(contents.maps))
        # First of all, for the programs' `fd_array`: the maps, then modules.
        self.maps = self.blob.add_descriptors(len(contents.maps))
        modules = room + max((len(each.functions) for each in self.images), default=0)
        self.blob.add(bytes(4 * (modules - len(contents.maps)) + 4))
        self.types, self.template = (self.blob.add_descriptors(1) for _ in range(2))
        self.externs = ExternTable(contents.object, self.blob, self.code, self.maps, room)

    def written(self) -> LoaderProgram:
        """All steps, in order."""
        if self.contents.btf is not None:
            self._load_types(self.contents.btf.to_bytes())
        for number, each in enumerate(self.contents.maps):
            self.code.step()
            self._create_map(number, each)
        for number, each in enumerate(self.contents.maps):
            for index, target in each.definition.slots if _holds_maps(each.definition) else ():
                self.code.step()
                self._fill_slot(number, index, self._map(self.contents.map_numbers[target]))
        loaded = {image.program.name: self._load_program(image) for image in self.images}
        self._fill_prog_arrays(loaded)
        self._finish(loaded)
        code = self.code.assembled(self.blob, checks=self.form is Form.CHECKED)
        return LoaderProgram(code, bytes(self.blob))

    def _map(self, number: int) -> int:
        """Where a map's descriptor is."""
        return self.maps + 4 * number

    def _load_types(self, data: bytes) -> None:
        at = self.blob.add(data)
        attributes = self.blob.add_attributes(BtfLoad(btf_size=len(data)), "btf_log_level")
        self.code.store_address(attributes.place("btf"), at)
        self.code.log_to(attributes, "btf_log_level", "btf_log_size", "btf_log_buf")
        self._call(Command.BTF_LOAD, attributes)
        self.code.store(self.types, "r7")

    def _call(self, command: Command, attributes: Attributes) -> None:
        self.code.call(command, attributes)
        self.code.check()

    def _create_map(self, number: int, made: SkeletonMap) -> None:
        definition = made.definition
        if definition.inner is not None:
            self._create(self._definition(definition.inner), self.template)
        attributes = self._definition(definition)
        if definition.inner is not None:
            self.code.copy(attributes.place("inner_map_fd"), self.template)
        place = CONTEXT_SIZE + MAP_SIZE * number
        if self.form is Form.UNSIGNED:
            entries = attributes.place("max_entries")
            self.code.copy_from_context(entries, place + _MAP_ENTRIES, 4, unless_zero=True)
        self._create(attributes, self._map(number))
        if definition.inner is not None:
            self.code.close(self.template)
        if made.section is not None:
            self._write_section(number, made, place + _MAP_VALUE)

    def _create(self, attributes: Attributes, descriptor: int) -> None:
        self._call(Command.MAP_CREATE, attributes)
        self.code.store(descriptor, "r7")

    def _definition(self, definition: model.Map) -> Attributes:
        """The attributes of a map, its types' descriptor copied into them."""
        typed = definition.type not in TYPES_WITHOUT_BTF and definition.value_type_id != 0
        flags = int(definition.flags)
        if definition.numa_node is not None:
            flags |= MapFlag.NUMA_NODE
        attributes = self.blob.add_attributes(
            MapCreate(
                map_type=definition.type,
                key_size=definition.key_size,
                value_size=definition.value_size,
                max_entries=definition.max_entries,
                map_flags=flags,
                numa_node=definition.numa_node or 0,
                map_name=definition.name.encode()[:NAME_LENGTH],
                btf_key_type_id=definition.key_type_id if typed else 0,
                btf_value_type_id=definition.value_type_id if typed else 0,
                map_extra=definition.map_extra,
            ),
            "map_extra",
        )
        if typed:
            self.code.copy(attributes.place("btf_fd"), self.types)
        return attributes

    def _write_section(self, number: int, made: SkeletonMap, initial_value: int) -> None:
        """Give a data section its contents: the skeleton's, where it says some."""
        section = made.section
        assert section is not None
        value, key = self.blob.add(bytes(section.contents)), self.blob.add(bytes(_INDEX_SIZE))
        if self.form is Form.UNSIGNED:
            self.code.copy_initial_value(value, initial_value, len(section.contents))
        self._update(number, key, value)
        if section.kind in (DataKind.RODATA, DataKind.KCONFIG):
            attributes = self.blob.add_attributes(MapElement(), "map_fd")
            self.code.copy(attributes.place("map_fd"), self._map(number))
            self._call(Command.MAP_FREEZE, attributes)

    def _fill_slot(self, number: int, index: int, descriptor: int) -> None:
        """Store a map or program at an index."""
        self._update(number, self.blob.add(index.to_bytes(_INDEX_SIZE, byteorder)), descriptor)

    def _update(self, number: int, key: int, value: int) -> None:
        attributes = self.blob.add_attributes(MapElement(), "flags")
        self.code.copy(attributes.place("map_fd"), self._map(number))
        self.code.store_address(attributes.place("key"), key)
        self.code.store_address(attributes.place("value"), value)
        self._call(Command.MAP_UPDATE_ELEM, attributes)

    def _load_program(self, image: Image) -> int:
        """Load one; where its descriptor is."""
        for extern in image.externs:
            self.externs.resolve(extern)
        self.code.step()
        attributes = self.blob.add_attributes(_program(image), "core_relo_rec_size")
        code = self._point(attributes, "insns", image.code)
        self._point(attributes, "license", self.contents.object.license.encode() + b"\0")
        if image.function_info:
            self._point(attributes, "func_info", image.function_info)
            self._point(attributes, "line_info", image.line_info)
            self._point(attributes, "core_relos", image.core_relocations)
            self.code.copy(attributes.place("prog_btf_fd"), self.types)
        self.code.store_address(attributes.place("fd_array"), self.maps)
        self.code.log_to(attributes, "log_level", "log_size", "log_buf")
        for use in image.uses:
            self.code.step()
            self.externs.write(use, code, image.functions)
        self.code.step()
        target = self._find_target(image.program, attributes)
        self._call(Command.PROG_LOAD, attributes)
        descriptor = self.blob.add_descriptors(1)
        self.code.store(descriptor, "r7")
        if target:
            self.code.close(target)
        return descriptor

    def _point(self, attributes: Attributes, field: str, data: bytes) -> int:
        """Let a field point at a copy of `data`; its place."""
        at = self.blob.add(data)
        if data:
            self.code.store_address(attributes.place(field), at)
        return at

    def _find_target(self, program: model.Program, attributes: Attributes) -> int:
        """What a program attaches to by type; where the descriptor of its module is, or 0."""
        if not needs_target(program):
            return 0
        _module, name, kind = kernel_name(program)
        self.code.find_type(self.blob.add_text(name), kind)
        self.code.check()
        self.code.store(attributes.place("attach_btf_id"), "r7")
        self.code.add("r7 >>= 32")
        module = self.blob.add_descriptors(1)
        self.code.store(module, "r7")
        self.code.store(attributes.place("attach_btf_obj_fd"), "r7")
        return module

    def _fill_prog_arrays(self, loaded: dict[str, int]) -> None:
        for number, each in enumerate(self.contents.maps):
            if each.definition.type is MapType.PROG_ARRAY:
                for index, target in each.definition.slots:
                    if target in loaded:
                        self.code.step()
                        self._fill_slot(number, index, loaded[target])

    def _finish(self, loaded: dict[str, int]) -> None:
        """Close what only the load needed, and hand out the rest."""
        self.code.step()
        for descriptor in (self.types, *self.externs.descriptors):
            self.code.close(descriptor)
        for number in range(len(self.contents.maps)):
            self.code.copy_to_context(CONTEXT_SIZE + MAP_SIZE * number, self._map(number))
        for number, program in enumerate(self.contents.programs):
            if program.name in loaded:
                place = self.maps_end + PROGRAM_SIZE * number
                self.code.copy_to_context(place, loaded[program.name])


def _holds_maps(definition: model.Map) -> bool:
    return definition.type in _MAPS_OF_MAPS


def _program(image: Image) -> ProgLoad:
    """The attributes of a program, but for addresses and descriptors."""
    program = image.program
    return ProgLoad(
        prog_type=program.type,
        insn_cnt=len(image.code) // 8,
        prog_flags=program.flags,
        prog_name=program.name.encode()[:NAME_LENGTH],
        expected_attach_type=image.expected_attach_type,
        func_info_rec_size=_FUNCTION_INFO,
        func_info_cnt=len(image.function_info) // _FUNCTION_INFO,
        line_info_rec_size=_LINE_INFO,
        line_info_cnt=len(image.line_info) // _LINE_INFO,
        core_relo_cnt=len(image.core_relocations) // _CORE_RELOCATION,
        # Before 5.17 no field of it may be set.
        core_relo_rec_size=_CORE_RELOCATION if image.core_relocations else 0,
    )
