"""Global variables as attributes and items, before and after load.

The same view stands over an object's data sections (their initial contents) and over a
loaded object's (the kernel's or the engine's memory); only the stores behind it differ.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from osmia.arguments import explained, names_wrong_arguments
from osmia.errors import AmbiguousNameError, CodecError, ReadOnlyError
from osmia.named_tuples import NamedTuple
from osmia.values.base import Codec, encode_named
from osmia.values.names import unknown_name

#: Variables that a repr shows, and characters of each one's value.
_SHOWN_VARIABLES, _SHOWN_TEXT = 8, 40


class Store(Protocol):
    """The bytes of a data section, wherever they are. Offsets and sizes in bytes."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on."""

    def write(self, offset: int, data: bytes) -> None:
        """Replace the bytes from `offset` on."""


class MemoryStore:
    """Bytes in this process: an object's contents, or a map's mmapped value."""

    def __init__(self, memory: bytearray | memoryview | mmap.mmap) -> None:
        self.memory = memory

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on."""
        return bytes(self.memory[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Replace the bytes from `offset` on. Never makes a bytearray longer."""
        end = offset + len(data)
        if end > len(self.memory):
            raise CodecError(f"{len(data)} bytes at offset {offset} end behind the section")
        self.memory[offset:end] = data


class WholeValueStore:
    """A section that is read and written as one value, such as a map that cannot be mmapped.

    Writing a variable reads the whole, changes it and writes it back: what the kernel
    changed in between is lost.
    """

    def __init__(self, get: Callable[[], bytes], put: Callable[[bytes], None]) -> None:
        self.get = get
        self.put = put

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on."""
        return self.get()[offset : offset + size]

    def write(self, offset: int, data: bytes) -> None:
        """Replace the bytes from `offset` on."""
        whole = bytearray(self.get())
        MemoryStore(whole).write(offset, data)
        self.put(bytes(whole))


class Slot(NamedTuple):
    """Where one variable is: `offset` in bytes into `buffer`. `why` says why it is read-only."""

    buffer: Store
    offset: int
    codec: Codec
    writable: bool = True
    why: str = "it is read-only data; set it on the object, before load"


class Variables(Mapping[str, Any]):
    """Global variables by name: `data["limit"]`, `data.limit`, both to read and to assign.

    Values are copies with the types that BTF gives; assignment is checked against the type
    and its size. A name that is no variable is a KeyError (AttributeError for attributes)
    that names the nearest, a constant after load a ReadOnlyError, a value that does not
    fit a CodecError.

    Static variables of one name are listed with what tells them apart, and asked for by that:
    `data["a.bpf.c:count"]`, `data[".bss:count"]`. The plain name is an AmbiguousNameError
    (a KeyError) that lists them, unless a variable that other objects can see has it. Of
    any variable the longer words mean it too.

    Variables whose name is one of a mapping's methods ("keys") are items only.
    """

    __slots__ = ("_find", "_slots")

    _slots: dict[str, Slot]
    _find: Callable[[str], str] | None

    def __init__(
        self, entries: Mapping[str, Slot], find: Callable[[str], str] | None = None
    ) -> None:
        """`entries` by key; `find` gives the key that another word means, or raises KeyError."""
        object.__setattr__(self, "_slots", dict(entries))
        object.__setattr__(self, "_find", find)

    def __getitem__(self, name: str) -> Any:
        try:
            slot = self._slots.get(name)
        except TypeError as error:
            raise explained(error, Variables.slot, name=name) from None
        if slot is None:
            slot = self._found(name)
        return slot.codec.decode(slot.buffer.read(slot.offset, slot.codec.size))

    def __setitem__(self, name: str, value: Any) -> None:
        try:
            slot = self._slots.get(name)
        except TypeError as error:
            raise explained(error, Variables.slot, name=name) from None
        if slot is None:
            slot = self._found(name)
        if not slot.writable:
            raise ReadOnlyError(f"{name} cannot be assigned: {slot.why}")
        try:
            encoded = encode_named(slot.codec, value, name.rpartition(":")[2])
        except CodecError as error:
            raise CodecError(error.message, path=name + error.path) from None
        if len(encoded) > slot.codec.size:
            # Only a flexible array's tail can be longer, and the next variable lies there.
            problem = f"{len(encoded)} bytes for a variable of {slot.codec.size}"
            raise CodecError(problem, path=name)
        slot.buffer.write(slot.offset, encoded)

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            return name in self._slots or self._found(name) is not None
        except KeyError:
            return False

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default` where there is no such variable.

        A name of several is an AmbiguousNameError here, too.
        """
        try:
            return self[name]
        except AmbiguousNameError:
            raise
        except KeyError:
            return default

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is no attribute: methods come before variables.
        if name in ("_slots", "_find"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0], name=name, obj=None) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"{name} is a method; assign to the variable as an item")
        try:
            self[name] = value
        except KeyError as error:
            raise AttributeError(error.args[0], name=name, obj=None) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._slots if name.isidentifier())]

    def __repr__(self) -> str:
        from osmia.values.readable import readable

        parts: list[str] = []
        for name in self:
            if len(parts) == _SHOWN_VARIABLES:
                parts.append(f"… and {len(self) - len(parts)} more")
                break
            text = readable(self._slots[name].codec, self[name], name.rpartition(":")[2])
            parts.append(
                f"{name} = {text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT] + '…'}"
            )
        return f"<{'; '.join(parts) or 'no variables'}>"

    @names_wrong_arguments
    def update(self, values: Mapping[str, Any]) -> None:
        """Assign several variables, in order."""
        for name, value in values.items():
            self[name] = value

    @names_wrong_arguments
    def slot(self, name: str) -> Slot:
        """Where a variable lies, and its codec. Raises KeyError."""
        slot = self._slots.get(name)
        return self._found(name) if slot is None else slot

    def _found(self, name: str) -> Slot:
        """The slot that a word means which is no key. KeyError, AmbiguousNameError."""
        if self._find is not None:
            try:
                return self._slots[self._find(name)]
            except AmbiguousNameError:
                raise
            except KeyError:
                pass  # what the object has and this view does not is unknown here, too
        raise KeyError(unknown_name("the object's data", name, self._slots))
