"""Types of one object that code in another one refers to: added to the other's, each once."""

from __future__ import annotations

from array import array
from sys import byteorder as native_byteorder

from osmia.btf import BTF, DataSec, DeclTag, Func, Kind
from osmia.btf.builder import BTFBuilder
from osmia.btf.dedup import merge
from osmia.btf.references import referenced_ids
from osmia.btf.types import SectionVariable
from osmia.errors import ObjectFormatError

#: Declarations: what they are is for symbols to say, however equal they look.
_DECLARED = (Kind.VAR, Kind.FUNC, Kind.DATASEC, Kind.DECL_TAG)
_LINE_WORDS = 4  # struct bpf_line_info: offset, file name, line, line and column


class CopiedTypes:
    """Adds types of `source` to those of `into`, whose ids and strings stay as they are."""

    def __init__(self, into: BTF, source: BTF) -> None:
        self._source = source
        self._into = into
        self._builder = BTFBuilder.edit(into)
        self._ids = _equal_types(into, source)
        self._listed: dict[str, list[int]] = {}

    def build(self) -> BTF:
        """All types."""
        for name, added in self._listed.items():
            entries = [SectionVariable(type_id, 0, 0) for type_id in added]
            known = self._into.type(self._into.find(name, Kind.DATASEC))
            if isinstance(known, DataSec):
                listed = known._replace(entries=(*known.entries, *entries))
                self._builder.replace(known.id, listed)
            else:
                self._builder.add_datasec(name, 0, entries)
        return self._builder.build(self._into.name)

    def copy(self, type_id: int) -> int:
        """The id of a type of the source among the others; it and what it needs is added."""
        if not type_id or type_id in self._ids:
            return self._ids.get(type_id, 0)
        found = {type_id: None}
        pending = [type_id]
        while pending:
            for child in referenced_ids(self._source.type(pending.pop())):
                if child and child not in self._ids and child not in found:
                    found[child] = None
                    pending.append(child)
        for new_id, old_id in enumerate(found, len(self._builder)):
            self._ids[old_id] = new_id
        for old_id in found:
            self._builder.add_from(self._source, old_id, self._ids)
        return self._ids[type_id]

    def copy_function(self, type_id: int, instead_of: int = 0) -> int:
        """As `copy` for a FUNC, with the tags on it; it may take the place of another one's
        declaration, whose id it then has."""
        function = self._source.type(type_id)
        if not isinstance(function, Func) or type_id in self._ids:
            return self.copy(type_id)
        if instead_of:
            made = function._replace(type_id=self.copy(function.type_id))
            try:
                self._builder.replace(instead_of, made)
            except ValueError as error:  # what only a hostile writer puts into BTF
                raise ObjectFormatError(str(error), file=self._source.name) from None
            self._ids[type_id] = instead_of
        copied = self.copy(type_id)
        for tag_id in self._source.ids_of_kind(Kind.DECL_TAG):
            tag = self._source.type(tag_id)
            if isinstance(tag, DeclTag) and tag.type_id == type_id:
                self.copy(tag_id)
        return copied

    def declare(self, section: str, type_id: int) -> int:
        """As `copy` for the declaration of an extern, which the section `section` lists too."""
        made = self.copy(type_id)
        self._listed.setdefault(section, []).append(made)
        return made

    def lines(self, records: bytes) -> bytes:
        """Line records with their strings among the others'."""
        if len(records) % (4 * _LINE_WORDS):
            raise ObjectFormatError(f"line records of {len(records)} bytes", file=self._source.name)
        words = array("I", records)
        foreign = self._source.byteorder != native_byteorder
        if foreign:
            words.byteswap()
        for place in range(0, len(words), _LINE_WORDS):
            for text in (place + 1, place + 2):
                words[text] = self._builder.add_string(self._source.string(words[text]))
        if foreign:
            words.byteswap()
        return words.tobytes()


def _equal_types(into: BTF, source: BTF) -> dict[int, int]:
    """Types of `source` by id: those of `into` that are the same."""
    mine, others = merge([into, source]).ids
    known: dict[tuple[int, Kind], int] = {}
    for type_id in range(len(into) - 1, 0, -1):
        known[mine[type_id], into.kind_of(type_id)] = type_id
    return {
        type_id: same
        for type_id in range(1, len(source))
        if (kind := source.kind_of(type_id)) not in _DECLARED
        and (same := known.get((others[type_id], kind)))
    }
