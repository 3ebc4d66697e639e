"""Sections `.BTF` and `.BTF.ext` of an object that becomes an ELF file."""

from __future__ import annotations

import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeVar, cast

from osmia.btf import (
    BTF,
    BTFBuilder,
    CoreInfo,
    DataSec,
    FunctionInfo,
    Kind,
    build_btf_ext,
)
from osmia.btf.additions import Additions
from osmia.btf.patch import visible
from osmia.formats.map_declarations import Declarations, declare_maps, kept_declarations
from osmia.named_tuples import NamedTuple
from osmia.object.model import Function, Linkage, Object

Record = TypeVar("Record", FunctionInfo, CoreInfo)

_SLOT = 8


class WrittenTypes(NamedTuple):
    """The bytes of both sections (`ext` may be none), and what `.maps` is to hold."""

    btf: bytes
    ext: bytes
    declarations: Declarations


def write_types(obj: Object, functions_at: Mapping[str, tuple[str, int]]) -> WrittenTypes | None:
    """The types of `obj`, whose functions are at (section, offset); None where there are none."""
    return _TypesWriter(obj, functions_at).write()


class _TypesWriter:
    def __init__(self, obj: Object, functions_at: Mapping[str, tuple[str, int]]) -> None:
        self.obj = obj
        self.functions_at = functions_at
        self.byteorder = cast(Literal["little", "big"], obj.byteorder)

    def write(self) -> WrittenTypes | None:
        maps = self.obj.maps.values()
        if self.obj.btf is None and not maps:
            return None
        btf = self._visible(self.obj.btf) if self.obj.btf is not None else None
        kept = kept_declarations(btf, maps)
        if btf is not None and kept is not None:
            strings = _Strings(btf)
            ext = self._ext(strings.add)
            return WrittenTypes(strings.added.append_to(bytearray(btf.to_bytes())), ext, kept)
        builder = BTFBuilder.edit(btf) if btf else BTFBuilder(byteorder=self.byteorder)
        declarations = declare_maps(builder, btf, maps)
        ext = self._ext(builder.add_string)
        return WrittenTypes(builder.to_bytes(), ext, declarations)

    def _visible(self, btf: BTF) -> BTF:
        """The types with what is hidden as a compiler tells it: static is what symbols say."""
        hidden = [
            function.btf_id
            for function in self.obj.functions.values()
            if function.hidden and function.linkage is not Linkage.STATIC
        ]
        functions = {each for each in hidden if btf.kind_of(each) == Kind.FUNC}
        variables = {each.btf_id for each in self.obj.maps.values() if each.hidden}
        for section in self.obj.data_sections.values():
            places = {(e.name, e.offset) for e in section.variables.values() if e.hidden}
            datasec = btf.type(section.btf_id) if places else None
            for entry in datasec.entries if isinstance(datasec, DataSec) else ():
                if (btf.name_of(entry.type_id), entry.offset) in places:
                    variables.add(entry.type_id)
        declared = {each for each in variables if btf.kind_of(each) == Kind.VAR}
        return visible(btf, sorted(functions), sorted(declared))

    def _ext(self, add_string: Callable[[str], int]) -> bytes:
        functions = self._by_section(self._function_info)
        if not any(functions.values()):  # libbpf refuses one without
            return b""
        return build_btf_ext(
            functions=functions,
            lines=self._lines(),
            core=self._by_section(self._core_info),
            add_string=add_string,
            byteorder=self.byteorder,
        )

    def _by_section(
        self, read: Callable[[Function, int], Iterator[Record]]
    ) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for key, function in self.obj.functions.items():
            section, start = self.functions_at[key]
            found[section].extend(read(function, start))
        return found

    def _function_info(self, function: Function, start: int) -> Iterator[FunctionInfo]:
        if function.btf_id:
            yield FunctionInfo(start, function.btf_id)

    def _core_info(self, function: Function, start: int) -> Iterator[CoreInfo]:
        for each in function.core_relocations:
            yield CoreInfo(start + each.offset, each.type_id, each.access, each.kind)

    def _lines(self) -> dict[str, bytes]:
        """The records as they are, but for their offsets: strings keep theirs."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for key, function in self.obj.functions.items() if self.obj.btf is not None else ():
            section, start = self.functions_at[key]
            words = array("I", function.line_info)
            if self.byteorder != sys.byteorder:
                words.byteswap()
            words[0::4] = array("I", [start + _SLOT * slot for slot in words[0::4]])
            if self.byteorder != sys.byteorder:
                words.byteswap()
            found[section].append(words.tobytes())
        return {section: b"".join(parts) for section, parts in found.items()}


class _Strings:
    """The strings of a BTF, and those that are added behind them."""

    def __init__(self, btf: BTF) -> None:
        self._btf = btf
        self.added = Additions(btf)
        self._known: dict[str, int] = {}

    def add(self, text: str) -> int:
        """The offset of a string."""
        offset = self._known.get(text)
        if offset is None:
            if "\0" in text:
                raise ValueError(f"{text!r} contains NUL")
            found = self._btf.string_offset(text)
            offset = self.added.add_string(text) if found is None else found
            self._known[text] = offset
        return offset
