"""The structs that older loaders describe maps with, in section `maps`: what a word means.

None of them says its own name in the file, unless there is BTF. Without it the size tells,
and where two structs have one size, what the words would mean. Known by their sizes:

    16        type, key size, value size, entries: any loader, the rest is zero
    20        and flags: any loader (struct bpf_map_def)
    24, 28    iproute2's without its last fields, or the kernel samples' bpf_map_def with
              an inner map's index and a NUMA node
    32, 36    iproute2's struct bpf_elf_map (include/bpf_elf.h), cut off or whole
    40        one word more, as Cilium's loader header had it
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from osmia.btf import BTF, Int, Struct
from osmia.records import dataclass

#: struct bpf_elf_map of iproute2; `map_flags` and others as a `.maps` declaration names them.
ELF_MAP_FIELDS = (
    "type",
    "key_size",
    "value_size",
    "max_entries",
    "map_flags",
    "id",
    "pinning",
    "inner_id",
    "inner_idx",
)
#: struct bpf_map_def of the kernel's samples/bpf (bpf_load.h, until 5.x).
SAMPLES_FIELDS = (*ELF_MAP_FIELDS[:5], "inner_map_idx", "numa_node")

SMALLEST, LARGEST = 16, 40
#: Other loaders' structs, by sizes that no struct of the loaders above has.
FOREIGN = {
    280: "struct bpf_map_def of gobpf (six words and a namespace of 256 characters)",
}

#: Sizes that structs of several loaders have, and the bytes that all of them have alike.
AMBIGUOUS, CERTAIN = (24, 28, 40), 20
ELF_MAP_SIZE = 4 * len(ELF_MAP_FIELDS)

_MAPS_IN_MAPS = (12, 13)
_NUMA_NODE = 4

#: What the fields are called in the structs of various loaders.
_SYNONYMS = {
    "map_type": "type",
    "size_key": "key_size",
    "size_value": "value_size",
    "max_elem": "max_entries",
    "flags": "map_flags",
    "inner_map_fd": "inner_map_idx",
}
_KNOWN = frozenset({*ELF_MAP_FIELDS, *SAMPLES_FIELDS})


@dataclass(frozen=True, slots=True)
class Layout:
    """A struct that describes a map: its name and each field's offset and size in bytes."""

    name: str
    fields: Mapping[str, tuple[int, int]]

    @property
    def is_iproute2(self) -> bool:
        """Whether the fields are those of struct bpf_elf_map."""
        return "inner_map_idx" not in self.fields and "numa_node" not in self.fields

    def read(self, entry: bytes, byteorder: str) -> dict[str, int]:
        """The fields' values; unsigned. What the entry is too short for is left out."""
        order = "little" if byteorder == "little" else "big"
        return {
            name: int.from_bytes(entry[offset : offset + size], order)  # type: ignore[arg-type]
            for name, (offset, size) in self.fields.items()
            if offset < len(entry)
        }


def layout_from_btf(btf: BTF, definition: Struct) -> Layout:
    """The layout of a struct that BTF tells, field by field; unknown fields by their names."""
    fields = {}
    for member in definition.members:
        kind = btf.type(btf.resolve(member.type_id))
        size = kind.size if isinstance(kind, Int) else 0
        if size in (1, 2, 4, 8) and member.bit_offset % 8 == 0 and not member.bitfield_size:
            fields[_SYNONYMS.get(member.name, member.name)] = (member.bit_offset // 8, size)
    return Layout(f"struct {definition.name or 'without a name'}", fields)


def layout_from_size(size: int, entries: Sequence[bytes], byteorder: str) -> Layout:
    """The layout that entries of `size` bytes most likely have; see the module's text."""
    if size in (24, 28) and _are_samples(entries, byteorder):
        return _words(f"struct bpf_map_def of the kernel's samples, {size} bytes", SAMPLES_FIELDS)
    if size == LARGEST:
        return _words("struct bpf_elf_map with a tenth word", (*ELF_MAP_FIELDS, "word 10"))
    if size < ELF_MAP_SIZE:
        name = "struct bpf_map_def" if size <= 20 else "struct bpf_elf_map"
        return _words(f"{name} of {size} bytes", ELF_MAP_FIELDS)
    return _words("struct bpf_elf_map", ELF_MAP_FIELDS)


def unknown_fields(values: Mapping[str, int]) -> dict[str, int]:
    """Fields that say something and that no loader known here has."""
    return {name: value for name, value in values.items() if value and name not in _KNOWN}


def _words(name: str, fields: Sequence[str]) -> Layout:
    return Layout(name, {field: (4 * number, 4) for number, field in enumerate(fields)})


def _are_samples(entries: Sequence[bytes], byteorder: str) -> bool:
    """iproute2's entries of these sizes have no inner_id: they cannot be maps in maps. And a
    NUMA node has a flag that says so."""
    first = struct.Struct("<5I" if byteorder == "little" else ">5I")
    for entry in entries:
        kind, _key, _value, _count, flags = first.unpack_from(entry)
        if kind in _MAPS_IN_MAPS or flags & _NUMA_NODE:
            return True
    return False
