"""How types are spelled in C: base types, declarators, names of fields and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from osmia.btf.c.names import Namespace, Tags, identifier
from osmia.btf.reader import BTF
from osmia.btf.types import (
    Array,
    Const,
    Enum,
    Enum64,
    Float,
    FuncProto,
    Fwd,
    Int,
    Ptr,
    Restrict,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Void,
    Volatile,
)
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

#: Pointers, arrays and qualifiers in one declarator.
MAX_DEPTH = 64

#: Parameters of parameters and anonymous types in anonymous types.
MAX_NESTING = 32

#: Types shared by many others can make the text exponentially longer than the BTF; what
#: compilers write comes to about half of it.
_TEXT_PER_BYTE = 16
_MIN_TEXT = 1 << 16

#: What C calls integers, with their sizes for BPF. Other names and sizes are spelled by size.
_INTEGERS = {
    "_Bool": 1,
    "char": 1,
    "signed char": 1,
    "unsigned char": 1,
    "short": 2,
    "short int": 2,
    "unsigned short": 2,
    "short unsigned int": 2,
    "int": 4,
    "unsigned int": 4,
    "long": 8,
    "long int": 8,
    "unsigned long": 8,
    "long unsigned int": 8,
    "long long": 8,
    "long long int": 8,
    "unsigned long long": 8,
    "long long unsigned int": 8,
    "__int128": 16,
    "unsigned __int128": 16,
    "__int128 unsigned": 16,
}
_BY_SIZE = {1: "char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_FLOATS = {"float": 4, "double": 8}

#: Spells an anonymous struct, union or enum with its body, indented by so many tabs.
InlineBody = Callable[[Type, int], str]


class Declarator(NamedTuple):
    """A type as C writes it around a name: qualifiers, base type, `before`, name, `after`."""

    qualifiers: str
    base: Type
    before: str
    after: str


class Spelling:
    """Spells types of one BTF; the same type gets the same name every time.

    `inline_body` spells anonymous types where they are used.
    """

    def __init__(self, btf: BTF, inline_body: InlineBody) -> None:
        self._btf = btf
        self._inline_body = inline_body
        self._declarators: dict[int, Declarator] = {}
        self._names: dict[int, str] = {}
        self._simple: dict[int, tuple[str, str]] = {}
        self._nesting = 0
        self._text_left = _MIN_TEXT + _TEXT_PER_BYTE * btf.byte_size
        self.tags = Tags()
        self.identifiers = Namespace()

    def charge(self, text: str) -> str:
        """`text`, counted; raises ObjectFormatError when the whole becomes absurdly long."""
        self._text_left -= len(text)
        if self._text_left < 0:
            problem = "types refer to each other so often that their C text has no end"
            raise ObjectFormatError(problem, file=self._btf.name)
        return text

    @contextmanager
    def _nested(self, type_id: int) -> Iterator[None]:
        if self._nesting >= MAX_NESTING:
            raise self._too_deep(type_id)
        self._nesting += 1
        try:
            yield
        finally:
            self._nesting -= 1

    def _too_deep(self, type_id: int) -> ObjectFormatError:
        return ObjectFormatError(f"type {type_id} is nested too deeply", file=self._btf.name)

    def declare(self, type_id: int, name: str = "", level: int = 0) -> str:
        """A declaration of `name` with this type, without the semicolon."""
        simple = self._simple.get(type_id)
        if simple is None:
            found = self._declarator(type_id)
            prefix = f"{found.qualifiers}{self._base(found.base, level)} {found.before}"
            simple = (prefix, found.after)
            if not _is_inline(found.base):
                self._simple[type_id] = simple
        prefix, after = simple
        if name:
            return f"{prefix}{name}{after}"
        return f"{prefix}{after}".rstrip() if after else prefix.rstrip()

    def inline(self, found: Type, level: int) -> str:
        """The type with its body, and without its name."""
        with self._nested(found.id):
            return self.charge(self._inline_body(found, level))

    def name_of(self, found: Type) -> str:
        """The name under which a named type stands in C, with its keyword for a tag."""
        name = self._names.get(found.id)
        if name is None:
            name = self._names[found.id] = self._give_name(found)
        return name

    def _give_name(self, found: Type) -> str:
        match found:
            case Struct():
                return "struct " + self.tags.define("struct", found.name)
            case Union():
                return "union " + self.tags.define("union", found.name)
            case Enum() | Enum64():
                return "enum " + self.tags.define("enum", found.name)
            case Fwd():
                keyword = "union" if found.is_union else "struct"
                return f"{keyword} {self.tags.declare(keyword, found.name)}"
        return self.identifiers.give(found.name)

    def _base(self, base: Type, level: int) -> str:
        match base:
            case Void():
                return "void"
            case Int():
                return self._integer(base)
            case Float():
                return self._float(base)
            case Struct() | Union() | Enum() | Enum64() if not base.name:
                return self.inline(base, level)
            case Struct() | Union() | Enum() | Enum64() | Fwd() | Typedef():
                return self.name_of(base)
        problem = f"type {base.id} ({base.kind.name}) cannot be used in a declaration"
        raise ObjectFormatError(problem, file=self._btf.name)

    def _integer(self, base: Int) -> str:
        if base.is_bool and base.size == 1:
            return "_Bool"
        if _INTEGERS.get(base.name) == base.size:
            return base.name
        if base.size not in _BY_SIZE:
            problem = f"integer {base.name!r} of {base.size} bytes"
            raise ObjectFormatError(problem, file=self._btf.name)
        sign = "signed " if base.signed else "unsigned "
        return sign + _BY_SIZE[base.size]

    def _float(self, base: Float) -> str:
        if _FLOATS.get(base.name) == base.size:
            return base.name
        # BPF has no other floating-point types; only size and alignment can be kept.
        alignment = self._btf.alignment_of(base.id)
        return f"struct {{ char value[{base.size}]; }} __attribute__((aligned({alignment})))"

    def _declarator(self, type_id: int) -> Declarator:
        found = self._declarators.get(type_id)
        if found is None:
            found = self._declarators[type_id] = self._unfold(type_id)
        return found

    def _unfold(self, type_id: int) -> Declarator:
        before = after = ""
        qualifiers: list[str] = []
        current = type_id
        for _ in range(MAX_DEPTH):
            found = self._btf.type(current)
            match found:
                case Ptr():
                    # A pointer's own qualifiers stand behind its star.
                    words = "".join(word + " " for word in qualifiers)
                    before, qualifiers, current = f"*{words}{before}", [], found.target
                case Const() | Volatile() | Restrict():
                    word = found.kind.name.lower()
                    qualifiers = qualifiers if word in qualifiers else [*qualifiers, word]
                    current = found.target
                case TypeTag():
                    current = found.target
                case Array():
                    before, after = _parenthesized(before, after)
                    after, current = f"{after}[{found.count}]", found.element
                case FuncProto():
                    before, after = _parenthesized(before, after)
                    with self._nested(type_id):
                        after += self._parameters(found)
                    qualifiers, current = [], found.return_type
                case _:
                    words = "".join(f"{word} " for word in qualifiers if word != "restrict")
                    self.charge(after)
                    return Declarator(words, found, before, after)
        raise self._too_deep(type_id)

    def _parameters(self, prototype: FuncProto) -> str:
        spelled = []
        for number, parameter in enumerate(prototype.parameters, 1):
            if parameter.type_id or parameter.name:
                name = identifier(parameter.name) if parameter.name else ""
                spelled.append(self.charge(self.declare(parameter.type_id, name)))
            elif number == len(prototype.parameters) > 1:
                spelled.append("...")
        # Old compilers say `f()`, with one parameter of no type; C means `f(void)` by it.
        return f"({', '.join(spelled) or 'void'})"


def _is_inline(base: Type) -> bool:
    return not base.name and isinstance(base, Struct | Union | Enum | Enum64)


def _parenthesized(before: str, after: str) -> tuple[str, str]:
    """Brackets and parameters bind closer than a star."""
    return (f"({before}", f"{after})") if before.startswith("*") else (before, after)
