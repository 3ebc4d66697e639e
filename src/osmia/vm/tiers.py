"""Which executor a run goes through that names none: what is ready now, machine code when it is.

A program's first runs are interpreted, exactly, where they are strict; without strict checks they
are generated Python. From `HOT` runs on it is for machine code: that which is there, else what an
earlier process kept, mapped without a compiler. Where there is neither, runs go on in generated
Python and a thread compiles; LLVM works without Python's lock. Its code is taken by the next run,
or the next round of a repeated one. Nothing is replaced in the middle of a run.

Where there is no compiler, or compiling fails, generated Python stays. What is too large to
generate waits for machine code, as everything does that asks for it (`executor="jit"`, batches).
"""

from __future__ import annotations

from collections import deque

from osmia.errors import NotSupportedError
from osmia.locks import at_fork, make_lock
from osmia.vm.budgets import HOT, LARGEST_GENERATED

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    import threading

    from osmia.vm.engine import Vm
    from osmia.vm.programs import VmProgram
    from osmia.vm.words import Tier


class Tiers:
    """The choices of one vm, and the thread that compiles for it."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._lock = make_lock()
        self._queue: deque[VmProgram] = deque()
        self._thread: threading.Thread | None = None
        self._asked: dict[int, int] = {}
        """Programs that were looked for in the cache or given to the thread, and the state of the
        vm's helpers then: each is once for a state."""
        at_fork(self)

    def choose(self, program: VmProgram, *, strict: bool) -> Tier:
        """The executor of a run that names none and has no hook; it was counted already."""
        if program.runs < HOT:
            return "interpreter" if strict or not generates(program) else "generated"
        jit = self._vm.jit_in_use
        if jit is not None and jit.has(program.number):
            return "jit"
        if self._vm.compiles and self._asked.get(program.number) != self._vm.helper_changes:
            tier = self._ask(program)
            if tier is not None:
                return tier
        return "generated" if generates(program) else "interpreter"

    def compiled(self, program: VmProgram) -> bool:
        """Whether a program's machine code is there."""
        jit = self._vm.jit_in_use
        return jit is not None and jit.has(program.number)

    def _ask(self, program: VmProgram) -> Tier | None:
        """Get machine code: from the cache now, or later. None where there is no compiler."""
        import threading  # dear, and no first run comes here

        from osmia.vm.jit.source import CompiledSource

        try:
            if CompiledSource(self._vm, program).cached() is not None or not generates(program):
                return "jit"
        except NotSupportedError:
            self._vm.lacks_compiler()
            return None
        self._asked[program.number] = self._vm.helper_changes
        with self._lock:
            self._queue.append(program)
            if self._thread is None:
                self._thread = threading.Thread(target=self._compile, name="osmia-compiler")
                self._thread.start()
        return "generated"

    def _compile(self) -> None:
        from osmia.vm.jit.source import CompiledSource

        while (program := self._next()) is not None:
            # Who asks for compiled code gets the error; here there is nobody to tell.
            try:
                CompiledSource(self._vm, program).compile()
            except Exception:
                continue

    def _next(self) -> VmProgram | None:
        """What to compile next; None when the thread shall end: with the vm, and when Python ends,
        which waits for it."""
        import threading

        with self._lock:
            if self._queue and not self._vm.closed and threading.main_thread().is_alive():
                return self._queue.popleft()
            self._queue.clear()
            self._thread = None
            return None

    def wait(self) -> None:
        """Wait until nothing is being compiled."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def before_fork(self) -> None:
        """What is being compiled is finished first: LLVM's lock is taken."""

    def after_fork(self, child: bool) -> None:
        """A child has no such thread; it asks anew."""
        if child:
            self._thread = None
            self._queue.clear()
            self._asked.clear()


def generates(program: VmProgram) -> bool:
    """Whether generated code is worth making: it takes Python some 25 µs an instruction."""
    return len(program.code.instructions) <= LARGEST_GENERATED
