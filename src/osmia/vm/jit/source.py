"""Where the machine code of one program comes from: the cache, or the compiler."""

from __future__ import annotations

from osmia.vm.jit import kept

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.engine import Vm
    from osmia.vm.jit.machine import CompiledProgram
    from osmia.vm.programs import VmProgram


class CompiledSource:
    """A program's. Both methods may be called in any thread, and NotSupportedError comes from
    both where llvmlite is not installed."""

    def __init__(self, vm: Vm, program: VmProgram) -> None:
        self._vm = vm
        self._program = program

    def cached(self) -> CompiledProgram | None:
        """Code that some process compiled before, mapped without llvmlite where the machine has
        images; None where the cache lacks it, or that of what the program leads to."""
        try:
            jit = self._vm.need_jit(only_kept=True)
        except kept.NotKeptError:
            return None
        return jit.kept_program(self._program)

    def compile(self) -> CompiledProgram:
        """Code, compiled where it is not there. The vm is not locked while LLVM works on the
        program itself."""
        jit = self._vm.need_jit()
        jit.prepare(self._program)
        return jit.program(self._program)
