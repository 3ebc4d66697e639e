"""Section `.debug_osmia_parts`: what came from which input of a linked object.

Other loaders and linkers pass over it as over everything else for debuggers, and
`llvm-strip -g` takes it out. It holds text: records of a kind and two names, each ended by
NUL. "p NAME" begins a part; "f", "v" and "m" are its functions, variables and maps: the key
that each had in its input, and the one it has here ("" for the same).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from osmia.elf import ElfFile
from osmia.errors import ObjectFormatError
from osmia.formats.libbpf import PARTS_SECTION
from osmia.object.model import Object
from osmia.object.parts import Part


def write_parts(parts: Mapping[str, Part]) -> bytes:
    """The section's contents. ValueError for a name with NUL in it."""
    words = [word for name, part in parts.items() for word in _records(name, part)]
    if any("\0" in word for word in words):
        raise ValueError(f"a name in section {PARTS_SECTION!r} contains NUL")
    return b"".join([word.encode("utf-8", "surrogateescape") + b"\0" for word in words])


def _records(name: str, part: Part) -> Iterator[str]:
    yield from ("p", name, "")
    for kind, keys in (("f", part.functions), ("v", part.variables), ("m", part.maps)):
        for own, key in keys.items():
            yield from (kind, own, "" if key == own else key)


def read_parts(elf: ElfFile, obj: Object) -> dict[str, Part]:
    """The parts that the file tells, with what of them is in `obj`. ObjectFormatError for
    contents that no linker of ours writes."""
    section = elf.section(PARTS_SECTION)
    if section is None:
        return {}
    text = bytes(section.data).decode("utf-8", "surrogateescape")
    words = text.split("\0")
    if len(words) % 3 != 1 or words.pop():
        raise ObjectFormatError(f"section {PARTS_SECTION!r} ends within a record", file=elf.name)
    variables = {key for each in obj.data_sections.values() for key in each.variables}
    known = {"f": obj.functions.keys(), "v": variables, "m": obj.maps.keys()}
    found: dict[str, Part] = {}
    keys: dict[str, dict[str, str]] = {}
    for kind, own, key in zip(words[0::3], words[1::3], words[2::3], strict=True):
        if kind == "p":
            keys = {each: {} for each in known}
            found[own] = Part(keys["f"], keys["v"], keys["m"])
        elif kind not in keys:
            raise ObjectFormatError(
                f"section {PARTS_SECTION!r} has a record {kind!r:.20}", file=elf.name
            )
        elif (key or own) in known[kind]:
            keys[kind][own] = key or own
    return found
