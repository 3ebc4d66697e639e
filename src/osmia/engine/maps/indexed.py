"""Array maps: a value under every index, and the array as memory of this process."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from osmia.engine.maps.base import Map
from osmia.engine.maps.keyed import KeyedMap
from osmia.engine.maps.per_cpu import PerCpuMap
from osmia.errors import NotSupportedError
from osmia.object.uapi import MapFlag, MapType
from osmia.values import Codec
from osmia.values.stacks import Stack

if TYPE_CHECKING:
    import numpy
    from numpy.typing import DTypeLike


class _Indexed(KeyedMap):
    """Keys are 0 … max_entries - 1, each with a value; `clear` sets all to zero bytes."""

    def __iter__(self) -> Iterator[Any]:
        self.raw.check_open()
        return self._key_decoder()(array("I", range(self.max_entries)).tobytes())

    def __len__(self) -> int:
        self.raw.check_open()
        return self.max_entries

    def __bool__(self) -> bool:
        self.raw.check_open()
        return True


class ArrayMap(_Indexed, types=(MapType.ARRAY,)):
    """BPF_MAP_TYPE_ARRAY: values by index; nothing can be deleted."""

    def memory(self, *, writable: bool = True) -> memoryview:
        """The array itself, shared with the programs: value i at i * slot_size; since 5.5.

        Only of maps made with MapFlag.MMAPABLE. Reading and writing it takes no system
        call, and no lock either. A map that is mapped writable cannot be frozen, a frozen
        one not mapped writable (BpfPermissionError). Lives as long as somebody uses it.
        """
        if MapFlag.MMAPABLE not in self.flags:
            raise NotSupportedError(f"map {self.name!r} was made without BPF_F_MMAPABLE")
        return self.raw.memory(writable=writable)


class InstructionArrayMap(_Indexed, types=(MapType.INSN_ARRAY,)):
    """BPF_MAP_TYPE_INSN_ARRAY (since 6.19): a jump table of one program, each value a struct
    bpf_insn_array_value of three u32: a target's slot in the program as it was loaded, as it
    was translated, and its offset in the machine code. Load freezes it."""


class PerCpuArrayMap(_Indexed, PerCpuMap, types=(MapType.PERCPU_ARRAY,)):
    """BPF_MAP_TYPE_PERCPU_ARRAY: a list of values, one per possible CPU, by index."""


class StackTraceMap(KeyedMap, types=(MapType.STACK_TRACE,)):
    """BPF_MAP_TYPE_STACK_TRACE: a Stack by stack id; of maps made with BPF_F_STACK_BUILD_ID its
    elements are places in files."""

    def decode_values(self, data: bytes) -> Iterator[Any]:
        """The stacks in undecoded bytes of several, one after the other."""
        return self._one_by_one(data)

    def _decoder(self, codec: Codec | None) -> Any:
        return partial(Stack.from_bytes, build_ids=MapFlag.STACK_BUILD_ID in self.flags)


class ArenaMap(Map, types=(MapType.ARENA,)):
    """BPF_MAP_TYPE_ARENA (since 6.9): memory of `max_entries` pages that programs and this
    process share."""

    _view: memoryview | None = None

    def memory(self) -> memoryview:
        """The whole arena, writable. Pages come into being as they are touched.

        An arena has one address for all: where `map_extra` says, else where it is mapped
        first. A process cannot map it twice, so this is the same view every time.
        """
        if self._view is None:
            self._view = self.raw.memory()
        return self._view

    def memory_from(self, other: ArenaMap) -> None:
        """Share the view that another handle of this arena has, which is mapped if it was not."""
        self._view = other.memory()

    @property
    def address(self) -> int:
        """Where the arena starts for programs and for this process: what pointers count from."""
        return self.raw.memory_address(self.memory())

    def to_numpy(self, dtype: DTypeLike = "u1") -> numpy.ndarray[Any, Any]:
        """The memory as an array of `dtype`, bytes by default; changes are seen by programs."""
        from osmia.numpy_extra import numpy

        return numpy.frombuffer(self.memory(), dtype)

    def close(self) -> None:
        """Let go of the map; the memory stays as long as somebody has a view of it."""
        self._view = None
        super().close()
