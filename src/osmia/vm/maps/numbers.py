"""Handles on maps of numbers that stand for devices, CPUs, sockets, control groups.

There are none of these in a vm: a number is the caller's, and zero says that there is no entry.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from osmia.engine.maps.errors import Operation, element_error
from osmia.engine.raw_map import Packed, RawMap
from osmia.errors import CodecError, KernelError
from osmia.object.uapi import AttachType, ElementFlag, MapType, ProgramType
from osmia.vm.maps.raw import VmMap

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


class SparseMap(VmMap):
    """An array, zero where it has no entry: devices, CPUs, sockets, which are numbers here."""

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        return self._there(super().lookup_with(key, flags, mark=mark))

    def lookup(self, key: bytes) -> bytes | int:
        return self._there(super().lookup(key))

    def _there(self, value: bytes | int) -> bytes | int:
        return errno.ENOENT if not isinstance(value, int) and not any(value) else value

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        if self.type is MapType.ARRAY_OF_MAPS and flags:
            return errno.EINVAL
        return super().update(key, value, flags)

    def delete(self, key: bytes) -> int:
        if int.from_bytes(key, "little") >= self.max_entries:
            return errno.E2BIG if self.type is MapType.ARRAY_OF_MAPS else errno.EINVAL
        if self.type is MapType.ARRAY_OF_MAPS and isinstance(found := self.lookup(key), int):
            return found
        return VmMap.update(self, key, bytes(self.value_size))

    def reference(self, value: Any) -> bytes:
        if self.type in (MapType.DEVMAP, MapType.CPUMAP):
            return _program_number(self, value)
        return reference(value, self.value_size)


def _program_number(raw: VmMap, program: Any) -> bytes:
    """What stands for an XDP program in a map of devices or CPUs: its number, which is its id."""
    number = raw.vm.number_of(program)
    cpus = raw.type is MapType.CPUMAP
    wanted = AttachType.XDP_CPUMAP if cpus else AttachType.XDP_DEVMAP
    if program.type is not ProgramType.XDP or program.expected_attach_type is not wanted:
        what = f"store program {program.name!r} in map {raw.name!r}"
        hint = f"it wants an XDP program of attach type {wanted.name}"
        raise KernelError(errno.ENOMEM if cpus else errno.EINVAL, what, hint=hint)  # as kernels
    return number.to_bytes(raw.value_size, "little")


def reference(value: Any, size: int) -> bytes:
    """A number of `size` bytes: the caller's, or that of something with a `fileno()`."""
    number = value.fileno() if hasattr(value, "fileno") else value
    if not isinstance(number, int) or number >> 8 * size:
        raise CodecError(f"a number is needed, not {value!r:.80}")
    return number.to_bytes(size, "little")


class DeviceHash(VmMap):
    """BPF_MAP_TYPE_DEVMAP_HASH, where EXIST asks for nothing and 0 is no interface."""

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        if flags > ElementFlag.EXIST or not any(value[:4]):
            return self._unchangeable() or errno.EINVAL
        return super().update(key, value, flags & ElementFlag.NOEXIST)

    def reference(self, value: Any) -> bytes:
        return _program_number(self, value)


class _Untold(VmMap):
    """Values that the kernel may give to nobody."""

    @property
    def _refusal(self) -> int:
        """Its errno value then, else 0."""
        raise NotImplementedError

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        return errno.EINVAL if flags and self._refuses(flags) else self.lookup(key)

    def lookup(self, key: bytes) -> bytes | int:
        found = super().lookup(key)
        return self._refusal or found if found != errno.EPERM else found

    def count(self) -> int:
        self._check_told()
        return super().count()

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        self._check_told()
        return super()._chunks()

    def _check_told(self) -> None:
        self.check_open()
        if self._refusal and (self.body.is_indexed or self.body.count()):
            raise element_error(self, Operation.LOOK_UP, self._refusal)


class Groups(_Untold, SparseMap):
    """BPF_MAP_TYPE_CGROUP_ARRAY."""

    @property
    def _refusal(self) -> int:
        return errno.EOPNOTSUPP

    def group(self, index: int) -> int:
        """The number under an index, for programs: 0 where there is none."""
        place = self.values_address + index * self.body.step
        return self._memory.load32(place) if index < self.max_entries else 0

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        return self._unchangeable() or (errno.EINVAL if flags else super().update(key, value))

    def delete(self, key: bytes) -> int:
        index = int.from_bytes(key, "little")
        if error := self._unchangeable() or (index >= self.max_entries and errno.E2BIG):
            return error
        return super().delete(key) if self.group(index) else errno.ENOENT


class PacketSockets(_Untold, SparseMap):
    """BPF_MAP_TYPE_XSKMAP, which programs alone can look into."""

    @property
    def _refusal(self) -> int:
        return errno.EOPNOTSUPP

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        held = not isinstance(SparseMap.lookup(self, key), int)
        if flags == ElementFlag.EXIST and not held:
            there = int.from_bytes(key, "little") < self.max_entries
            return self._unchangeable() or (errno.ENOENT if there else errno.E2BIG)
        return super().update(key, value, 0 if flags == ElementFlag.NOEXIST and not held else flags)

    def read(self, *, take: bool = False) -> Iterator[tuple[Packed, Packed]]:
        return RawMap.read(self, take=take)


class _Sockets(_Untold):
    """What maps of sockets have in common: numbers in place of cookies, told where a cookie
    fits."""

    @property
    def _refusal(self) -> int:
        return 0 if self.value_size == 8 else errno.ENOSPC

    def _stored(self, key: bytes, value: bytes, flags: int) -> int:
        """0, or why a socket cannot be stored under a key that is in range."""
        if flags > ElementFlag.EXIST or not any(value):
            return errno.EINVAL
        there = self._holds(key)
        if there and flags == ElementFlag.NOEXIST:
            return errno.EEXIST
        return errno.ENOENT if not there and flags == ElementFlag.EXIST else 0

    def _holds(self, key: bytes) -> bool:
        value = VmMap.lookup(self, key)
        return not isinstance(value, int) and any(value)


class SocketArray(_Sockets, SparseMap):
    """BPF_MAP_TYPE_SOCKMAP and REUSEPORT_SOCKARRAY."""

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        if error := self._unchangeable():
            return error
        if int.from_bytes(key, "little") >= self.max_entries and flags <= ElementFlag.EXIST:
            return errno.E2BIG
        error = self._stored(key, value, flags)
        if not error and self.type is MapType.REUSEPORT_SOCKARRAY and self._has(value):
            error = errno.EBUSY  # a socket is in one place of one such map
        return error or super().update(key, value)

    def _has(self, value: bytes) -> bool:
        return value in self._values_of(range(self.max_entries))

    def delete(self, key: bytes) -> int:
        of_port = self.type is MapType.REUSEPORT_SOCKARRAY
        if error := self._unchangeable():
            return error
        if int.from_bytes(key, "little") >= self.max_entries:
            return errno.E2BIG if of_port else errno.EINVAL
        if not self._holds(key):
            return errno.ENOENT if of_port else errno.EINVAL
        return super().delete(key)


class SocketHash(_Sockets):
    """BPF_MAP_TYPE_SOCKHASH."""

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        return self._unchangeable() or self._stored(key, value, flags) or super().update(key, value)

    def reference(self, value: Any) -> bytes:
        return reference(value, self.value_size)
