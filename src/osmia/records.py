"""Data classes that cost next to nothing to declare: what `dataclasses` has, made when it is used.

The standard decorator imports `inspect` and compiles up to ten functions for each class as a module
is imported: half of the time that loading a small program took went into that. Here `__init__` is
compiled when several instances were made, the other methods are closures over the fields' names,
and what only `dataclasses` itself asks for (`replace`, `fields`, `asdict`, a data class that
derives from one) is made when it asks. To type checkers they are the standard library's: only the
arguments below exist.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from types import MemberDescriptorType

# The name that type checkers know; `typing` is dear, and this module is imported by all others.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
    from typing import Any
else:

    def dataclass(cls=None, /, *, init=True, eq=True, frozen=False, slots=False):
        """As `dataclasses.dataclass`."""

        def declare(cls):
            return _declared(cls, init, eq, frozen, slots)

        return declare if cls is None else declare(cls)

    def field(*, default=..., default_factory=None, repr=True, compare=True):  # noqa: A002
        """As `dataclasses.field`."""
        return _Field(default, default_factory, repr, compare)

    def replace(obj, /, **changes):
        """As `dataclasses.replace`."""
        cls = type(obj)
        for name in cls.__match_args__:
            if name not in changes:
                changes[name] = getattr(obj, name)
        return cls(**changes)


__all__ = ["dataclass", "field", "replace"]

#: So many instances are made without a compiled `__init__`.
_FEW = 16
#: In a class's dictionary: its fields by name, its bases' first.
_FIELDS = "__osmia_fields__"


class _Field:
    """What is known of a field: `...` is no default."""

    __slots__ = ("compare", "default", "factory", "name", "repr", "type")

    def __init__(self, default: Any, factory: Any, repr: bool, compare: bool) -> None:  # noqa: A002
        self.name = ""
        self.type = ""
        self.default = default
        self.factory = factory
        self.repr = repr
        self.compare = compare


class _Init:
    """Stands where `__init__` will; compiles it when it was needed a few times, or somebody looks
    at it: compiling takes as long as a hundred instances without it."""

    __slots__ = ("owner", "uses")

    owner: type

    def __init__(self) -> None:
        self.uses = 0

    def __get__(self, instance: Any, asking: Any = None) -> Any:
        made = self.owner.__dict__["__init__"]
        if made is self:  # else another thread was faster
            if instance is not None and self.uses < _FEW:
                self.uses += 1
                return lambda *given, **named: _fill(self.owner, instance, given, named)
            made = _compile_init(self.owner)
            self.owner.__init__ = made
        return made.__get__(instance, asking)


class _Standard:
    """An attribute that the functions of `dataclasses` look for, taken from a class of theirs."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any) -> Any:
        import dataclasses

        def told(each: _Field) -> Any:
            given = {"default": each.default} if each.default is not ... else {}
            if each.factory is not None:
                given = {"default_factory": each.factory}
            return dataclasses.field(repr=each.repr, compare=each.compare, **given)

        for cls in owner.__mro__:  # the class that declares it, or else each heir had its own
            if _FIELDS in cls.__dict__:
                break
        parts = [(each.name, each.type, told(each)) for each in getattr(cls, _FIELDS).values()]
        frozen = cls.__setattr__ is not object.__setattr__
        twin: Any = dataclasses.make_dataclass(cls.__name__, parts, frozen=frozen)
        cls.__dataclass_fields__ = twin.__dataclass_fields__
        cls.__dataclass_params__ = twin.__dataclass_params__
        return getattr(cls, self.name)


def _declared(cls: Any, init: bool, eq: bool, frozen: bool, slots: bool) -> Any:
    fields, own = _fields_of(cls)
    added = _methods(fields, eq, frozen, slots)
    if init:
        added["__init__"] = _Init()
    present = cls.__dict__
    if eq and "__hash__" in present and not (present["__hash__"] is None and "__eq__" in present):
        added.pop("__hash__", None)
    added = {
        name: value for name, value in added.items() if name not in present or name == "__hash__"
    }
    added[_FIELDS] = fields
    added["__match_args__"] = tuple(fields)
    added["__dataclass_fields__"] = _Standard("__dataclass_fields__")
    added["__dataclass_params__"] = _Standard("__dataclass_params__")
    if slots:
        cls = _with_slots(cls, own, added)
    else:
        for name, value in added.items():
            setattr(cls, name, value)
    if "__init__" in added:
        added["__init__"].owner = cls
    return cls


def _fields_of(cls: Any) -> tuple[dict[str, _Field], list[str]]:
    """All fields, and the names of those that the class itself declares."""
    fields: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= base.__dict__.get(_FIELDS, {})
    own = []
    for name, annotation in cls.__annotations__.items():
        if "ClassVar" in str(annotation):
            continue
        value = cls.__dict__.get(name, ...)
        each = value if isinstance(value, _Field) else _Field(value, None, True, True)
        each.name, each.type = name, annotation
        if value is each and each.default is not ...:
            setattr(cls, name, each.default)
        elif value is each:
            delattr(cls, name)
        fields[name] = each
        own.append(name)
    return fields, own


def _with_slots(cls: Any, own: list[str], added: dict[str, Any]) -> Any:
    """The class again: slots are for new classes only."""
    inherited = {name for base in cls.__mro__[1:-1] for name in getattr(base, "__slots__", ())}
    contents = {
        name: value
        for name, value in cls.__dict__.items()
        if name not in own and name not in ("__dict__", "__weakref__")
    }
    contents |= added
    contents["__slots__"] = tuple(name for name in own if name not in inherited)
    made = type(cls)(cls.__name__, cls.__bases__, contents)
    made.__qualname__ = cls.__qualname__
    return made


def _methods(fields: dict[str, _Field], eq: bool, frozen: bool, slots: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "__repr__": _repr_of([each.name for each in fields.values() if each.repr])
    }
    if eq:
        values = _values([each.name for each in fields.values() if each.compare])

        def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
            if other.__class__ is self.__class__:
                return values(self) == values(other)
            return NotImplemented

        def __hash__(self: Any) -> int:  # noqa: N807
            return hash(values(self))

        made |= {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}
    if frozen:
        made |= {"__setattr__": _refuse_assignment, "__delattr__": _refuse_deletion}
    if frozen and slots:
        made |= {"__getstate__": _state, "__setstate__": _set_state}
    return made


def _values(names: list[str]) -> Any:
    """A function that gives a tuple of these attributes."""
    match names:
        case []:
            return lambda record: ()
        case [name]:
            return lambda record: (getattr(record, name),)
    return attrgetter(*names)


def _repr_of(names: list[str]) -> Any:
    def __repr__(self: Any) -> str:  # noqa: N807
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({shown})"

    return __repr__


def _fill(cls: Any, record: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """What the compiled `__init__` does, which words the errors."""
    fields: dict[str, _Field] = getattr(cls, _FIELDS)
    values = dict(zip(fields, given, strict=False))
    fits = len(given) <= len(fields) and not values.keys() & named.keys()
    values |= named
    if fits and values.keys() <= fields.keys():
        for name, each in fields.items():
            if name not in values:
                if each.factory is not None:
                    values[name] = each.factory()
                elif each.default is not ...:
                    values[name] = each.default
    if values.keys() != fields.keys() or not fits:
        _compile_init(cls)(record, *given, **named)
        return
    put = object.__setattr__ if cls.__setattr__ is _refuse_assignment else setattr
    for name in fields:
        put(record, name, values[name])
    if hasattr(cls, "__post_init__"):
        record.__post_init__()


def _compile_init(cls: Any) -> Any:
    """`__init__` as one would write it: an argument for each field."""
    fields: dict[str, _Field] = getattr(cls, _FIELDS)
    given: dict[str, Any] = {"_set": object.__setattr__, "_missing": ...}
    arguments, lines = ["self"], []
    frozen = cls.__setattr__ is _refuse_assignment
    for name, each in fields.items():
        value = name
        if each.factory is not None:
            given[f"_made_{name}"] = each.factory
            arguments.append(f"{name}=_missing")
            value = f"_made_{name}() if {name} is _missing else {name}"
        elif each.default is not ...:
            given[f"_default_{name}"] = each.default
            arguments.append(f"{name}=_default_{name}")
        else:
            arguments.append(name)
        slot = getattr(cls, name, None)
        if frozen and type(slot) is MemberDescriptorType:  # a third faster than by its name
            given[f"_set_{name}"] = slot.__set__
            lines.append(f"_set_{name}(self, {value})")
        else:
            lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n  ".join(lines or ["pass"])
    text = f"def make({', '.join(given)}):\n def __init__({', '.join(arguments)}):\n  {body}\n"
    made: dict[str, Any] = {}
    exec(f"{text} return __init__", vars(sys.modules[cls.__module__]), made)
    init = made["make"](**given)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = {name: each.type for name, each in fields.items()} | {"return": None}
    return init


def _refuse_assignment(self: Any, name: str, value: Any) -> None:
    if _may_change(self, name):
        object.__setattr__(self, name, value)
        return
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: Any, name: str) -> None:
    if _may_change(self, name):
        object.__delattr__(self, name)
        return
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _may_change(self: Any, name: str) -> bool:
    """Plain classes that derive from a frozen one have attributes of their own."""
    return _FIELDS not in type(self).__dict__ and name not in getattr(self, _FIELDS)


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__match_args__]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__match_args__, state, strict=True):
        object.__setattr__(self, name, value)
