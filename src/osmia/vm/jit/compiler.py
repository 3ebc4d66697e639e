"""IR text to machine code through llvmlite: one place that knows LLVM's interface."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

from osmia.errors import NotSupportedError

_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that code is for: LLVM's target machine and what describes it."""

    target: Any
    data_layout: str
    triple: str
    description: str


@cache
def host(retpoline: bool = False) -> Machine:
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
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    if retpoline:
        features += ",+retpoline-indirect-calls,+retpoline-indirect-branches"
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=2, codemodel="small", jit=True
    )
    triple = llvm.get_default_triple()
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    description = f"{triple} {cpu} {features} llvm {version} llvmlite {llvmlite.__version__}"
    return Machine(target, str(target.target_data), triple, description)


def object_code(text: str, *, retpoline: bool = False) -> bytes:
    """Optimise a module's IR and give its object file."""
    import llvmlite.binding as llvm

    machine = host(retpoline)
    with _lock:
        module = llvm.parse_assembly(
            f'target datalayout = "{machine.data_layout}"\n'
            f'target triple = "{machine.triple}"\n{text}'
        )
        with module:
            module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=2)
            options.loop_vectorization = True
            options.slp_vectorization = True
            options.loop_unrolling = True
            options.loop_interleaving = True
            builder = llvm.create_pass_builder(machine.target, options)
            passes = builder.getModulePassManager()
            passes.run(module, builder)
            code: bytes = machine.target.emit_object(module)
    return code


class LoadedCode:
    """An object file in this process's memory; it stays as long as this object."""

    def __init__(self, code: bytes) -> None:
        import llvmlite.binding as llvm

        host()
        with _lock:
            # The engine needs a target machine of its own: it takes it over.
            target = llvm.Target.from_default_triple().create_target_machine(
                codemodel="small", jit=True
            )
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """The machine address of an exported function."""
        with _lock:
            address: int = self._engine.get_function_address(symbol)
        return address
