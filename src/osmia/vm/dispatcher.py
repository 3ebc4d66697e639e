"""A place that a program is attached to: callers keep calling it while programs change.

What calls a dispatcher in compiled code calls a stub of its own module, which jumps to the
attached program (`osmia.vm.jit.stubs`): no caller ever takes an indirect call, as with the
kernel's dispatcher for XDP. Attaching another program repoints the stubs.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from osmia.errors import ClosedError, KernelError
from osmia.vm.layout import PROGRAM_DEPTH
from osmia.vm.programs import VmProgram

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.engine.results import RunResult
    from osmia.vm.batch import Batch
    from osmia.vm.engine import Vm


class Dispatcher:
    """One attached program of a vm, made by `Vm.dispatcher`; it stays until the vm is closed,
    or forgets its programs: ClosedError from then on.

    `handle` is what a call instruction with source register 5 has as its immediate to call
    the attached program from another one. `slot` is where in control memory the attached
    program's machine address is, for callers without stubs.
    """

    def __init__(self, vm: Vm, handle: int, program: VmProgram) -> None:
        self.vm = vm
        self.handle = handle
        self.slot = vm.memory.control.allocate(8)
        self._program = program
        self._updates = 0

    @property
    def program(self) -> VmProgram:
        """The attached program."""
        return self._program

    def update(self, program: VmProgram, *, expected: VmProgram | None = None) -> None:
        """Attach another program in this one's place, atomically, also while it runs.

        Each call goes to the old program or to the new one; every call that begins after
        `update` has returned, on any thread, goes to the new one. With `expected` only when
        that one is attached now: KernelError EPERM otherwise.

        Raises KernelError (EINVAL) for a program of another vm, another type, expected attach
        type or signature, and (ELOOP) for one through which programs would call each other
        too deeply, or in a circle; ClosedError for one that is gone.
        """
        with self.vm.lock:
            self._check_open()
            if not isinstance(program, VmProgram) or program.vm is not self.vm:
                raise foreign(program, "attach")
            program.check_open()
            if expected is not None and not self._has(expected):
                hint = f"{self._program.name!r} is attached, not {expected.name!r}"
                raise KernelError(errno.EPERM, f"attach program {program.name!r}", hint=hint)
            self._check(program)
            self._updates += 1
            mine = self._updates
            self.point(program)
            self._program = program
            if self._updates != mine:  # a signal's handler came in between
                self.point()

    def point(self, program: VmProgram | None = None) -> None:
        """Make compiled callers call a program, the attached one if not told."""
        jit = self.vm.jit_in_use
        if jit is not None:
            jit.attach(self, program or self._program)

    @property
    def closed(self) -> bool:
        """Whether it is gone, with its vm or with the vm's programs."""
        return self.vm.closed or self.vm.dispatchers.get(self.handle) is not self

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedError(f"dispatcher {self.handle} is closed")

    def _has(self, program: VmProgram) -> bool:
        mine = isinstance(program, VmProgram) and program.vm is self.vm
        return mine and program.number == self._program.number

    def _check(self, program: VmProgram) -> None:
        mine, other = _described(self._program), _described(program)
        wrong = [f"{what} {other[what]}, not {mine[what]}" for what in mine if mine != other]
        if wrong:
            hint = "; ".join(wrong)
            raise KernelError(errno.EINVAL, f"attach program {program.name!r}", hint=hint)
        for caller in self.vm.programs:
            check_depth(caller, {self.handle: program})

    def run(self, data: bytes = b"", ctx: Any = None, **options: Any) -> RunResult:
        """Run the program that is attached now: see `Program.run`."""
        self._check_open()
        self._program.check_testable()
        return self._program.execute(data, ctx, **options)

    def run_batch(
        self, packets: Batch | Iterable[bytes], *, budget: int | None = None, repeat: int = 1
    ) -> Sequence[int]:
        """As `Program.run_batch`; each packet goes to the program that is attached when its
        turn comes."""
        from osmia.vm import batch

        self._check_open()
        self._program.check_testable()
        return batch.run(self._program, packets, budget, repeat, self)

    def __repr__(self) -> str:
        return f"<Dispatcher {self.handle} of {self._program!r}>"


def foreign(program: object, verb: str) -> KernelError:
    """The error for what is no program of the vm that is to do something with it."""
    name = getattr(program, "name", program)
    hint = "it is a program of another vm" if isinstance(program, VmProgram) else "it is in no vm"
    return KernelError(errno.EINVAL, f"{verb} program {name!r}", hint=hint)


def _described(program: VmProgram) -> dict[str, str]:
    """What the programs of one dispatcher have in common."""
    return {
        "type": program.type.name if program.type is not None else "raw",
        "attach type": repr(program.expected_attach_type),
        "signature": repr(program.signature),
    }


def check_depth(program: VmProgram, instead: dict[int, VmProgram] | None = None) -> None:
    """See that a program and those it calls by handle, with some of them replaced, do not nest
    too deeply for the stack. Raises KernelError (ELOOP)."""
    pending = [(program, 1)]
    while pending:
        this, depth = pending.pop()
        if depth > PROGRAM_DEPTH:
            hint = f"program {this.name!r} would be call {depth}; {PROGRAM_DEPTH} are possible"
            raise KernelError(errno.ELOOP, f"call programs from {program.name!r}", hint=hint)
        for handle in this.calls:
            called = (instead or {}).get(handle) or this.vm.dispatchers[handle].program
            pending.append((called, depth + 1))
