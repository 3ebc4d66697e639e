"""Names for C: unique, and safe to print whatever the BTF says.

C has one namespace for the tags of structs, unions and enums and one for typedefs,
enumerators, functions and variables. BTF may hold several different types of one name;
the second gets the suffix "___2", which CO-RE takes for a flavour and ignores.
"""

from __future__ import annotations

import re

_KEYWORDS = frozenset(
    (
        *("auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else"),
        *("enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register"),
        *("restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch"),
        *("typedef", "union", "unsigned", "void", "volatile", "while", "asm", "typeof"),
        *("_Alignas", "_Alignof", "_Atomic", "_Bool", "_Complex", "_Generic", "_Imaginary"),
        *("_Noreturn", "_Static_assert", "_Thread_local"),
    )
)
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")


def identifier(name: str) -> str:
    """`name`, or what can stand for it when it is no C identifier; never code."""
    if name.isidentifier() and name.isascii():
        return name + "_" if name in _KEYWORDS else name
    cleaned = _NOT_A_NAME.sub("_", name)
    return f"_{cleaned}" if not cleaned or cleaned[0].isdigit() else cleaned


class Namespace:
    """Names given so far in one of C's namespaces."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}

    def give(self, name: str) -> str:
        """`name` made an identifier that nobody has yet."""
        plain = unique = identifier(name)
        while unique in self._used:
            number = self._counts.get(plain, 1) + 1
            self._counts[plain] = number
            unique = f"{plain}___{number}"
        self._used.add(unique)
        return unique


class Tags:
    """The namespace of struct, union and enum tags.

    A forward declaration shares its tag with the definition of that name and keyword.
    """

    def __init__(self) -> None:
        self._names = Namespace()
        self._declared: dict[tuple[str, str], str] = {}
        self._defined: set[tuple[str, str]] = set()

    def declare(self, keyword: str, name: str) -> str:
        """The tag of a forward declaration."""
        key = (keyword, name)
        if key not in self._declared:
            self._declared[key] = self._names.give(name)
        return self._declared[key]

    def define(self, keyword: str, name: str) -> str:
        """The tag of one more definition."""
        key = (keyword, name)
        if key in self._defined:
            return self._names.give(name)
        self._defined.add(key)
        return self.declare(keyword, name)
