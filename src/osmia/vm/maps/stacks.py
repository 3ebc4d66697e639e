"""Stack traces by number (BPF_MAP_TYPE_STACK_TRACE, since 4.6): kept in Python, as only
`bpf_get_stackid` stores any."""

from __future__ import annotations

import errno
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence

from osmia.object.uapi import MapFlag
from osmia.vm.maps.raw import VmMap

FAST_STACK_CMP = 1 << 9
REUSE_STACKID = 1 << 10
BUILD_ID_IP = 2
"""BPF_STACK_BUILD_ID_IP: a stack's entry that has the address, as no file is known."""


class StackTraces(VmMap):
    """A handle on stacks: programs store, Python looks at them and takes them out."""

    @property
    def _stacks(self) -> dict[int, bytes]:
        return self.body.stacks

    @property
    def buckets(self) -> int:
        """How many numbers there are: a power of two."""
        return 1 << (self.max_entries - 1).bit_length()

    def store(self, addresses: Sequence[int], flags: int) -> int:
        """The number of a stack, as `__bpf_get_stackid` (kernel/bpf/stackmap.c) gives it out; or
        minus the errno."""
        size = 32 if MapFlag.STACK_BUILD_ID in self.flags else 8
        addresses = addresses[: self.value_size // size]
        packed = struct.pack(f"<{len(addresses)}Q", *addresses)
        number = zlib.crc32(packed) & (self.buckets - 1)
        if size == 32:
            packed = b"".join(struct.pack("<i20xQ", BUILD_ID_IP, each) for each in addresses)
        with self._lock:
            held = self._stacks.get(number)
            if held is not None:
                same = zlib.crc32(held) == zlib.crc32(packed) and flags & FAST_STACK_CMP
                if same or held == packed:
                    return number
                if not flags & REUSE_STACKID:
                    return -errno.EEXIST
            elif len(self._stacks) >= self.max_entries:
                return -errno.ENOMEM
            self._stacks[number] = packed
        return number

    def lookup(self, key: bytes) -> bytes | int:
        self.check_open()
        if not self._readable:
            return errno.EPERM
        held = self._stacks.get(int.from_bytes(key, "little"))
        return errno.ENOENT if held is None else held.ljust(self.value_size, b"\0")

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        self.check_open()
        return errno.EINVAL if flags else self.lookup(key)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        return self._unchangeable() or errno.EINVAL

    def delete(self, key: bytes) -> int:
        number = int.from_bytes(key, "little")
        if error := self._unchangeable() or (number >= self.buckets and errno.E2BIG):
            return error
        return 0 if self._stacks.pop(number, None) is not None else errno.ENOENT

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        if error := self._unchangeable() or (flags and errno.EINVAL):
            return error
        held = self.lookup(key)
        return held if isinstance(held, int) else self.delete(key) or held

    def next_key(self, key: bytes | None) -> bytes | int | None:
        self.check_open()
        if not self._readable:
            return errno.EPERM
        last = -1 if key is None else int.from_bytes(key, "little")
        after = last if last in self._stacks else -1
        following = min((n for n in self._stacks if n > after), default=None)
        return None if following is None else following.to_bytes(4, "little")

    def count(self) -> int:
        self.check_open()
        return len(self._stacks) if self._readable else super().count()

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        held = sorted(self._stacks.items())
        values = (packed.ljust(self.value_size, b"\0") for _, packed in held)
        yield array("I", [number for number, _ in held]).tobytes(), b"".join(values)
