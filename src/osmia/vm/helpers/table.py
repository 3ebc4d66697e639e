"""The table of helpers: each one's arguments, and the native or Python function behind it.

The modules of this package register what they have when they are imported; `supported`
imports them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from osmia.object.uapi import ProgramType
from osmia.records import dataclass
from osmia.vm import layout

if TYPE_CHECKING:
    from osmia.vm.access import Access
    from osmia.vm.code import Code
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.execution import Execution


class HelperFrame(Protocol):
    """The function that calls a helper."""

    @property
    def code(self) -> Code:
        """Its program's code."""

    @property
    def pointer(self) -> int:
        """Its frame pointer."""


class HelperCaller(Protocol):
    """What runs a program in Python, as helpers know it."""

    execution: Execution

    @property
    def frame(self) -> HelperFrame:
        """The function that calls."""

    @property
    def access(self) -> Access:
        """What strict mode is told of what helpers write."""

    def call_function(self, slot: int, *arguments: int) -> int:
        """Call a function of the running program."""


class Argument(Enum):
    """What a helper's argument is, as far as strict mode checks it."""

    ANY = auto()
    OPTIONAL = auto()  # of a variadic helper: may be missing
    CONTEXT = auto()
    MAP = auto()
    KEY = auto()  # reads the map's key size
    VALUE = auto()  # reads the map's value size
    RESULT = auto()  # writes the map's value size
    INITIAL = auto()  # may be 0; else reads the map's value size
    READ = auto()  # reads as many bytes as the next argument says
    WRITE = auto()  # writes as many bytes as the next argument says
    MEMORY = auto()  # reads or writes as many bytes as the next argument says, or both
    BUFFER = auto()  # may be 0; else writes as many bytes as the next argument says
    SIZE = auto()
    STRING = auto()  # reads up to a NUL
    READ4 = auto()  # reads 4 bytes
    READ8 = auto()
    WRITE8 = auto()
    DYNPTR = auto()  # reads and writes 16 bytes of stack
    NEW_DYNPTR = auto()  # writes 16 bytes of stack
    CALLBACK = auto()


@dataclass(slots=True)
class Invocation:
    """A call of a Python helper: where it came from. Memory is `vm.memory`, by address.

    `interpreter` is set when a program calls that Python runs.
    """

    vm: Vm
    cpu: Cpu
    frame: int
    interpreter: HelperCaller | None = None

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the program's memory; raises ProgramFault when they are not all there."""
        return self.vm.memory.read(self.vm.reachable(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        """Write to the program's memory; raises ProgramFault when it is not all there."""
        self.vm.memory.write(self.vm.reachable(address, len(data)), data)
        if self.interpreter is not None:
            self.interpreter.access.stack.wrote(address, len(data))

    def zero(self, address: int, size: int) -> None:
        """Set bytes of the program's memory to 0; raises ProgramFault as above."""
        self.vm.memory.zero(self.vm.reachable(address, size), size)

    def ask(self, name: str, *values: int) -> int | None:
        """What the Python callable in a helper's place answers; None where there is none."""
        given = self.vm.helpers.get(name)
        if given is None:
            return None
        from osmia.vm.helpers.mocks import answer

        return answer(given, self, values)

    def string(self, address: int, limit: int = 4096) -> bytes:
        """The bytes from an address up to the first NUL, at most `limit`."""
        start = self.vm.reachable(address, 1)
        end = min(start + limit, self.vm.memory.size)
        parts = []
        for at in range(start, end, 4096):  # a limit that a program made up costs nothing
            part, found, _ = self.vm.memory.read(at, min(4096, end - at)).partition(b"\0")
            parts.append(part)
            if found:
                break
        return b"".join(parts)

    @property
    def has_packet(self) -> bool:
        """Whether the run is one on a packet."""
        where = self.vm.memory.load32(self.cpu.state + layout.STATE_DATA)
        return where != layout.NO_PACKET

    def packet(self, size: int) -> bytes:
        """The first `size` bytes of the run's packet, as far as there are any."""
        bounds = self.vm.packet_bounds(self.cpu)
        return self.vm.memory.read(bounds[0], min(size, bounds[1] - bounds[0])) if size else b""

    def state(self, offset: int) -> int:
        """A u64 of the CPU's state."""
        return self.vm.memory.load64(self.cpu.state + offset)

    @property
    def context(self) -> int:
        """The address of the run's context."""
        return self.state(layout.STATE_CONTEXT)


KFUNCS = frozenset(
    {
        *("iter_num_new", "iter_num_next", "iter_num_destroy"),
        *("dynptr_from_xdp", "dynptr_from_skb", "dynptr_slice", "dynptr_slice_rdwr"),
        *("dynptr_size", "dynptr_adjust", "dynptr_is_null", "dynptr_is_rdonly"),
        *("rcu_read_lock", "rcu_read_unlock", "preempt_disable", "preempt_enable"),
    }
)
"""The kfuncs that the vm has, without "bpf_"; they are in the table like helpers."""

TC = frozenset({ProgramType.SCHED_CLS, ProgramType.SCHED_ACT})
LWT = frozenset({ProgramType.LWT_IN, ProgramType.LWT_OUT, ProgramType.LWT_XMIT})
SENDERS = TC | {ProgramType.LWT_XMIT}
XDP = frozenset({ProgramType.XDP})
GROUPS = frozenset(t for t in ProgramType if t.name.startswith("CGROUP_"))
"""Program types that have helpers in common."""

PythonHelper = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper. `native` names the native function: it takes the frame, then as many
    arguments as `arguments` has. `python` takes an Invocation instead of the frame; where
    both are there, `python` is for interpreted programs only. `types` are the program types
    that may call it; none: all. Raw programs may call everything."""

    name: str
    arguments: tuple[Argument, ...]
    native: str = ""
    python: PythonHelper | None = None
    types: frozenset[ProgramType] = frozenset()


_TABLE: dict[str, Helper] = {}
_VARIANTS: dict[tuple[str, ProgramType], Helper] = {}
_MODULES = (
    "map_access",
    "system",
    "skb",
    "skb_fields",
    "skb_room",
    "skb_vlan",
    "xdp",
    "redirects",
    "tunnels",
    "sockets",
    "storage",
    "groups",
    "stacks",
    "tracing",
    "checksums",
    "text",
    "probe_reads",
    "events",
    "loops",
    "dynptr",
    "kfuncs",
)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def helper(
    name: str,
    *arguments: Argument,
    native: str = "",
    types: frozenset[ProgramType] = frozenset(),
) -> Callable[[_Function], _Function]:
    """Register the Python function that follows as a helper; compiled programs use the
    `native` one where it is named."""

    def register(function: _Function) -> _Function:
        _TABLE[name] = Helper(name, arguments, native, function, types)
        return function

    return register


def native_helper(
    name: str,
    *arguments: Argument,
    function: str = "",
    types: frozenset[ProgramType] = frozenset(),
) -> None:
    """Register a helper whose code is a native function, `helper_<name>` if not said."""
    _TABLE[name] = Helper(name, arguments, function or f"helper_{name}", types=types)


def native_variant(name: str, program_type: ProgramType, function: str) -> None:
    """Register what a helper is for one program type."""
    held = _TABLE[name]
    _VARIANTS[name, program_type] = Helper(name, held.arguments, function, types=held.types)


def variant(name: str, program_type: ProgramType | None) -> Helper | None:
    """What a helper is for a program type, where that differs from the rest."""
    return None if program_type is None else _VARIANTS.get((name, program_type))


def supported() -> Mapping[str, Helper]:
    """Every helper that the vm has, by name without the `bpf_` prefix."""
    for module in _MODULES:
        importlib.import_module(f"osmia.vm.helpers.{module}")
    return _TABLE
