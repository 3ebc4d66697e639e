"""`Program`: a loaded program, whichever engine holds it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from osmia.arguments import names_wrong_arguments
from osmia.engine import registry
from osmia.engine.refusals import lacking, refused
from osmia.errors import ClosedError
from osmia.object.uapi import AttachType, ProgramType

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, ClassVar, Never, NoReturn, Self, Unpack

    from osmia.btf import BTF
    from osmia.debugger.session import Session
    from osmia.engine.attaching import AttachOptions
    from osmia.engine.link import Link, Links
    from osmia.engine.results import RunResult
    from osmia.engine.tail_call_returns import FunctionType
    from osmia.kernel.options import ProgramOptions
    from osmia.object import model


class Program(ABC):
    """A program that an engine holds.

    `type`, `name` and `expected_attach_type` are as they were at load; the kernel does not
    tell the attach type, so it is None for programs opened by id or pin, and so is the type of a
    raw program of a vm. `definition` is what the object file said, for programs that come from
    one; `log` is the verifier's log where one was asked for.

    An engine brings `id`, `closed`, `run` and `close`, and what its programs can beyond that;
    the rest is a NotSupportedError with the reason that the engine declares.
    """

    #: The name of the engine that the program is in.
    engine: ClassVar[str]

    name: str
    type: ProgramType | int | None
    expected_attach_type: AttachType | int | None
    definition: model.Program | None
    log: str = ""
    #: The links of the loaded object that the program belongs to, which owns what it attaches.
    owner: Links | None = None
    #: See `function_type`; the load says.
    declared: FunctionType | None = None

    @classmethod
    def load(
        cls,
        type: ProgramType | int,  # noqa: A002 - the field's word
        code: bytes,
        **options: Unpack[ProgramOptions],
    ) -> Program:
        """Load code whose relocations are already numbers: see `osmia.kernel.programs.program`."""
        return _kernel_programs(cls).load(type, code, **options)

    @classmethod
    def from_id(cls, identifier: int) -> Program:
        """Open a program that the kernel holds by id, since 4.13. KernelError ENOENT when there
        is none."""
        return _kernel_programs(cls).from_id(identifier)

    @classmethod
    def from_pin(cls, path: str | os.PathLike[str]) -> Program:
        """Open a pinned program. KernelError when nothing, or something else, is pinned."""
        return _kernel_programs(cls).from_pin(path)

    @property
    @abstractmethod
    def id(self) -> int:
        """The engine's number for the program; in the kernel as bpftool shows it."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether `close` was called."""

    @abstractmethod
    def run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        *,
        repeat: int = 1,
    ) -> RunResult:
        """Run the program once, or `repeat` times, without attaching it.

        `data` is a packet from its Ethernet header on, for the types that take packets.
        `ctx` is the context: bytes, a mapping of field names to values (XDP, skb and
        sk_lookup programs), or the arguments of a raw tracepoint as numbers. Each engine has
        options of its own.

        Raises NotSupportedError for program types without test runs, KernelError, ClosedError.
        """

    @abstractmethod
    def close(self) -> None:
        """Give up this reference; the program is gone when nothing else refers to it."""

    @names_wrong_arguments
    def run_batch(
        self, packets: Iterable[bytes], *, repeat: int = 1, **others: Never
    ) -> Sequence[int]:
        """Run the program on each packet, each `repeat` times; the return values in order.
        Engines may have more options, fewer than of `run`."""
        for name in others:
            self._refuse_batch(name)
        return [self.run(packet, repeat=repeat).retval for packet in packets]

    def attach(self, target: Any = None, **options: Unpack[AttachOptions]) -> Link:
        """Attach the program where its type and attach type say.

        `target` is an interface, a cgroup path, a function, a map …; without one the section
        name of the object file tells it. Which options there are depends on the kind of the
        program: docs/python.md has the table; others are a TypeError. The link of a program of
        a LoadedObject belongs to that object (`Link.disown` takes it away).
        """
        link = self._attach(target, options)
        return link if self.owner is None else self.owner.adopt(link)

    def _attach(self, target: Any, options: AttachOptions) -> Link:
        """`attach`, but for the owner."""
        self._lacks("attach")

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Keep the program loaded under a path in a bpffs (since 4.4); missing directories
        are made, mode 0700."""
        self._lacks("pin")

    def unpin(self, path: str | os.PathLike[str]) -> None:
        """Remove a pin."""
        self._lacks("pin")

    def fileno(self) -> int:
        """The descriptor. ClosedError after `close`."""
        self._lacks("fileno")

    @property
    def info(self) -> Any:
        """What the kernel tells of the program now: `osmia.kernel.programs.info.ProgramInfo`."""
        self._lacks("info")

    @property
    def run_statistics(self) -> tuple[int, int]:
        """(ns spent in the program, runs), counted while `enable_run_statistics` is on."""
        self._lacks("run_statistics")

    def btf(self) -> BTF | None:
        """The types that the program was loaded with; None when it came without."""
        self._lacks("btf")

    def function_type(self) -> FunctionType | None:
        """The types that its function was declared with, and the id of its FUNC in them; None
        where nobody tells."""
        return self.declared

    def xlated(self) -> bytes:
        """The instructions as the verifier rewrote them."""
        self._lacks("dump")

    def jited(self) -> bytes:
        """The machine code, subprograms included; empty when the JIT is off."""
        self._lacks("dump")

    def bind_map(self, map_fd: int) -> None:
        """Keep a map alive as long as the program (since 5.10)."""
        self._lacks("fileno")

    def read_output(self) -> str:
        """What the program wrote to its standard output since the last read (since 6.17)."""
        self._lacks("output")

    def read_errors(self) -> str:
        """What the program, or the kernel about it, wrote to its standard error (since 6.17)."""
        self._lacks("output")

    def session(self, data: bytes | bytearray | memoryview = b"", ctx: Any = None) -> Session:
        """Begin a run that stands still before its first instruction, to be stepped through: see
        `osmia.debugger.Session`, which takes the same arguments."""
        self._lacks("session")

    def debug(self, data: bytes | bytearray | memoryview = b"", ctx: Any = None) -> RunResult:
        """`run` with the debugger on a terminal, like Python's `breakpoint()`."""
        self._lacks("session")

    def _lacks(self, capability: str) -> NoReturn:
        raise lacking(self.engine, capability, f"program {self.name!r}")

    def _refuse_run(self, option: str) -> NoReturn:
        """Say that `run` has no such option."""
        known = registry.find(self.engine).options["run"]
        raise refused(self.engine, "run", option, ("repeat", *known))

    def _refuse_batch(self, option: str) -> NoReturn:
        """Say that `run_batch` has no such option."""
        if option in registry.find(self.engine).options["run"]:
            what = f"run_batch of the engine {self.engine!r}"
            raise TypeError(f"{what} has no option {option!r} of run")
        self._refuse_run(option)

    def __enter__(self) -> Self:
        if self.closed:
            raise ClosedError(f"program {self.name!r} is closed")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = "raw" if self.type is None else getattr(self.type, "name", self.type)
        state = "closed" if self.closed else self._where()
        return f"<Program {self.name!r}, {kind}, {state}>"

    def _where(self) -> str:
        """Where an open program is, in words for `repr`."""
        return self.engine


def _kernel_programs(cls: type[Program]) -> type[Program]:
    """What loads single programs and opens them by id and pin, asked as `cls`: the kernel's."""
    if cls is not Program:
        raise lacking(cls.engine, "open", "this program")
    return registry.find("kernel").program_class()
