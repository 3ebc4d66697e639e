"""From C source to a BPF object: find a compiler, give it headers, remember what it made."""

from osmia.toolchain.compilation import INCLUDES, CompiledObject, compile  # noqa: A004
from osmia.toolchain.compiler import Compiler, find_compiler, host_architecture
from osmia.toolchain.vmlinux import vmlinux_header

__all__ = [
    "INCLUDES",
    "CompiledObject",
    "Compiler",
    "compile",
    "find_compiler",
    "host_architecture",
    "vmlinux_header",
]
