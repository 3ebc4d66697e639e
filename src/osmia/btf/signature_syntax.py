"""Reading a signature: text like a C declaration to a pattern of types (see `signatures`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from osmia.btf.signature_patterns import (
    AnyType,
    ArrayType,
    Name,
    Number,
    Parameters,
    Pattern,
    Pointer,
    Prototype,
    Rest,
    Tag,
    TypedefName,
    VoidType,
)
from osmia.errors import SignatureError
from osmia.named_tuples import NamedTuple

#: Characters of a signature, and pointers, arrays and functions in each other.
MAX_LENGTH, MAX_DEPTH = 1000, 16


_Wrapping: TypeAlias = Callable[[Pattern], Pattern]

_TOKEN = re.compile(r"\s*(?:\.\.\.|…|[A-Za-z_]\w*|\d\w*|[*(),\[\];])")
_NAME = re.compile(r"\s*([\w.…*]+)\s*")

#: Said of a declaration, and no part of its type.
_IGNORED = frozenset(
    ("const", "volatile", "restrict", "__restrict", "static", "extern", "inline", "__noinline")
)
_TAGS = ("struct", "union", "enum")
_ELLIPSES = ("...", "…")

#: Integers that go by one word, in bytes; `long` is that of BPF.
_SIZES = {"_Bool": 1, "bool": 1, "size_t": 8, "ssize_t": 8, "uintptr_t": 8, "intptr_t": 8}
_SIZES |= {f"{sign}{bits}": bits // 8 for sign in "us" for bits in (8, 16, 32, 64)}
_SIZES |= {f"__{sign}{bits}": bits // 8 for sign in "us" for bits in (8, 16, 32, 64)}
_SIZES |= {f"{sign}int{bits}_t": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)}
_SIZES |= {f"__{end}{bits}": bits // 8 for end in ("be", "le") for bits in (16, 32, 64)}
_FLOATS = {"float": 4, "double": 8}
#: C's own words for numbers, of which a type may have several.
_NUMBER_WORDS = frozenset(
    ("char", "short", "int", "long", "__int128", "signed", "unsigned", "float", "double")
)
#: The combinations that C has, without signedness, each in order, and their sizes.
_COMBINED = {
    ("char",): 1,
    ("short",): 2,
    ("int", "short"): 2,
    ("int",): 4,
    ("long",): 8,
    ("int", "long"): 8,
    ("long", "long"): 8,
    ("int", "long", "long"): 8,
    ("__int128",): 16,
}


class _Token(NamedTuple):
    """A word, sign or ellipsis; `start` and `end` are where it stands."""

    text: str
    start: int
    end: int


def parse(text: str) -> tuple[Name | None, Prototype | None]:
    """The names (None: all) and the prototype (None: any) that a signature asks for.

    SignatureError for what is none; nothing that is given here takes long or goes deep.
    """
    if len(text) > MAX_LENGTH:
        shown = text[:60] + "…"
        raise SignatureError(f"it is longer than {MAX_LENGTH} characters", shown, MAX_LENGTH)
    if "(" not in text and (alone := _NAME.fullmatch(text)):
        return _glob(alone[1]), None
    return _Parser(text).signature()


def _glob(text: str) -> Name | None:
    """A name with `*` and ellipses in it; None for one that is nothing else."""
    parts = re.split(r"\*|\.\.\.|…", text)
    return Name(tuple(parts)) if any(parts) else None


class _Parser:
    """A walk along the tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[_Token] = []
        self.next = 0
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                raise SignatureError(f"{text[start]!r} has no meaning here", text, start)
            at = found.end()
            token = found[0].lstrip()
            self.tokens.append(_Token(token, at - len(token), at))

    def signature(self) -> tuple[Name | None, Prototype | None]:
        base = self._type()
        wrappings, name = self._declarator(0, named=True)
        if self._text() == ";":
            self.next += 1
        if self.next < len(self.tokens):
            self._fail("nothing more is expected")
        declared = _wrapped(base, wrappings)
        if not isinstance(declared, Prototype):
            raise SignatureError("a function has parameters: ( … )", self.text, len(self.text))
        return name, declared

    def _text(self, ahead: int = 0) -> str:
        """The token that comes, "" at the end."""
        place = self.next + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def _fail(self, what: str) -> NoReturn:
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            raise SignatureError(f"{what}, not {token.text!r}", self.text, token.start)
        raise SignatureError(f"{what}, and the text ends", self.text, len(self.text))

    def _expect(self, text: str) -> None:
        if self._text() != text:
            self._fail(f"{text!r} is expected")
        self.next += 1

    def _skip_ignored(self) -> None:
        while self._text() in _IGNORED:
            self.next += 1

    def _type(self) -> Pattern:
        """What stands before a declarator."""
        self._skip_ignored()
        word = self._text()
        if word in _NUMBER_WORDS:
            return self._number()
        if word != "*" and not _is_word(word):
            self._fail("a type is expected")
        self.next += 1
        found: Pattern
        if word == "*":
            found = AnyType()
        elif word == "void":
            found = VoidType()
        elif word in _TAGS:
            found = Tag(word, self._tag())
        else:
            found = Number(_SIZES[word]) if word in _SIZES else TypedefName(word)
        self._skip_ignored()
        return found

    def _number(self) -> Number:
        """C's numbers: "unsigned long long int", "int unsigned"."""
        start, words = self.next, []
        while self._text() in _NUMBER_WORDS or self._text() in _IGNORED:
            if self._text() not in _IGNORED:
                words.append(self._text())
            self.next += 1
        signs = [word for word in words if word in ("signed", "unsigned")]
        kinds = sorted(word for word in words if word not in signs)
        if len(kinds) == 1 and kinds[0] in _FLOATS and not signs:
            return Number(_FLOATS[kinds[0]], floating=True)
        size = _COMBINED.get(tuple(kinds) or ("int",))
        if size is None or len(signs) > 1:
            self.next = start
            raise SignatureError(
                f"C has no type {' '.join(words)!r}", self.text, self.tokens[start].start
            )
        return Number(size)

    def _tag(self) -> Name | None:
        """The name behind struct, union or enum."""
        if self._text() == "*":
            self.next += 1
            return None
        if not _is_word(self._text()) and self._text() not in _ELLIPSES:
            self._fail("a name or * is expected")
        return self._name(stars=False)

    def _name(self, *, stars: bool) -> Name | None:
        """Words, ellipses and, with `stars`, `*` that stand together without a space."""
        first = last = self.tokens[self.next]
        while True:
            self.next += 1
            text = self._text()
            fits = _is_word(text) or text in _ELLIPSES or (stars and text == "*")
            if not fits or self.tokens[self.next].start != last.end:
                return _glob(self.text[first.start : last.end])
            last = self.tokens[self.next]

    def _declarator(
        self, depth: int, *, named: bool = False
    ) -> tuple[list[_Wrapping], Name | None]:
        """What a type is wrapped in, one after the other, and the name, which may have wildcards
        where it is `named`."""
        if depth > MAX_DEPTH:
            self._fail("it is nested too deeply")
        wrappings: list[_Wrapping] = []
        inner: list[_Wrapping] = []
        name: Name | None = None
        while self._text() == "*":
            self.next += 1
            wrappings.append(Pointer)
            if len(wrappings) > MAX_DEPTH:
                self._fail("it is nested too deeply")
            self._skip_ignored()
        if self._is_group():
            self._expect("(")
            inner, name = self._declarator(depth + 1, named=named)
            self._expect(")")
        elif _is_word(self._text()) or (named and self._text() in _ELLIPSES):
            name = self._name(stars=named)
        if self._text() == "(":
            wrappings.append(self._function(depth + 1))
        else:
            wrappings += self._arrays()
        return wrappings + inner, name

    def _is_group(self) -> bool:
        """Whether a "(" is one around a pointer, as in `int (*)(void)`: behind its ")" comes what
        a pointer points to. Else parameters begin there."""
        if self._text() != "(" or self._text(1) != "*":
            return False
        ahead = 1
        while self._text(ahead) == "*" or _is_word(self._text(ahead)):
            ahead += 1
        if self._text(ahead) == "(":  # a function that gives such a pointer
            return True
        return self._text(ahead) in (")", "[") and self._text(ahead + 1) in ("(", "[")

    def _arrays(self) -> list[_Wrapping]:
        found: list[_Wrapping] = []
        while self._text() == "[":
            if len(found) == MAX_DEPTH:
                self._fail("it is nested too deeply")
            self.next += 1
            if self._text()[:1].isdigit():
                self.next += 1
            self._expect("]")
            found.append(ArrayType)
        return found

    def _function(self, depth: int) -> _Wrapping:
        """What makes a type a function that gives it: parameters."""
        self._expect("(")
        parameters = self._parameters(depth)
        self._expect(")")
        return lambda returned: Prototype(returned, parameters)

    def _parameters(self, depth: int) -> Parameters:
        if self._text() == ")":
            return ()
        found: list[Pattern | Rest] = []
        while True:
            if self._text() in _ELLIPSES:
                self.next += 1
                found.append(Rest())
            else:
                found.append(self._parameter(depth))
            if self._text() != ",":
                break
            self.next += 1
        if len(found) == 1 and isinstance(found[0], VoidType):
            return ()
        return tuple(found)

    def _parameter(self, depth: int) -> Pattern:
        base = self._type()
        wrappings, _ = self._declarator(depth)
        found = _wrapped(base, wrappings)
        # As C has it: a parameter that is written as an array or a function is a pointer.
        match found:
            case ArrayType():
                return Pointer(found.element)
            case Prototype():
                return Pointer(found)
        return found


def _is_word(text: str) -> bool:
    return text[:1].isalpha() or text[:1] == "_"


def _wrapped(base: Pattern, wrappings: list[_Wrapping]) -> Pattern:
    for wrap in wrappings:
        base = wrap(base)
    return base
