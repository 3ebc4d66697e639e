"""A frame: what is known of one address."""

from __future__ import annotations

from osmia.named_tuples import NamedTuple


class Frame(NamedTuple):
    """What an address is in. What is not known is "" or 0.

    `name` is the function, demangled. `module` is the file ("/usr/lib/libc.so.6"), or "kernel",
    a kernel module's name, "bpf", "[vdso]", or "[jit]" for what a JIT compiler told. `offset` is
    in bytes from the function's start. `file` and `line` are of the source. An `inlined` function
    is part of the frame behind it, which has the same address.
    """

    address: int
    name: str = ""
    module: str = ""
    offset: int = 0
    file: str = ""
    line: int = 0
    inlined: bool = False

    @property
    def label(self) -> str:
        """The function's name; else "[module]", or "[unknown]"."""
        if self.name:
            return self.name
        last = self.module.rpartition("/")[2].strip("[]")
        return f"[{last or 'unknown'}]"

    def __str__(self) -> str:
        place = f"{self.name}+{self.offset:#x}" if self.name else f"{self.address:#x}"
        module = f" [{self.module.strip('[]')}]" if self.module else ""
        source = f" {self.file}:{self.line}" if self.file else ""
        return f"{place}{module}{source}{' (inlined)' if self.inlined else ''}"
