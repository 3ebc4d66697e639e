"""The entries of `.debug_info`, read by pyelftools, of osmia[debug]: attributes, text, lists.

Files are not trusted: whatever a reader trips over is an ObjectFormatError.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from osmia.debugger.dwarf.sections import DebugSections
from osmia.elf import ElfFile
from osmia.errors import MissingPackageError, ObjectFormatError, OsmiaError

_REFERENCES = frozenset(
    f"DW_FORM_{form}" for form in ("ref1", "ref2", "ref4", "ref8", "ref_udata", "ref_addr")
)
_MOST_ORIGINS = 16


class DebugEntries:
    """The debug information of one relocatable object, entry by entry.

    Raises MissingPackageError without pyelftools, ObjectFormatError for what cannot be right.
    """

    def __init__(self, data: bytes, name: str = "") -> None:
        self.name = name
        self.elf = ElfFile.parse(data, name)
        self.byteorder = self.elf.byteorder
        self.sections = DebugSections(self.elf)
        with self.damage():
            self.info = _dwarf_info(self.sections, self.byteorder)

    @contextmanager
    def damage(self) -> Iterator[None]:
        """Whatever reading goes wrong on is this file's fault."""
        try:
            yield
        except OsmiaError:
            raise
        except Exception as error:  # what a parser of files trips over has any type
            what = f"its debug information is damaged: {type(error).__name__}: {error}"
            raise ObjectFormatError(f"{what:.300}", file=self.name or None) from error

    def attribute(self, entry: Any, name: str, default: Any = None) -> Any:
        """The value of an entry's attribute DW_AT_…"""
        found = entry.attributes.get(f"DW_AT_{name}")
        return default if found is None else found.value

    def referred(self, entry: Any, name: str) -> Any:
        """The entry that an attribute refers to; None without that attribute."""
        found = entry.attributes.get(f"DW_AT_{name}")
        if found is None or found.form not in _REFERENCES:
            return None
        return entry.get_DIE_from_attribute(f"DW_AT_{name}")

    def text(self, entry: Any, name: str = "name") -> str:
        """An attribute that is text; "" without it."""
        value = self.attribute(entry, name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""

    def children(self, entry: Any) -> Iterator[Any]:
        """The entries in an entry."""
        unit, offset, depth = entry.cu, entry.offset + entry.size, 0
        end = unit.cu_offset + unit.size
        while entry.has_children and offset < end:
            child = unit.get_DIE_from_refaddr(offset)
            offset += child.size
            if child.is_null():
                if not depth:
                    return
                depth -= 1
                continue
            if not depth:
                yield child
            depth += bool(child.has_children)

    def number(self, entry: Any, name: str) -> int:
        """An attribute that is a number; 0 without it."""
        value = self.attribute(entry, name)
        return value if isinstance(value, int) else 0

    def origin(self, entry: Any) -> Any:
        """The entry that declares what another one is an instance of."""
        for _ in range(_MOST_ORIGINS):
            further = self.referred(entry, "abstract_origin") or self.referred(
                entry, "specification"
            )
            if further is None:
                return entry
            entry = further
        raise ObjectFormatError("entries have each other as their origin", file=self.name)

    def unit_base(self, unit: Any) -> int:
        """What addresses of lists in a unit count from, before a list says otherwise."""
        return self.number(unit.get_top_DIE(), "low_pc")

    def location_list(self, entry: Any, offset: int) -> Iterator[tuple[int, int, bytes]]:
        """A location list: first address, end, expression; (-1, -1, …) is one for all others."""
        base = self.unit_base(entry.cu)
        for each in self._location_lists.get_location_list_at_offset(offset, entry):
            if hasattr(each, "base_address"):
                base = each.base_address
            elif hasattr(each, "loc_expr"):
                shift = 0 if each.is_absolute else base
                yield each.begin_offset + shift, each.end_offset + shift, bytes(each.loc_expr)

    def indexed_address(self, unit: Any, index: int) -> int:
        """An address of `.debug_addr`."""
        return int(self.info.get_addr(unit, index))

    @cached_property
    def _location_lists(self) -> Any:
        return self.info.location_lists()

    def file(self, unit: Any, index: Any) -> str:
        """The name of a unit's file, by its number."""
        if not isinstance(index, int):
            return ""
        files = self._files(unit)
        return files[index] if 0 <= index < len(files) else ""

    def _files(self, unit: Any) -> list[str]:
        """The names of a unit's files, by number."""
        known = self._file_tables.get(unit.cu_offset)
        if known is None:
            known = self._file_tables[unit.cu_offset] = list(self._file_names(unit))
        return known

    @cached_property
    def _file_tables(self) -> dict[int, list[str]]:
        return {}

    def _file_names(self, unit: Any) -> Iterator[str]:
        program = self.info.line_program_for_CU(unit)
        if program is None:
            return
        header, top = program.header, unit.get_top_DIE()
        directories = [_decoded(each) for each in header["include_directory"]]
        first = self.text(top, "comp_dir")
        if header["version"] < 5:
            directories.insert(0, first)
            yield self.text(top)  # files are numbered from 1
        for each in header["file_entry"]:
            at = each.dir_index
            directory = directories[at] if 0 <= at < len(directories) else ""
            yield _joined(first, _joined(directory, _decoded(each.name)))


def _joined(directory: str, name: str) -> str:
    return name if name.startswith("/") or not directory else f"{directory}/{name}"


def _decoded(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _dwarf_info(sections: DebugSections, byteorder: str) -> Any:
    """pyelftools' reader over sections that are relocated already."""
    try:
        from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo
    except ImportError:
        raise MissingPackageError("pyelftools", extra="debug") from None
    import inspect

    def described(name: str) -> Any:
        data = sections.contents.get(name)
        if data is None:
            return None
        return DebugSectionDescriptor(io.BytesIO(data), name, 0, len(data), 0)

    # Newer versions know more sections; those are no parts of what is read here.
    wanted = [each for each in inspect.signature(DWARFInfo).parameters if each.endswith("_sec")]
    given: Any = {each: described("." + each.removesuffix("_sec")) for each in wanted}
    return DWARFInfo(DwarfConfig(byteorder == "little", "BPF", 8), **given)
