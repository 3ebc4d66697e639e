"""Stacks as programs record them: addresses, or places in files known by build id."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from osmia.symbols.frames import Frame

#: Addresses from here on are the kernel's, on all machines with 64 bits that osmia knows.
KERNEL_START = 1 << 63

#: struct bpf_stack_build_id, include/uapi/linux/bpf.h, since 4.17: status, build id, offset or ip.
_BUILD_ID_ENTRY = struct.Struct("=i20sQ")
_EMPTY, _VALID = 0, 1


class FilePlace(NamedTuple):
    """A place in a file: the file's build id in hexadecimal, and an offset into it in bytes."""

    build_id: str
    offset: int

    def __str__(self) -> str:
        return f"{self.build_id[:16]}+{self.offset:#x}"


class Stack(tuple[int | FilePlace, ...]):
    """Where a thread was and what had called that, innermost first; immutable.

    Elements are addresses; in stacks with build ids (BPF_F_STACK_BUILD_ID, BPF_F_USER_BUILD_ID)
    FilePlaces, where the kernel found the file. All addresses but the first are those that
    calls return to. `a + b` is a stack too: a kernel's with the user's behind it.
    """

    __slots__ = ()

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, build_ids: bool = False) -> Self:
        """What is in a value of a stack map or a buffer of bpf_get_stack, up to its end or the
        first empty element; of a buffer give as many bytes as the helper said."""
        view = memoryview(data).cast("B")
        if build_ids:
            whole = view[: len(view) - len(view) % _BUILD_ID_ENTRY.size]
            return cls(_places(whole))
        addresses = view[: len(view) - len(view) % 8].cast("Q").tolist()
        return cls(addresses[: addresses.index(0)] if 0 in addresses else addresses)

    @property
    def kernel(self) -> Self:
        """The part in the kernel."""
        return type(self)(each for each in self if _is_kernels(each))

    @property
    def user(self) -> Self:
        """The part in user space."""
        return type(self)(each for each in self if not _is_kernels(each))

    def symbolize(self, pid: int | None = None) -> list[Frame]:
        """The frames by name, innermost first, inlined ones too; see `osmia.symbols`. What is in
        user space has no names without `pid`, the process whose stack it is."""
        frames: list[Frame] = importlib.import_module("osmia.symbols").frames(self, pid)
        return frames

    def __add__(self, other: Iterable[int | FilePlace]) -> Self:  # type: ignore[override]
        return type(self)((*self, *other))

    def __repr__(self) -> str:
        return f"Stack({', '.join(hex(e) if isinstance(e, int) else str(e) for e in self)})"


def _is_kernels(element: int | FilePlace) -> bool:
    return isinstance(element, int) and element >= KERNEL_START


def _places(view: memoryview) -> Iterable[int | FilePlace]:
    for status, build_id, place in _BUILD_ID_ENTRY.iter_unpack(view):
        if status == _EMPTY:
            return
        yield FilePlace(build_id.hex(), place) if status == _VALID else place
