"""`BTF`: types read when they are asked for, from bytes that may lie."""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from osmia.arguments import explained, names_wrong_arguments
from osmia.btf import sizes
from osmia.btf.decode import decode_type
from osmia.btf.layout import (
    ByteOrder,
    TypeIndex,
    index_types,
    kind_in,
    native_words,
    parse_header,
)
from osmia.btf.names import NameColumn
from osmia.btf.strings import SPLIT, StringSection, StringsRead
from osmia.btf.types import MODIFIERS, Kind, Type, Void
from osmia.errors import ObjectFormatError
from osmia.kept_values import kept_value

if TYPE_CHECKING:
    from array import array

    from osmia.btf.partial_index import PartialIndex

#: As deep as libbpf follows typedefs, qualifiers and arrays; no compiler goes deeper.
MAX_RESOLVE_DEPTH = 32

#: So many places where a name may stand are searched one by one in a large BTF.
_FEW_OFFSETS = 4

_VOID = Void()
_DATA_SECTIONS = (Kind.DATASEC,)
#: By number: cheaper than calling the enum. The walk refused all other numbers.
_KINDS = tuple(Kind)


class BTF:
    """The types of an object, of the kernel or of a module.

    The header is checked at once; the types are indexed at the first need, and each is
    decoded when it is asked for. With `base` this is split BTF: ids and string offsets
    go on where those of `base` end, and types may refer to both.

    `data` is kept, not copied, and must not change. `name` says in errors where the data
    came from. `unique_strings` promises that each name is stored once and not as the
    end of a longer string, as in the kernel's own BTF, which makes `find` faster.
    `keep_index` is for large BTF that many processes read: the index is taken from the
    user's cache, or made and kept there; `identity`, a name that no other data ever has,
    saves comparing the data with what the index was made of. Every method raises
    ObjectFormatError for data that is not what it claims, and for an id that does not exist.
    """

    @names_wrong_arguments
    def __init__(
        self,
        data: bytes | bytearray | memoryview | mmap.mmap,
        *,
        base: BTF | None = None,
        name: str = "",
        unique_strings: bool = False,
        keep_index: bool = False,
        identity: str = "",
    ) -> None:
        self._data = view = memoryview(data)
        self.name = name
        self.base = base
        self._header = header = parse_header(view, name)
        if base is not None and base.byteorder != header.byteorder:
            raise ObjectFormatError("split BTF and its base differ in byte order", file=name)
        self._unique_strings = unique_strings
        self._first_id = len(base) if base is not None else 1
        self._first_string = base.string_size if base is not None else 0
        self._text = StringSection(
            data if isinstance(data, mmap.mmap) else view, header.strings_start, header.strings_end
        )
        self._strings_end = self.string_size
        self._check_strings()
        self._words = native_words(view[header.types_start : header.types_end], header.byteorder)
        #: Where the records of types 1, 2, … start, and the last one ends; of what was walked and
        #: has no base.
        self._starts: list[int] = []
        self._flavoured: list[str] | None = None
        self._keep_index = keep_index
        self._identity = identity
        self._unchecked = 0  # rows below were kept by another process
        self._types: dict[int, Type] = {}
        self._strings = StringsRead(self._text, base, name)
        self._layouts: dict[int, tuple[int, int]] = {}
        self._pointer_size = 0

    def _check_strings(self) -> None:
        if not len(self._text) and self.base is not None:
            return
        start, end = self._header.strings_start, self._header.strings_end
        if not self._text.is_terminated():
            problem = "BTF strings do not end in NUL"
            problem += "" if len(self._text) else f", unless these are {SPLIT}"
            raise ObjectFormatError(problem, file=self.name, offset=end)
        if self.base is None and not self._text.startswith(b"\0"):
            problem = f"BTF strings do not start with NUL, unless these are {SPLIT}"
            raise ObjectFormatError(problem, file=self.name, offset=start)

    @property
    def byteorder(self) -> ByteOrder:
        """The byte order of the data, which is that of the target."""
        return self._header.byteorder

    @property
    def string_size(self) -> int:
        """The size in bytes of all strings, those of the base included."""
        return self._first_string + len(self._text)

    @property
    def byte_size(self) -> int:
        """The size of the data in bytes, that of the base included."""
        return len(self._data) + (self.base.byte_size if self.base is not None else 0)

    @property
    def first_id(self) -> int:
        """The first id that is not the base's: 1 where there is no base."""
        return self._first_id

    @kept_value
    def _positions(self) -> memoryview | array[int]:
        """Where records start: of a partial index, as far as that is known."""
        if not self._keep_index:
            return self._walked.positions
        self._unchecked = self._partial.restored
        return self._partial.positions

    @property
    def _all_positions(self) -> memoryview | array[int]:
        return self._partial.whole() if self._keep_index else self._positions

    @property
    def _checked_positions(self) -> memoryview | array[int]:
        """All of them, for who is going to read all types."""
        if not self._keep_index:
            return self._positions
        found = self._partial.checked()
        self._unchecked = 0
        return found

    @property
    def _partial(self) -> PartialIndex:
        # One for all threads: `_positions` are its own, and grow with it.
        known: PartialIndex | None = self.__dict__.get("_index")
        if known is None:
            known = self.__dict__.setdefault("_index", self._make_index())
        return known

    def _make_index(self) -> PartialIndex:
        from osmia.btf.index_cache import IndexFile
        from osmia.btf.partial_index import PartialIndex
        from osmia.btf.record_search import RecordSearch

        header, words, mapped = self._header, self._words, self._data.obj
        data = mapped if isinstance(mapped, mmap.mmap) else self._data
        places = header.types_start, header.types_end
        search = RecordSearch(data, *places, words, header.byteorder)
        file = IndexFile(words, self._text, self._identity)
        return PartialIndex(words, search, file, self.name, places[0], self._first_id)

    @kept_value
    def _walked(self) -> TypeIndex:
        words = self._words
        found = index_types(words, self.name, self._header.types_start, self._first_id)
        if self.base is None:
            self._starts = [*found.positions.tolist(), len(words)]
        return found

    @kept_value
    def _names(self) -> NameColumn:
        return NameColumn.gathered(self._words, self._all_positions)

    def __len__(self) -> int:
        """The number of types, `void` and those of the base included."""
        return self._first_id + len(self._all_positions)

    def __iter__(self) -> Iterator[int]:
        """All ids from 1 on, those of the base included."""
        return iter(range(1, self._first_id + len(self._checked_positions)))

    def __bool__(self) -> bool:
        """True, also when there are no types."""
        return True

    def __repr__(self) -> str:
        return f"<BTF {self.name or 'of an object'}: {len(self)} types>"

    def to_bytes(self) -> bytes:
        """The bytes that this was read from (without those of the base)."""
        return bytes(self._data)

    def view(self) -> memoryview:
        """The same bytes, not copied."""
        return self._data

    def string_bytes(self) -> bytes:
        """All strings, each with a NUL behind it, as they are stored; not those of the base."""
        return bytes(self._data[self._header.strings_start : self._header.strings_end])

    def __reduce__(self) -> tuple[Any, ...]:
        """What was read lazily is read anew by whoever unpickles it."""
        words = (self.to_bytes(), self.base, self.name, self._unique_strings, self._keep_index)
        return _restored, (*words, self._pointer_size)

    def __deepcopy__(self, memo: object) -> BTF:
        return self  # nothing of it ever changes

    @names_wrong_arguments
    def with_words(self, data: bytes | bytearray, changed: Iterable[int]) -> BTF:
        """The same BTF but for words in the records of the types `changed`, as `data` has them.

        `data` is kept and must not change.
        Records and strings stay where they are, so what is known of the others is kept.
        """
        if len(data) != len(self._data):
            raise ValueError(f"data of {len(data)} bytes for BTF of {len(self._data)}")
        walked, header = self._walked, self._header
        other = object.__new__(BTF)
        other.__dict__.update(self.__dict__)
        other._data = view = memoryview(data)
        other._words = native_words(view[header.types_start : header.types_end], header.byteorder)
        other._types, other._layouts = dict(self._types), {}
        infos = set(walked.infos)
        for type_id in changed:
            other._types.pop(type_id, None)
            infos.add(other.head(type_id)[1])
        other._walked = TypeIndex(walked.positions, walked.data_sections, infos)
        other._positions, other._keep_index, other._unchecked = walked.positions, False, 0
        return other

    def check_complete(self) -> None:
        """See that names lie in the strings; ObjectFormatError for split BTF without its base."""
        size = self.string_size
        if any(self._words[position] >= size for position in self._all_positions):
            raise ObjectFormatError(f"these are {SPLIT}", file=self.name)

    def string(self, offset: int) -> str:
        """The string at `offset`; bytes that are no UTF-8 become surrogates."""
        try:
            return self._strings[offset]
        except TypeError as error:
            raise explained(error, BTF.string, offset=offset) from None

    @names_wrong_arguments
    def string_offset(self, text: str) -> int | None:
        """Where `text` is stored as a whole string, in the base or here; None when nowhere."""
        if not text:
            return 0
        if self.base is not None and (offset := self.base.string_offset(text)) is not None:
            return offset
        encoded = text.encode("utf-8", "surrogateescape") + b"\0"
        if self._text.startswith(encoded):  # only in split BTF, which starts without NUL
            return self._first_string
        position = self._text.find(b"\0" + encoded)
        return self._first_string + position + 1 if position >= 0 else None

    @names_wrong_arguments
    def strings_containing(self, part: bytes) -> list[str]:
        """The strings in which `part` stands, each once, without those of the base."""
        return self._text.containing(part)

    def flavoured_strings(self) -> list[str]:
        """The strings with "___" in them, which may be names with a flavour."""
        if self._flavoured is None and self._keep_index:
            self._flavoured = self._partial.flavoured
        if self._flavoured is None:  # no type is needed for that: nothing is walked
            self._flavoured = self.strings_containing(b"___")
            if self._keep_index:
                self._partial.note_flavoured(self._flavoured)
        return self._flavoured

    def type(self, type_id: int) -> Type:
        """The type with this id."""
        try:
            found = self._types.get(type_id)
            if found is None:
                if type_id == 0:
                    return _VOID
                if 0 < type_id < self._first_id and self.base is not None:
                    return self.base.type(type_id)
                words = self.words(type_id)
                found = decode_type(self._strings.__getitem__, type_id, words)
                self._types[type_id] = found
        except TypeError as error:
            raise explained(error, BTF.type, type_id=type_id) from None
        return found

    def words(self, type_id: int) -> list[int]:
        """The 32-bit words of a type's record, in the host's order: what `type` decodes."""
        starts = self._starts
        if type_id.__class__ is int and 0 < type_id < len(starts):
            return self._words[starts[type_id - 1] : starts[type_id]].tolist()
        if self.base is not None and self._is_of_base(type_id):
            return self.base.words(type_id)
        start = self._position_of(type_id)
        positions, row = self._positions, type_id - self._first_id + 1
        if row < len(positions):
            end = positions[row]
        else:
            end = self._partial.end if self._keep_index else len(self._words)
        return self._words[start:end].tolist()

    def head(self, type_id: int) -> tuple[int, int, int]:
        """The first three of those words: where the name is, `info`, and the size or a type.

        As for `type`, the name must be inside the strings.
        """
        if type_id == 0:
            return 0, 0, 0
        starts, words = self._starts, self._words
        if type_id.__class__ is int and 0 < type_id < len(starts):
            start = starts[type_id - 1]
        elif self.base is not None and self._is_of_base(type_id):
            return self.base.head(type_id)
        else:
            start = self._position_of(type_id)
        name = words[start]
        if name >= self._strings_end:
            self.string(name)
        return name, words[start + 1], words[start + 2]

    def records(self) -> tuple[memoryview, memoryview]:
        """The words of all types, in the host's order, and where each type's record starts there.

        Without those of the base.
        """
        return self._words, memoryview(self._checked_positions)

    def _position_of(self, type_id: int) -> int:
        positions = self._positions
        try:
            row = type_id - self._first_id
            position: int = positions[row] if 0 <= row < len(positions) else self._further(row)
        except TypeError as error:
            raise explained(error, BTF.type, type_id=type_id) from None
        if position < 0:
            problem = f"type {type_id} does not exist; there are {len(self)}"
            raise ObjectFormatError(problem, file=self.name)
        if row < self._unchecked:
            self._partial.check(row)
        return position

    def _further(self, row: int) -> int:
        """The position of a row that is not in the index yet; -1 when there is none."""
        if row < 0 or not self._keep_index:
            return -1
        self._partial.reach(row)
        return self._positions[row] if row < len(self._positions) else -1

    def _is_of_base(self, type_id: int) -> bool:
        try:
            return type_id < self._first_id
        except TypeError as error:
            raise explained(error, BTF.type, type_id=type_id) from None

    def record_offset(self, type_id: int) -> int:
        """Where the type's record starts in `to_bytes()`, in bytes; not for the base's types."""
        return self._header.types_start + 4 * self._position_of(type_id)

    @names_wrong_arguments
    def ids_of_kind(self, kind: Kind) -> list[int]:
        """The ids of all types of one kind, without decoding them; not those of the base."""
        walked, words, first = self._walked, self._words, self._first_id
        positions = walked.positions
        if kind == Kind.DATASEC:
            return [first + bisect_left(positions, place) for place in walked.data_sections]
        infos = walked.infos_of(kind)
        if not infos:
            return []
        return [
            first + row for row, position in enumerate(positions) if words[position + 1] in infos
        ]

    def kind_of(self, type_id: int) -> Kind:
        """The kind of a type, without decoding it."""
        if type_id == 0:
            return Kind.VOID
        if self.base is not None and self._is_of_base(type_id):
            return self.base.kind_of(type_id)
        return _KINDS[kind_in(self._words[self._position_of(type_id) + 1])]

    def name_of(self, type_id: int) -> str:
        """The name of a type, "" for none, without decoding it."""
        if type_id == 0:
            return ""
        if self.base is not None and self._is_of_base(type_id):
            return self.base.name_of(type_id)
        return self.string(self._words[self._position_of(type_id)])

    @names_wrong_arguments
    def find(self, name: str, *kinds: Kind) -> int:
        """The lowest id of a type with this name, of one of `kinds` if any; 0 when none is."""
        return next(self._find(name, kinds), 0)

    @names_wrong_arguments
    def find_all(self, name: str, *kinds: Kind) -> tuple[int, ...]:
        """The ids of all types with this name, of one of `kinds` if any, in order."""
        return tuple(self._find(name, kinds))

    def _find(self, name: str, kinds: tuple[Kind, ...]) -> Iterator[int]:
        if not name or "\0" in name:
            return
        if self.base is not None:
            yield from self.base._find(name, kinds)
        if kinds == _DATA_SECTIONS and "_names" not in self.__dict__ and not self._keep_index:
            # The few that there are, before a column is made of all names.
            walked, words = self._walked, self._words
            for place in walked.data_sections:
                if self.string(words[place]) == name:
                    yield self._first_id + bisect_left(walked.positions, place)
            return
        offsets = self._offsets_of(name)
        if not offsets:
            return
        if self._keep_index and len(offsets) <= _FEW_OFFSETS:
            rows = self._partial.rows(offsets, kinds)
        else:
            rows = self._names.rows(offsets)
        for row in rows:
            type_id = self._first_id + row
            kind = self.kind_of(type_id)
            if not kinds or kind in kinds:
                yield type_id

    def _offsets_of(self, name: str) -> list[int]:
        """Every offset at which a type of this BTF may have found its name."""
        try:
            encoded = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return []
        own = self._text.offsets_of(encoded, unique=self._unique_strings)
        offsets = [self._first_string + offset for offset in own]
        return offsets if self.base is None else self.base._offsets_of(name) + offsets

    @names_wrong_arguments
    def resolve(self, type_id: int) -> int:
        """The id without typedefs, qualifiers and type tags."""
        for _ in range(MAX_RESOLVE_DEPTH):
            if self.kind_of(type_id) not in MODIFIERS:
                return type_id
            _, _, type_id = self.head(type_id)
        raise ObjectFormatError(f"type {type_id} is a chain of typedefs too long", file=self.name)

    @names_wrong_arguments
    def size_of(self, type_id: int) -> int:
        """The size of a type in bytes.

        Raises ObjectFormatError for what has no size (void, functions, forward
        declarations) and for a size beyond 32 bits.
        """
        return sizes.size_of(self, type_id)

    @names_wrong_arguments
    def alignment_of(self, type_id: int) -> int:
        """The alignment of a type in bytes: 1 for a struct that must have been packed."""
        return self.layout_of(type_id)[1]

    @names_wrong_arguments
    def layout_of(self, type_id: int) -> tuple[int, int]:
        """(`size_of`, `alignment_of`) of a type, remembered."""
        return self._layouts.get(type_id) or sizes.layout_of(self, type_id, self._layouts)

    @property
    def pointer_size(self) -> int:
        """The size of the target's pointers in bytes: that of its `long`, 8 when it has none."""
        if not self._pointer_size:
            base = self.base
            told = base is not None and base._pointer_size
            self._pointer_size = told or sizes.pointer_size(self)
        return self._pointer_size

    def with_pointer_size(self, size: int) -> BTF:
        """The same types for a target with pointers of 4 or 8 bytes, whatever its `long` says.

        It counts for sizes, alignments and values, and for split BTF with this one as its base.
        """
        if size not in (4, 8):
            raise ValueError(f"pointers have 4 or 8 bytes, not {size}")
        other = object.__new__(BTF)
        other.__dict__.update(self.__dict__)
        other._pointer_size, other._layouts = size, {}
        return other


def _restored(
    data: bytes,
    base: BTF | None,
    name: str,
    unique_strings: bool,
    keep_index: bool,
    pointer_size: int,
) -> BTF:
    """The BTF that was pickled."""
    btf = BTF(data, base=base, name=name, unique_strings=unique_strings, keep_index=keep_index)
    btf._pointer_size = pointer_size
    return btf
