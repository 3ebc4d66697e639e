"""A load from its record: system calls and nothing else.

Whatever the kernel refuses, and all that is not as the record has it, is left to the ordinary
load, which tries again and says what is wrong.
"""

from __future__ import annotations

import os
import sys

from osmia.errors import KernelError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.prepared.identities import modules_identity
from osmia.prepared.record import (
    BOUND,
    FIXUP,
    FROZEN,
    SECTION,
    SLOT,
    TEMPLATE,
    ZEROED,
    MapRow,
    ProgramRow,
    Record,
    text,
)
from osmia.prepared.unread import Held

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

_TOKEN_PATH = "LIBBPF_BPF_TOKEN_PATH"  # as in `kernel.sys.token`
_PERF_EVENT_ARRAY = 4
_FUNC_INFO_SIZE, _LINE_INFO_SIZE = 8, 16


def replay(held: Held) -> Any:
    """The loaded object (see `kernel.load.replayed`), or None where the ordinary load has to
    do it. What was made until then is closed."""
    if os.environ.get(_TOKEN_PATH):
        return None
    if held.modules and held.modules != modules_identity():  # one came or went after the open
        return None
    assert held.record is not None
    made = Descriptors()
    try:
        _Replay(held.record, made).run()
    except KernelError:
        made.close()
        return None
    except BaseException:
        made.close()
        raise
    from osmia.kernel.load.replayed import ReplayedObject

    return ReplayedObject(held, made)


class Descriptors:
    """The descriptors of a load, by names in the object."""

    def __init__(self) -> None:
        self.maps: dict[str, FileDescriptor] = {}
        self.sections: dict[str, FileDescriptor] = {}
        self.programs: dict[str, FileDescriptor] = {}
        self.others: list[FileDescriptor] = []  # for the time of the load
        self.closed = False

    def close(self) -> None:
        """Give all of them up, those that were made last first."""
        self.closed = True
        groups = (self.programs, self.sections, self.maps)
        for fd in (*self.others, *(fd for group in groups for fd in reversed(group.values()))):
            fd.close()

    def close_others(self) -> None:
        """Give up what the load itself needed."""
        for fd in self.others:
            fd.close()
        self.others.clear()


class _Replay:
    """One load; its steps are those of `kernel.load.loader`, in the same order."""

    def __init__(self, record: Record, made: Descriptors) -> None:
        self._record = record
        self._made = made
        self._btf = 0
        self._maps: list[int] = []  # descriptors by number
        self._programs: list[int] = []

    def run(self) -> None:
        record, made = self._record, self._made
        if record.btf:
            self._load_btf(record.btf)
        for row in record.maps:
            fd = FileDescriptor(self._create(row), f"map {text(row.key)!r}")
            group = made.sections if row.role == SECTION else made.maps
            if row.role == TEMPLATE:
                made.others.append(fd)
            else:
                group[text(row.key)] = fd
            self._maps.append(fd.fileno())
            if row.role == SECTION:
                self._fill(fd, row)
        for program in record.programs:
            name = text(program.name)
            made.programs[name] = fd = FileDescriptor(self._load(program), f"program {name!r}")
            self._programs.append(fd.fileno())
            self._bind(fd, program)
        for number, index, is_program, target in SLOT.iter_unpack(record.slots):
            stored = (self._programs if is_program else self._maps)[target]
            key, value = index.to_bytes(4, sys.byteorder), stored.to_bytes(4, sys.byteorder)
            self._update(self._maps[number], key, value)
        made.close_others()

    def _load_btf(self, btf: bytes) -> None:
        result, _ = syscall.btf_load(btf, len(btf))
        if result < 0:
            raise KernelError(-result, "load BTF")
        self._made.others.append(FileDescriptor(result, "BTF object"))
        self._btf = result

    def _create(self, row: MapRow) -> int:
        options: dict[str, Any] = {
            "key_size": row.key_size,
            "value_size": row.value_size,
            "max_entries": row.max_entries,
            "flags": row.flags,
            "name": text(row.name),
            "inner_map_fd": self._maps[row.inner] if row.inner >= 0 else 0,
            "numa_node": row.numa_node,
            "map_extra": row.map_extra,
        }
        if row.type == _PERF_EVENT_ARRAY and not row.max_entries:
            from osmia.kernel.sys.cpus import possible_cpus

            options["max_entries"] = possible_cpus()
        if self._btf and (row.key_type_id or row.value_type_id):
            types: dict[str, Any] = {
                "btf_fd": self._btf,
                "btf_key_type_id": row.key_type_id,
                "btf_value_type_id": row.value_type_id,
            }
            try:
                return syscall.map_create(row.type, **types, **options)
            except KernelError:
                pass  # as in `create_descriptor`: it may do without types
        return syscall.map_create(row.type, **options)

    def _fill(self, fd: FileDescriptor, row: MapRow) -> None:
        if row.contents_are != ZEROED:
            self._update(fd.fileno(), bytes(4), row.contents)
        if row.contents_are == FROZEN:
            syscall.map_freeze(fd.fileno())

    def _load(self, program: ProgramRow) -> int:
        code = bytearray(program.code)
        for offset, number in FIXUP.iter_unpack(program.fixups):
            code[offset + 4 : offset + 8] = self._maps[number].to_bytes(4, sys.byteorder)
        result, _ = syscall.prog_load(
            program.type,
            bytes(code),
            license=self._record.license,
            name=text(program.name),
            flags=program.flags,
            kern_version=program.kernel_version,
            expected_attach_type=program.expected_attach_type,
            btf_fd=self._btf if program.func_info else 0,
            func_info=program.func_info,
            func_info_rec_size=_FUNC_INFO_SIZE if program.func_info else 0,
            line_info=program.line_info,
            line_info_rec_size=_LINE_INFO_SIZE if program.line_info else 0,
            attach_btf_id=program.attach_btf_id,
        )
        if result < 0:
            raise KernelError(-result, f"load program {text(program.name)!r}")
        return result

    def _bind(self, fd: FileDescriptor, program: ProgramRow) -> None:
        for (number,) in BOUND.iter_unpack(program.bound):
            try:
                syscall.prog_bind_map(fd.fileno(), self._maps[number])
            except KernelError:  # before 5.10
                return

    @staticmethod
    def _update(fd: int, key: bytes, value: bytes) -> None:
        result = syscall.map_element(syscall.Command.MAP_UPDATE_ELEM, fd, key=key, value=value)
        if result < 0:
            raise KernelError(-result, "store an initial value")
