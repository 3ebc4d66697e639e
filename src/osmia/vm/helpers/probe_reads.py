"""Reads of memory that may not be there: bpf_probe_read_kernel and its family.

A vm has one memory, its own: what kernel and user space have at their addresses. Elsewhere is
nothing: a read fails and leaves zeros, as in the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.records import dataclass
from osmia.vm import layout
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_FAULT, E_RANGE, M32

if TYPE_CHECKING:
    from osmia.vm.engine import Vm

USER_ADDRESSES = 1 << 47
KERNEL_ADDRESSES = (1 << 64) - (1 << 47)
WORD = 8


@dataclass(frozen=True, slots=True)
class Memory:
    """A vm's memory by whole addresses: nothing is masked, and nothing raises."""

    vm: Vm

    def bytes_at(self, address: int, size: int) -> bytes | None:
        """Bytes; None where they are not all there."""
        if not layout.FIRST_ADDRESS <= address <= self.vm.memory.size - size:
            return None
        return self.vm.memory.read(address, size)

    def string_at(self, address: int, limit: int) -> bytes | None:
        """The bytes up to a NUL, at most `limit`; None where memory ends before."""
        room = self.vm.memory.size - address
        if not address >= layout.FIRST_ADDRESS or room <= 0:
            return None
        parts = []
        for at in range(0, min(limit, room), 4096):
            part = self.vm.memory.read(address + at, min(4096, limit - at, room - at))
            text, end, _ = part.partition(b"\0")
            parts.append(text)
            if end:
                return b"".join(parts)
        return None if room < limit else b"".join(parts)


def _read(call: Invocation, to: int, size: int, source: int, refused: int) -> int:
    data = Memory(call.vm).bytes_at(source, size)
    if data is None:
        call.zero(to, size)
        return refused or (E_FAULT if size else 0)
    call.write(to, data)
    return 0


def _read_string(
    call: Invocation, to: int, size: int, source: int, refused: int, word: int = 1
) -> int:
    """What is copied by words ends with zeros up to a whole word."""
    if not size:
        return 0
    text = Memory(call.vm).string_at(source, size - 1)
    if text is None:
        call.zero(to, size)
        return refused or E_FAULT
    whole = -(-(len(text) + 1) // word) * word
    call.write(to, text.ljust(whole if whole <= size // word * word else len(text) + 1, b"\0"))
    return len(text) + 1


def _refused_of_kernel(address: int) -> int:
    """The failure for addresses that are not even tried: those of user space, and what is no
    address (mm/maccess.c, arch/x86/mm/maccess.c)."""
    return 0 if address >= KERNEL_ADDRESSES else E_RANGE


def _refused_of_user(address: int) -> int:
    """The failure for addresses that are not even tried."""
    return 0 if address < USER_ADDRESSES else E_FAULT


def _refused_of_either(address: int) -> int:
    return 0 if address < USER_ADDRESSES else _refused_of_kernel(address)


_ARGUMENTS = Argument.WRITE, Argument.SIZE, Argument.ANY


@helper("probe_read_kernel", *_ARGUMENTS)
def probe_read_kernel(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_kernel, since 5.5."""
    return _read(call, to, size & M32, source, _refused_of_kernel(source))


@helper("probe_read_kernel_str", *_ARGUMENTS)
def probe_read_kernel_str(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_kernel_str, since 5.5: the length with the NUL."""
    return _read_string(call, to, size & M32, source, _refused_of_kernel(source))


@helper("probe_read_user", *_ARGUMENTS)
def probe_read_user(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_user, since 5.5."""
    return _read(call, to, size & M32, source, _refused_of_user(source))


@helper("probe_read_user_str", *_ARGUMENTS)
def probe_read_user_str(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_user_str, since 5.5: the length with the NUL."""
    return _read_string(call, to, size & M32, source, _refused_of_user(source), WORD)


@helper("probe_read", *_ARGUMENTS)
def probe_read(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read, since 4.1: of user space or the kernel, as the address is."""
    return _read(call, to, size & M32, source, _refused_of_either(source))


@helper("probe_read_str", *_ARGUMENTS)
def probe_read_str(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_probe_read_str, since 4.11: the length with the NUL. Addresses of a vm are like those
    of user space."""
    return _read_string(call, to, size & M32, source, _refused_of_either(source), WORD)
