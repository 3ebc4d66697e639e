"""Which argument of a call is to blame for an error: what `arguments` asks after the fact."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType, UnionType
from typing import Any, Literal, get_args, get_origin

_TAKES_ALL_KEYWORDS = 0x08  # inspect.CO_VARKEYWORDS; inspect takes 20 ms to import
_PACKAGE = __file__.rpartition("/")[0]
_LIBRARY = os.__file__.rpartition("/")[0]
_LOOKED_AT = 1000  # elements of a collection


def explained(
    function: Callable[..., Any],
    given: Sequence[Any],
    keywords: Mapping[str, Any],
    error: Exception,
) -> Exception | None:
    """A better error than `error`, where an argument is to blame for it; else None."""
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if _is_of_the_call(error):
        return _misspelt(function, parameters, keywords)
    passed = dict(zip(parameters[: code.co_argcount], given, strict=False))
    passed |= {name: value for name, value in keywords.items() if name in parameters}
    return blamed(function, passed, error)


def blamed(
    function: Callable[..., Any], passed: Mapping[str, Any], error: Exception
) -> Exception | None:
    """The same, where it is known which argument has which value."""
    if isinstance(error, OSError) or raised_on_purpose(error) or _is_of_a_user(error, function):
        return None
    for name, value in passed.items():
        annotation = function.__annotations__.get(name)
        if isinstance(annotation, str) and not _fits(value, annotation, function.__globals__):
            return TypeError(f"{name}={_shown(value)}: {annotation} is needed")
    if isinstance(error, struct.error | OverflowError | ValueError | BufferError):
        odd = [f"{name}={_shown(value)}" for name, value in passed.items() if _is_odd(value)]
        if odd:
            return ValueError(f"{', '.join(odd)}: {error}")
    return None


def raised_on_purpose(error: BaseException) -> bool:
    """Whether an error comes from a `raise` in osmia's own code, and not from what failed in it."""
    import opcode

    trace = _innermost(error)
    if trace is None or isinstance(error, AttributeError):
        return False
    code = trace.tb_frame.f_code
    if not code.co_filename.startswith(_PACKAGE):
        return False
    return code.co_code[trace.tb_lasti] == opcode.opmap["RAISE_VARARGS"]


def _innermost(error: BaseException) -> TracebackType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _is_of_a_user(error: BaseException, function: Callable[..., Any]) -> bool:
    """Whether an error comes from code that `function` only called: a hook, a pass, a helper."""
    trace = _innermost(error)
    if trace is None or trace.tb_frame.f_code is function.__code__:
        return False
    file = trace.tb_frame.f_code.co_filename
    if file.startswith((_PACKAGE, "<frozen")) or "/numpy/" in file:
        return False
    return "site-packages" in file or not file.startswith(_LIBRARY)


def _is_of_the_call(error: Exception) -> bool:
    """Whether the function was not even entered: its parameters are others."""
    trace: TracebackType | None = error.__traceback__
    return isinstance(error, TypeError) and trace is not None and trace.tb_next is None


def _misspelt(
    function: Callable[..., Any], known: Sequence[str], keywords: Mapping[str, Any]
) -> TypeError | None:
    if function.__code__.co_flags & _TAKES_ALL_KEYWORDS:
        return None
    for name in keywords:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, [each for each in known if each not in ("self", "cls")])
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            what = function.__qualname__.removesuffix(".__init__")
            return TypeError(f"{what} has no option {name!r}{hint}")
    return None


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def _is_odd(value: object) -> bool:
    """Whether a value is one that fields and files often do not hold."""
    match value:
        case bool() | None:
            return False
        case int():
            return not 0 <= value < 1 << 31
        case str() | float() | memoryview() | os.PathLike():
            return True
        case list() | tuple() | set() | frozenset():
            return any(map(_is_odd, list(value)[:_LOOKED_AT]))
        case dict():
            return any(map(_is_odd, list(value.values())[:_LOOKED_AT]))
    return False


# What fits an annotation. Annotations are text here, and name types that are imported for type
# checkers alone: a class fits by its name, so nothing needs to be imported to tell.

_WORD = re.compile(r"[\w.]+|\[|\]|\||,|\"[^\"]*\"|'[^']*'")
_PLAIN: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "int": lambda value: hasattr(type(value), "__index__"),
    "float": lambda value: hasattr(type(value), "__float__") or hasattr(type(value), "__index__"),
    "bool": lambda value: True,  # whatever Python takes for one
    "str": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, bytes | bytearray | memoryview),
    "bytearray": lambda value: isinstance(value, bytearray),
    "memoryview": lambda value: isinstance(value, memoryview),
    "Buffer": lambda value: isinstance(value, bytes | bytearray | memoryview),
    "os.PathLike": lambda value: hasattr(type(value), "__fspath__"),
    "Path": lambda value: hasattr(type(value), "__fspath__"),
    "Callable": callable,
    "Mapping": lambda value: isinstance(value, Mapping),
    "dict": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "tuple": lambda value: isinstance(value, tuple),
    "Sequence": lambda value: isinstance(value, Sequence),
    "Iterable": lambda value: isinstance(value, Iterable),
    "Collection": lambda value: isinstance(value, Collection),
    "Iterator": lambda value: hasattr(type(value), "__next__"),
}


def _fits(value: Any, annotation: str, names: Mapping[str, Any]) -> bool:
    """Whether a value may be what the annotation says; True where that cannot be told."""
    return _fits_words(value, _WORD.findall(annotation), names)


def _fits_words(value: Any, words: list[str], names: Mapping[str, Any]) -> bool:
    return any(_fits_one(value, one, names) for one in _split(words, "|"))


def _fits_one(value: Any, words: list[str], names: Mapping[str, Any]) -> bool:
    name, inner = words[0], words[2:-1]
    if name == "Literal":
        return any(value == word.strip("\"'") for word in inner) or not isinstance(value, str)
    known = _PLAIN.get(name)
    if known is None:
        return _fits_class(value, name, names)
    if not known(value):
        return False
    return not inner or name == "Callable" or _elements_fit(value, name, inner, names)


def _elements_fit(value: Any, name: str, inner: list[str], names: Mapping[str, Any]) -> bool:
    """Whether the elements of a collection fit; of others than lists and their like they are
    not looked at, since that could use them up."""
    kinds = [each for each in _split(inner, ",") if each != ["..."]]
    if isinstance(value, str | bytes | bytearray) and name != "os.PathLike":
        of_text = ("str", "object", "Any") if isinstance(value, str) else ("int", "object", "Any")
        return kinds[0][0] in of_text
    if isinstance(value, Mapping) and len(kinds) == 2:
        return all(
            _fits_words(key, kinds[0], names) and _fits_words(each, kinds[1], names)
            for key, each in islice(value.items(), _LOOKED_AT)
        )
    if not isinstance(value, list | tuple | set | frozenset | Mapping) or name == "os.PathLike":
        return True
    if name == "tuple" and len(kinds) > 1:
        return len(value) == len(kinds) and all(
            _fits_words(each, kind, names) for each, kind in zip(value, kinds, strict=True)
        )
    return all(_fits_words(each, kinds[0], names) for each in islice(value, _LOOKED_AT))


def _fits_class(value: Any, name: str, names: Mapping[str, Any]) -> bool:
    """By the name of a class among the value's; of what only type checkers import it is known
    that nothing Python itself brings is one."""
    last = name.rpartition(".")[2]
    if name in ("Any", "object", "Self") or any(c.__name__ == last for c in type(value).__mro__):
        return True
    meant = _meant(name, names)
    if get_origin(meant) is Literal:
        return isinstance(value, str) and value in get_args(meant)
    if isinstance(meant, UnionType):
        return _fits(value, str(meant), {})
    if getattr(meant, "_is_protocol", False):
        members = [each for each in dir(meant) if not each.startswith("_")]
        members += getattr(meant, "__annotations__", {})
        return all(hasattr(value, each) for each in members)
    if isinstance(meant, type):
        return issubclass(meant, int) and hasattr(type(value), "__index__")
    if last in _CALLABLE:
        return callable(value)
    ours = type(value).__module__.startswith(("builtins", "osmia.", "pathlib"))
    return meant is not None or last in _ALIASES or not ours


def _meant(name: str, names: Mapping[str, Any]) -> Any:
    """What a name is in a function's module, which may make it when it is asked for."""
    module = sys.modules.get(names.get("__name__", ""))
    return names.get(name) or getattr(module, name, None)


#: What only type checkers import and no class has in its name: aliases and protocols.
_ALIASES = frozenset(
    {"Attachable", "ByteOrder", "EventCodec", "Executor", "HasFileno", "RawMap", "RecordCodec",
     "Resolver", "StaticProbeSpecs", "Store", "TailCalls", "Target", "Value"}
)  # fmt: skip
_CALLABLE = frozenset({"Hook", "Symbol"})


def _split(words: list[str], separator: str) -> list[list[str]]:
    """Words between separators that are in no brackets."""
    parts: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word == "[") - (word == "]")
        if word == separator and not depth:
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]
