"""Structures that a test builds for programs to follow: values of BTF types in the region.

Pointers in them lead to other structures, texts and bytes, all of them in the region: a program
that follows them stays there. What is not named is zero, as in C.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from struct import pack
from typing import TYPE_CHECKING, Any

from osmia.btf import BTF, Array, Fwd, Kind, Ptr, Struct, Union
from osmia.errors import CodecError, KernelError, OsmiaError
from osmia.named_tuples import NamedTuple
from osmia.values import StructCodec, codec
from osmia.vm.native import M64

if TYPE_CHECKING:
    from osmia.vm.engine import Vm

LARGEST = 1 << 20
"""Bytes of one structure or text: more is a mistake."""
_RAW = (bytes, bytearray, memoryview)
_COMPOUND = Kind.STRUCT, Kind.UNION


class _Extent(NamedTuple):
    """The bytes of a block, as strict mode asks about them."""

    start: int
    size: int
    what: str

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        at = address - self.start
        if at + size > self.size:
            return f"an access of {size} bytes at {at} runs over {self.what}"
        return f"a write to {self.what}, which programs may only read" if write else None


class Block:
    """Bytes in the region that programs may read, there until nothing refers to this; `keep` other
    blocks that they lead to."""

    __slots__ = ("_kept", "_size", "_vm", "_what", "address")

    def __init__(self, vm: Vm, data: bytes, what: str) -> None:
        if len(data) > LARGEST:
            raise KernelError(errno.E2BIG, f"build {what} of {len(data)} bytes")
        self._vm, self._what, self._size = vm, what, len(data)
        self._kept: list[Block] = []
        self.address = 0
        address = vm.memory.region.allocate(self._size)
        vm.memory.write(address, data)
        vm.areas.add(address, max(self._size, 1), _Extent(address, self._size, what))
        self.address = address

    def keep(self, blocks: Sequence[Block]) -> None:
        """Have other blocks there as long as this one is."""
        self._kept += blocks

    def __int__(self) -> int:
        return self.address

    def __bytes__(self) -> bytes:
        with self._vm.memory.slice(self.address, self._size) as view:
            return bytes(view)

    def __del__(self) -> None:
        if not getattr(self, "address", 0) or self._vm.closed:
            return
        self._vm.areas.remove(self.address)
        self._vm.memory.zero(self.address, self._size)
        self._vm.memory.region.free(self.address)


class Structure(Block):
    """A structure in a vm, as programs see it; `Vm.struct` makes them.

    Fields are read and set as attributes or items (`task.pid`, `task["pid"] = 3`), as the codecs
    of its type have them; `update` sets several. `address`, or `int(structure)`, is what a
    program's pointer to it holds. It is there until nothing refers to it: that a program has put
    its address into a map does not count.
    """

    __slots__ = ("_builder", "_codec", "_type_id")

    def __init__(self, builder: Builder, type_id: int, fields: Mapping[str, Any]) -> None:
        made: list[Block] = []
        of = builder.struct_codec(type_id)
        data = of.encode(builder.plain(type_id, fields, made))
        super().__init__(builder.vm, data, of.type_name)
        self._builder, self._codec, self._type_id = builder, of, type_id
        self._kept = made

    def read(self) -> Any:
        """What it holds now: a value of its type, all fields of one moment."""
        return self._codec.decode(bytes(self))

    def update(self, /, **fields: Any) -> None:
        """Set fields, given as `Vm.struct` takes them. CodecError for what does not fit: then
        nothing is changed."""
        made: list[Block] = []
        plain = self._builder.plain(self._type_id, fields, made)
        changed = self._codec.replace(self.read(), plain)
        self._kept += made
        self._vm.memory.write(self.address, self._codec.bytes_of(changed))

    def __getitem__(self, name: str) -> Any:
        return self.read()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update(**{name: value})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.read(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or name == "address":
            object.__setattr__(self, name, value)
        else:
            self.update(**{name: value})

    def __repr__(self) -> str:
        return f"<{self._what} at {self.address:#x}>"


class Builder:
    """Builds structures of one BTF's types in a vm."""

    def __init__(self, vm: Vm, btf: BTF) -> None:
        self.vm = vm
        self.btf = btf

    def struct_codec(self, type_id: int) -> StructCodec:
        """The codec of a struct or union."""
        found = codec(self.btf, type_id)
        assert isinstance(found, StructCodec)
        return found

    def plain(self, type_id: int, fields: Mapping[str, Any], made: list[Block]) -> dict[str, Any]:
        """Fields with addresses in the place of what pointers lead to, which is put into `made`."""
        known = dict(self._members(type_id))
        return {
            name: self.value(known[name], value, made) if name in known else value
            for name, value in fields.items()
        }

    def _members(self, type_id: int) -> Iterator[tuple[str, int]]:
        """Names and types of members, those of anonymous ones among them."""
        kind = self.btf.type(self.btf.resolve(type_id))
        assert isinstance(kind, Struct | Union)
        for member in kind.members:
            if member.name:
                yield member.name, member.type_id
            elif isinstance(self.btf.type(self.btf.resolve(member.type_id)), Struct | Union):
                yield from self._members(member.type_id)

    def value(self, type_id: int, value: Any, made: list[Block]) -> Any:
        """A value as the codec of a type takes it."""
        resolved = self.btf.resolve(type_id)
        kind = self.btf.type(resolved) if resolved else None
        match kind:
            case Ptr():
                return self.pointer(kind.target, value, made)
            case Struct() | Union() if isinstance(value, Structure):
                return bytes(value)
            case Struct() | Union() if isinstance(value, Mapping):
                return self.plain(resolved, value, made)
            case Struct() if isinstance(value, int) and len(kind.members) == 1:
                only = kind.members[0]  # kuid_t, atomic_t and the like
                return {only.name: self.value(only.type_id, value, made)}
            case Array() if isinstance(value, list | tuple):
                return [self.value(kind.element, each, made) for each in value]
        return value

    def pointer(self, target: int, value: Any, made: list[Block]) -> int:
        """An address for what a pointer is to lead to: nothing (None), a number, a block, text
        (with a NUL behind it), bytes, the fields of a struct, or a list of elements."""
        if value is None or isinstance(value, int):
            return int(value or 0) & M64
        if not isinstance(value, Block):
            value = self._pointee(target, value)
        made.append(value)
        return int(value.address)

    def _pointee(self, target: int, value: Any) -> Block:
        if isinstance(value, str):
            return Block(self.vm, value.encode() + b"\0", "a text")
        if isinstance(value, _RAW):
            return Block(self.vm, bytes(value), f"{len(value)} bytes")
        target = self._whole(target)
        kind = self.btf.type(target) if target else None
        if isinstance(value, list | tuple) and kind is not None:
            return self._array(target, value)
        if not isinstance(value, Mapping):
            raise CodecError(f"a pointer cannot lead to {value!r:.80}")
        if not isinstance(kind, Struct | Union):
            raise CodecError("what leads to no struct takes no fields: give it Vm.struct(…)")
        return Structure(self, target, value)

    def _array(self, element: int, values: Sequence[Any]) -> Block:
        made: list[Block] = []
        if isinstance(self.btf.type(element), Ptr):
            addresses = [self.value(element, each, made) for each in values]
            data = pack(f"<{len(addresses)}Q", *addresses)
        else:
            of = codec(self.btf, element)
            data = b"".join(of.encode(self.value(element, each, made)) for each in values)
        block = Block(self.vm, data, f"an array of {len(values)}")
        block.keep(made)
        return block

    def _whole(self, type_id: int) -> int:
        """A type without qualifiers; of one that is only declared, its definition."""
        resolved = self.btf.resolve(type_id) if type_id else 0
        kind = self.btf.type(resolved) if resolved else None
        if isinstance(kind, Fwd):
            return self.btf.find(kind.name, *_COMPOUND)
        return resolved


def types_of(vm: Vm) -> Iterator[BTF]:
    """Where a vm's structures have their types from: what its last object was loaded for, then
    that object's own."""
    if vm.target is not None:
        try:
            if vm.target.core_btf is not None:
                yield vm.target.core_btf
            yield from vm.target.core_modules.values()
        except OsmiaError:
            pass  # a target that does not tell its types
    if vm.types is not None:
        yield vm.types


def build(vm: Vm, name: str, fields: Mapping[str, Any]) -> Structure:
    """See `Vm.struct`."""
    short = name.removeprefix("struct ").removeprefix("union ")
    for btf in types_of(vm):
        type_id = btf.find(short, *_COMPOUND) or btf.resolve(btf.find(short, Kind.TYPEDEF))
        if type_id and isinstance(btf.type(type_id), Struct | Union):
            return Structure(Builder(vm, btf), type_id, fields)
    hint = "" if vm.target is not None else ": no object is loaded that tells any types"
    raise CodecError(f"there is no struct {short!r}{hint}")
