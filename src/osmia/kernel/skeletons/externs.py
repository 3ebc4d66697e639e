"""Externs in a loader program: what the kernel says of each, once, and who is told."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.btf import Kind
from osmia.btf.core.match import essential_name
from osmia.errors import RelocationError
from osmia.kernel.load.image import PSEUDO_BTF_ID
from osmia.kernel.skeletons.blob import Blob
from osmia.kernel.skeletons.code import LoaderCode
from osmia.object.model import ExternKind, Object, Relocation, RelocationKind

_ENOENT = 2
#: In an instruction: the registers, the offset, the immediate; that of the slot after it.
_REGISTERS, _OFFSET, _IMMEDIATE, _SECOND = 1, 2, 4, 12


class ExternTable:
    """Answers about externs, 8 bytes each: a type's id and the descriptor of its module (0:
    the kernel's own types), or an address. All zeros: there is none.

    `first` is the index in the programs' `fd_array` where modules begin.
    """

    def __init__(
        self, obj: Object, blob: Blob, code: LoaderCode, fd_array: int, first: int
    ) -> None:
        self._obj = obj
        self._blob = blob
        self._code = code
        self._fd_array = fd_array
        self._first = first
        self._answers: dict[str, int] = {}
        self.descriptors: list[int] = []

    def resolve(self, name: str) -> None:
        """Ask for an extern, unless that is done. The loader fails where a strong one is not."""
        if name in self._answers:
            return
        self._code.step()
        extern = self._obj.externs.get(name)
        if extern is None:
            raise RelocationError(f"{name!r} is not resolved")
        answer = self._answers[name] = self._blob.add(bytes(8))
        text, done = self._blob.add_text(essential_name(name)), self._code.label()
        if self._is_symbol(name):
            self._code.find_symbol(text, answer)
            if extern.weak:
                self._code.add(f"if r7 == {-_ENOENT} goto {done}")
            self._code.check()
        else:
            kind = Kind.FUNC if extern.kind is ExternKind.KFUNC else Kind.VAR
            self._code.find_type(text, kind)
            if extern.weak:
                self._code.add(f"if r7 s< 0 goto {done}")
            self._code.check()
            self._code.store(answer, "r7", 8)
            self._blob.descriptors.append(answer + 4)
            self.descriptors.append(answer + 4)
        self._code.add(f"{done}:")

    def _is_symbol(self, name: str) -> bool:
        """Whether an extern is an address without a type."""
        extern, btf = self._obj.externs[name], self._obj.btf
        if extern.kind is not ExternKind.KSYM or btf is None:
            return False
        return btf.kind_of(btf.resolve(extern.type_id)) == Kind.VOID

    def write(self, use: Relocation, code: int, functions: Sequence[str]) -> None:
        """Write the answer into the instruction that uses it, of the program at `code`.

        Modules' functions are called by the place of the module's descriptor in `fd_array`:
        that of the function among those of the program, as libbpf has it.
        """
        at, answer = code + use.offset, self._answers[use.target]
        done = self._code.label()
        self._code.copy(at + _IMMEDIATE, answer)
        if use.kind is RelocationKind.EXTERN_CALL:
            self._write_module(use, at, answer, functions, done)
        elif self._is_symbol(use.target):
            self._code.copy(at + _SECOND, answer + 4)
        else:
            self._code.add(f"if r0 == 0 goto {done}")
            self._code.copy(at + _SECOND, answer + 4)
            registers = self._blob.byte(at + _REGISTERS) | PSEUDO_BTF_ID << 4
            self._code.add(f"r0 = {registers}")
            self._code.store(at + _REGISTERS, "r0", 1)
        self._code.add(f"{done}:")

    def _write_module(
        self, use: Relocation, at: int, answer: int, functions: Sequence[str], done: str
    ) -> None:
        number = self._first + functions.index(use.target)
        self._code.copy(self._fd_array + 4 * number, answer + 4)
        self._code.add(f"if r0 == 0 goto {done}", f"r0 = {number}")
        self._code.store(at + _OFFSET, "r0", 2)
