"""Named tuples that cost next to nothing to declare: `typing.NamedTuple` without its price.

Each of the standard library's takes 0.2 ms of every start: it compiles a constructor, and every
annotation for type checkers that read the source anyway. Here the constructor is compiled when
the first instance is made, annotations stay the text that they are, and the other methods are
the same functions for all. Instances are made and read at the same speed. To type checkers they
are the standard library's.
"""

from __future__ import annotations

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, NamedTuple

    def _tuplegetter(at: int, doc: str, /) -> Any: ...
else:
    from _collections import _tuplegetter  # what makes reading a field as fast as an attribute

    class _Declaring(type):
        """Makes of a class statement a tuple with names; `NamedTuple` alone is its instance."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, (), namespace)
            if len(bases) > 1:
                raise TypeError("NamedTuple is the only base of a named tuple")
            return _declared(name, namespace)

    class NamedTuple(metaclass=_Declaring):
        """As `typing.NamedTuple`, in a class statement."""


__all__ = ["NamedTuple"]

_tuple_new = tuple.__new__


class _New:
    """Stands where `__new__` will; compiles it when somebody asks for it."""

    __slots__ = ("owner",)

    owner: Any

    def __get__(self, instance: Any, asking: Any = None) -> Any:
        made = self.owner.__dict__["__new__"]
        if made is self:  # else another thread was faster
            made = staticmethod(_compile_new(self.owner))
            self.owner.__new__ = made
        return made.__func__


def _declared(name: str, namespace: dict[str, Any]) -> Any:
    fields = tuple(namespace.get("__annotations__", ()))
    defaults = {each: namespace[each] for each in fields if each in namespace}
    new = _New()
    contents = _SHARED | namespace
    contents |= {each: _tuplegetter(at, _field_doc(at)) for at, each in enumerate(fields)}
    contents |= {
        "__new__": new,
        "__slots__": (),
        "__match_args__": fields,
        "_fields": fields,
        "_field_defaults": defaults,
    }
    new.owner = type(name, (tuple,), contents)
    return new.owner


def _field_doc(at: int) -> str:
    return f"Alias for field number {at}"


def _compile_new(cls: Any) -> Any:
    """`__new__` as one would write it: an argument for each field."""
    arguments = "".join(f"{name}, " for name in cls._fields)
    names = {"_tuple_new": _tuple_new, "__builtins__": {}, "__name__": cls.__module__}
    made: Any = eval(f"lambda _cls, {arguments}: _tuple_new(_cls, ({arguments}))", names)
    made.__name__ = "__new__"
    made.__qualname__ = f"{cls.__qualname__}.__new__"
    made.__doc__ = f"Create new instance of {cls.__name__}({arguments.removesuffix(', ')})"
    made.__defaults__ = tuple(cls._field_defaults.values()) or None
    made.__annotations__ = cls.__annotations__
    return made


def _make(cls: Any, iterable: Any) -> Any:
    """A tuple of what `iterable` gives."""
    made: Any = _tuple_new(cls, iterable)
    if len(made) != len(cls._fields):
        raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
    return made


def _replace(self: Any, /, **changes: Any) -> Any:
    """The same with other values of some fields."""
    made = self._make(map(changes.pop, self._fields, self))
    if changes:
        raise ValueError(f"Got unexpected field names: {list(changes)!r}")
    return made


def _asdict(self: Any) -> dict[str, Any]:
    """A dictionary of the fields by name."""
    return dict(zip(self._fields, self, strict=True))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
    return f"{type(self).__name__}({shown})"


def _arguments(self: Any) -> tuple[Any, ...]:
    """What copies and pickles hand to `__new__`."""
    return tuple(self)


_SHARED: dict[str, Any] = {
    "_make": classmethod(_make),
    "_replace": _replace,
    "__replace__": _replace,
    "_asdict": _asdict,
    "__repr__": _repr,
    "__getnewargs__": _arguments,
}
