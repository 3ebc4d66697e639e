"""Wrong arguments of public functions: an error that names the argument.

Nothing is checked before the work, which would make every call slower. A decorated function that
fails of something foreign (struct.error, AttributeError, … out of code deep inside) has its
arguments compared with its annotations afterwards: one that does not fit is named in a TypeError,
a number or word that no field could hold in a ValueError, and a misspelt keyword in a TypeError
with the nearest name. Errors that were raised on purpose stay what they are, and so do those that
no argument explains: they are faults of osmia's, and hiding them would help nobody.
"""

from __future__ import annotations

from functools import wraps

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import CodeType
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

_GENERATOR = 0x20  # inspect.CO_GENERATOR; inspect takes 20 ms to import


def names_wrong_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator: foreign errors of the function become errors that name an argument."""
    code: CodeType = function.__code__

    @wraps(function)
    def call(*given: P.args, **keywords: P.kwargs) -> R:
        try:
            result = function(*given, **keywords)
        except Exception as error:
            if (better := _better(function, given, keywords, error)) is not None:
                raise better from None
            raise
        if code.co_flags & _GENERATOR:
            return _watched(function, given, keywords, result)  # type: ignore[return-value, arg-type]
        return result

    return call


def explained(error: Exception, function: Callable[..., Any], /, **passed: Any) -> Exception:
    """The same by hand, for functions in which a wrapper's 100 ns would count: what to raise
    instead of `error`, which is `error` itself where no argument explains it."""
    try:
        from osmia.argument_faults import blamed
    except ImportError:  # a signal's handler that came while this thread imports it
        return error
    return blamed(function, passed, error) or error


def _watched(
    function: Callable[..., Any],
    given: Sequence[Any],
    keywords: Mapping[str, Any],
    items: Iterator[Any],
) -> Iterator[Any]:
    """What a generator gives; its errors are explained as those of functions are."""
    try:
        yield from items
    except Exception as error:
        if (better := _better(function, given, keywords, error)) is not None:
            raise better from None
        raise


def _better(
    function: Callable[..., Any],
    given: Sequence[Any],
    keywords: Mapping[str, Any],
    error: Exception,
) -> Exception | None:
    """A better error than `error`, where an argument is to blame for it; else None."""
    try:
        from osmia.argument_faults import explained  # what failing calls need alone
    except ImportError:  # a signal's handler that came while this thread imports it
        return None
    return explained(function, given, keywords, error)
