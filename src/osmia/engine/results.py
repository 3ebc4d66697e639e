"""What a run of a program gives, whichever engine ran it."""

from __future__ import annotations

from collections.abc import Callable

from osmia.records import dataclass, field

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

#: Bytes that a repr writes out.
_SHOWN_BYTES = 16


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave.

    `retval` is the program's return value as an unsigned 32-bit number (64 bits of a raw
    program of a vm); `data` the packet, or a raw program's memory, as the program left it (for
    flow dissectors the struct bpf_flow_keys); `ctx_data` the context's bytes as the program
    left it (in the kernel, empty for XDP programs that were given none); `duration_ns` the mean
    time of a run in ns, 0 where nobody measures. `redirect` is where the packet was last sent:
    (interface index or key, map number or None, flags); None where it was not, or the engine
    does not tell.
    """

    retval: int
    data: bytes = b""
    ctx_data: bytes = b""
    duration_ns: int = 0
    redirect: tuple[int, int | None, int] | None = None
    _read_ctx: Callable[[bytes], Any] | None = field(default=None, repr=False, compare=False)
    _program_type: int | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        sizes = f"data={_size(self.data)}, ctx_data={_size(self.ctx_data)}"
        rest = f"duration_ns={self.duration_ns}, redirect={self.redirect}"
        return f"RunResult(retval={self.retval}, {sizes}, {rest})"

    @property
    def verdict(self) -> str:
        """What `retval` is called: "XDP_DROP", a member of the enumeration that
        `osmia.object.verdicts` has for the program's type. The digits of what has no name."""
        from osmia.object.verdicts import verdict

        return verdict(self._program_type, self.retval)

    @property
    def ctx(self) -> Any:
        """The context with its fields, where the engine knows its type; else bytes."""
        if not self.ctx_data or self._read_ctx is None:
            return self.ctx_data
        return self._read_ctx(self.ctx_data)


def _size(data: bytes) -> str:
    """Bytes for a repr: these, where they are few."""
    return repr(data) if len(data) <= _SHOWN_BYTES else f"<{len(data)} bytes>"


def as_packet(data: object) -> bytes:
    """The bytes of a packet. TypeError for what is none; a number is no packet of zeros."""
    if isinstance(data, str | int) or data is None:
        raise TypeError(f"a packet is bytes, not {type(data).__name__}")
    return bytes(data)  # type: ignore[call-overload, no-any-return]
