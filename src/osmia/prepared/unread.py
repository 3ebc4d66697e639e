"""An Object that is not read yet: its bytes and the record of its load.

It has the layout of `osmia.object.model.Object` and says that it is one. `load` without options
makes system calls from the record. Whatever else is asked of it, or set, reads the file first:
its class then changes in place, so that who has it has an ordinary Object from then on.

The layout is written out, since importing the model takes longer than a load; a test compares it.
"""

from __future__ import annotations

from osmia.named_tuples import NamedTuple
from osmia.on_demand import imported
from osmia.prepared.record import Record

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

_MODEL = "osmia.object.model"
_READER = "osmia.prepared.reading"
#: They are above this layer, and found by name.
_REPLAY = "osmia.kernel.load.replay"
_REPLAY_VM = "osmia.vm.replay"
#: Options of the kernel engine, as far as they are likely to be given and empty.
_CHANGING_LOADS = ("target", "maps", "attach_to", "log_level", "imports")


class Held(NamedTuple):
    """What an unread Object has: what `read_elf` takes, and the record of the kernel engine's
    loads, if any; it holds as long as `modules` is their identity, where that is not ""."""

    data: bytes
    path: str
    name: str
    record: Record | None
    modules: str = ""


class _LikeObject(type):
    """Has what the class Object has: its fields, for who makes another one with changes."""

    def __getattr__(cls, name: str) -> Any:
        return getattr(imported(_MODEL).Object, name)

    def __call__(cls, *values: Any, **named: Any) -> Any:
        return imported(_MODEL).Object(*values, **named)


class UnreadObject(metaclass=_LikeObject):
    """See above; `unread` makes one."""

    __slots__ = (
        "btf",
        "byteorder",
        "data_sections",
        "dialect",
        "externs",
        "functions",
        "jump_tables",
        "kernel_version",
        "license",
        "maps",
        "name",
        "other_sections",
        "parts",
        "path",
        "pin_digest",
        "programs",
        "remarks",
    )
    __hash__ = None  # type: ignore[assignment]

    @property  # type: ignore[misc]  # what isinstance asks
    def __class__(self) -> Any:
        return imported(_MODEL).Object

    def __getattr__(self, name: str) -> Any:
        return getattr(_read(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_read(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_read(self), name)

    def __eq__(self, other: object) -> Any:
        return _read(self) == other

    def __repr__(self) -> str:
        return repr(_read(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _read(self).__reduce_ex__(protocol)

    def __dir__(self) -> Any:
        return dir(_read(self))

    def load(self, engine: str = "kernel", **options: Any) -> Any:
        """See `osmia.object.model.Object.load`."""
        held = held_by(self)
        loaded = None
        if engine == "kernel" and held is not None and held.record is not None and _plain(options):
            loaded = imported(_REPLAY).replay(held)
        elif engine == "vm" and held is not None:
            loaded = imported(_REPLAY_VM).replay(held, options)
        if loaded is not None:
            return loaded
        return _read(self).load(engine, **options)


#: The places of Object's fields by name. The class has none of them: asking for one reads.
SLOTS: dict[str, Any] = {name: vars(UnreadObject)[name] for name in UnreadObject.__slots__}
for _name in SLOTS:
    delattr(UnreadObject, _name)

_place = SLOTS["parts"]  # any of them: it holds what there is until the file is read


def unread(held: Held) -> Any:
    """The Object of a file that is read when it is asked for anything but its load."""
    made = object.__new__(UnreadObject)
    _place.__set__(made, held)
    return made


def held_by(obj: UnreadObject) -> Held | None:
    """What an unread Object has; None when it has been read, perhaps just now by a thread."""
    if type(obj) is not UnreadObject:
        return None
    held = _place.__get__(obj)
    return held if type(held) is Held else None


def _read(obj: UnreadObject) -> Any:
    """The same object, which is an Object now."""
    imported(_READER).read(obj)
    return obj


def _plain(options: dict[str, Any]) -> bool:
    """Whether a load with these options is what one without would be. Where to pin is, since
    objects with maps to pin are not kept."""
    return all(
        name == "pin_root" or (name in _CHANGING_LOADS and _says_nothing(value))
        for name, value in options.items()
    )


def _says_nothing(value: Any) -> bool:
    return value is None or (type(value) in (dict, list, tuple, int) and not value)
