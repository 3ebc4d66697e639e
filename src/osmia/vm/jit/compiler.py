"""IR text to machine code through llvmlite: one place that knows LLVM's interface."""

from __future__ import annotations

import functools
from typing import Any

from osmia.errors import NotSupportedError
from osmia.locks import Order, make_lock, watch_lock
from osmia.records import dataclass
from osmia.vm.jit.near import room_for

_lock = make_lock(Order.COMPILER)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that code is for: LLVM's target machine and what describes it."""

    target: Any
    data_layout: str
    triple: str
    description: str


@functools.cache
def host(retpoline: bool = False, optimised: bool = True) -> Machine:
    """This machine; with `retpoline` indirect jumps never speculate.

    Raises NotSupportedError where llvmlite is not installed.
    """
    try:
        import llvmlite
        import llvmlite.binding as llvm
    except ImportError as error:
        raise NotSupportedError(
            "compiled programs need llvmlite: pip install 'osmia[jit]'"
        ) from error
    # Every call into LLVM, finalizers' too, takes this one.
    watch_lock(getattr(getattr(llvm.ffi.lib, "_lock", None), "_lock", None))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    if retpoline:
        features += ",+retpoline-indirect-calls,+retpoline-indirect-branches"
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu,
        features=features,
        opt=2 if optimised else 0,
        reloc="pic",
        codemodel="small",
        jit=True,
    )
    triple = llvm.get_default_triple()
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    description = f"{triple} {cpu} {features} llvm {version} llvmlite {llvmlite.__version__}"
    return Machine(target, str(target.target_data), triple, description)


def compile_fresh(machine: Machine, text: str, level: int) -> bytes:
    """The object file of a module's IR, optimised.

    `level` 1 is for code that is called from Python and need not be inlined, 0 for tests of
    many programs: a tenth of the time.
    """
    import llvmlite.binding as llvm

    with _lock:
        module = llvm.parse_assembly(
            f'target datalayout = "{machine.data_layout}"\n'
            f'target triple = "{machine.triple}"\n{text}'
        )
        with module:
            module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=level)
            options.loop_vectorization = level > 1
            options.slp_vectorization = level > 1
            options.loop_unrolling = level > 1
            options.loop_interleaving = level > 1
            builder = llvm.create_pass_builder(machine.target, options)
            passes = builder.getModulePassManager()
            passes.run(module, builder)
            code: bytes = machine.target.emit_object(module)
    return code


class LoadedCode:
    """An object file that LLVM loads into this process; it stays as long as this object."""

    def __init__(self, code: bytes) -> None:
        import llvmlite.binding as llvm

        host()
        with _lock:
            # The engine needs a target machine of its own: it takes it over.
            target = llvm.Target.from_default_triple().create_target_machine(
                reloc="pic", codemodel="small", jit=True
            )
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
            with room_for(2 * len(code)):
                self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
                self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """The machine address of an exported function."""
        with _lock:
            address: int = self._engine.get_function_address(symbol)
        return address
