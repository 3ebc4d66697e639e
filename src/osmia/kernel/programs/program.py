"""Programs in the kernel: load, inspect, run, pin, attach."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Never

from osmia.arguments import names_wrong_arguments
from osmia.engine import program as engine
from osmia.errors import KernelError
from osmia.kernel.programs import info as info_of
from osmia.kernel.programs import loading as program_load
from osmia.kernel.programs.info import ProgramInfo
from osmia.kernel.programs.loading import FUNC_INFO_SIZE, LINE_INFO_SIZE, ProgramImage, no_lines
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.fd import FileDescriptor, HasFileno
from osmia.kernel.sys.kinds import open_pin, require_kind
from osmia.object import model
from osmia.object.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from osmia.btf import BTF
    from osmia.engine.attaching import AttachOptions
    from osmia.engine.link import Link
    from osmia.engine.results import RunResult
    from osmia.engine.tail_call_returns import FunctionType
    from osmia.kernel.links.attachable import StaticProbeSpecs
    from osmia.kernel.programs.test_runs import RunFlag

_STREAM_BYTES = 64 << 10


class KernelProgram(engine.Program):
    """A program that the kernel holds; it stays loaded while this object (or a link, a pin,
    a prog array, another descriptor) refers to it."""

    engine: ClassVar[str] = "kernel"
    type: ProgramType | int

    def __init__(
        self,
        fd: FileDescriptor,
        *,
        type: ProgramType | int,  # noqa: A002 - the field's word
        name: str,
        expected_attach_type: AttachType | int | None = None,
        definition: model.Program | None = None,
        log: str = "",
    ) -> None:
        self._fd = fd
        self.type = type
        self.name = name
        self.expected_attach_type = expected_attach_type
        self.definition = definition
        self.log = log
        #: What static probes are described in, for programs whose object has it.
        self.usdt_specs: StaticProbeSpecs | None = None

    @classmethod
    @names_wrong_arguments
    def load(
        cls,
        type: ProgramType | int,  # noqa: A002
        code: bytes,
        *,
        license: str = "",  # noqa: A002
        name: str = "",
        expected_attach_type: AttachType | int | None = None,
        flags: int = 0,
        kernel_version: int = 0,
        attach_btf_id: int = 0,
        attach_fd: int = 0,
        btf_fd: int = 0,
        func_info: bytes = b"",
        func_info_size: int = FUNC_INFO_SIZE,
        line_info: bytes = b"",
        line_info_size: int = LINE_INFO_SIZE,
        fd_array: Sequence[int] = (),
        ifindex: int = 0,
        token_fd: int = 0,
        log_level: int = 0,
        source_lines: Callable[[], Sequence[model.SourceLine]] = no_lines,
        definition: model.Program | None = None,
    ) -> KernelProgram:
        """Load code whose relocations are already numbers (BPF_PROG_LOAD).

        The first attempt writes no log; when the kernel refuses, a second one does.
        `log_level` asks for a log of success too (`Program.log`): 1 the instructions on
        the last path, 2 all paths, plus 4 statistics. `attach_fd` belongs to the BTF
        object that `attach_btf_id` counts in (0: vmlinux), or to the program that is
        replaced or traced. `source_lines` gives the lines of the whole code, by slot.

        Raises VerifierError, NotSupportedError for types that this kernel lacks,
        BpfPermissionError, else KernelError.
        """
        image = ProgramImage(
            type=type,
            code=code,
            license=license,
            name=name,
            expected_attach_type=expected_attach_type,
            flags=flags,
            kernel_version=kernel_version,
            attach_btf_id=attach_btf_id,
            attach_fd=attach_fd,
            btf_fd=btf_fd,
            func_info=func_info,
            func_info_size=func_info_size,
            line_info=line_info,
            line_info_size=line_info_size,
            fd_array=fd_array,
            ifindex=ifindex,
            token_fd=token_fd,
            source_lines=source_lines,
        )
        return cls.from_image(image, definition=definition, log_level=log_level)

    @classmethod
    def from_image(
        cls, image: ProgramImage, *, definition: model.Program | None = None, log_level: int = 0
    ) -> KernelProgram:
        """`load` of what is put together already."""
        fd, log = program_load.load(image, log_level)
        return cls(
            fd,
            type=image.type,
            name=image.name,
            expected_attach_type=image.expected_attach_type,
            definition=definition,
            log=log,
        )

    @classmethod
    def from_fd(cls, fd: FileDescriptor) -> KernelProgram:
        """Take over a descriptor of a program; it is closed when it is none."""
        try:
            require_kind(fd, "program")
            told = info_of.program_info(fd.fileno())
        except BaseException:
            fd.close()
            raise
        fd.what = f"program {told.name!r}"
        return cls(fd, type=told.type, name=told.name)

    @classmethod
    @names_wrong_arguments
    def from_id(cls, identifier: int) -> KernelProgram:
        """Open a loaded program by id, since 4.13. KernelError ENOENT when there is none."""
        return cls.from_fd(
            FileDescriptor(syscall.prog_get_fd_by_id(identifier), f"program {identifier}")
        )

    @classmethod
    @names_wrong_arguments
    def from_pin(cls, path: str | os.PathLike[str]) -> KernelProgram:
        """Open a pinned program. KernelError when nothing, or something else, is pinned."""
        return cls.from_fd(open_pin(path, "program"))

    @property
    def info(self) -> ProgramInfo:
        """What the kernel tells of the program now."""
        return info_of.program_info(self.fileno())

    @property
    def id(self) -> int:
        return self.info.id

    @property
    def run_statistics(self) -> tuple[int, int]:
        return info_of.run_statistics(self.fileno())

    def btf(self) -> BTF | None:
        from osmia.kernel.sys.btf_objects import btf_from_id

        identifier = self.info.btf_id
        return btf_from_id(identifier) if identifier else None

    def function_type(self) -> FunctionType | None:
        if self.declared is not None:
            return self.declared
        try:
            btf, (records, size) = self.btf(), info_of.function_records(self.fileno())
        except KernelError:  # none that this process may look at
            return None
        if btf is None or len(records) < size or not size:
            return None
        return btf, int.from_bytes(records[4:8], sys.byteorder)

    def xlated(self) -> bytes:
        return info_of.translated_code(self.fileno())

    def jited(self) -> bytes:
        return info_of.native_code(self.fileno())

    def run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        *,
        repeat: int = 1,
        flags: RunFlag | int = 0,
        cpu: int = 0,
        batch_size: int = 0,
        **others: Never,
    ) -> RunResult:
        """See `osmia.Program.run` (since 4.12).

        `flags`: RunFlag; with XDP_LIVE_FRAMES the kernel carries verdicts out, `batch_size`
        packets at a time.

        Raises NotSupportedError for program types without test runs, KernelError.
        """
        from osmia.kernel.programs import test_runs as runs

        for name in others:
            self._refuse_run(name)
        return runs.run(
            self.fileno(),
            self.type,
            data,
            ctx=ctx,
            repeat=repeat,
            flags=flags,
            cpu=cpu,
            batch_size=batch_size,
            what=f"run program {self.name!r}",
        )

    def _attach(self, target: Any, options: AttachOptions) -> Link:
        from osmia.kernel import links

        return links.attach(self, target, **options)

    @names_wrong_arguments
    def pin(self, path: str | os.PathLike[str]) -> None:
        pins.pin(self.fileno(), path, what=f"program {self.name!r}")

    @names_wrong_arguments
    def unpin(self, path: str | os.PathLike[str]) -> None:
        pins.unpin(path)

    @names_wrong_arguments
    def bind_map(self, map_fd: int) -> None:
        syscall.prog_bind_map(self.fileno(), map_fd, what=f"bind a map to program {self.name!r}")

    @names_wrong_arguments
    def associate_struct_ops(self, struct_ops: HasFileno) -> None:
        """Let kfuncs that this program calls act on a struct_ops map (since 7.0), for as long as
        both live; once for each program.

        NotSupportedError before 7.0; KernelError EINVAL for a map of another type and for
        programs that are of a struct_ops themselves, EBUSY where another one is associated.
        """
        from osmia.kernel.probes import features

        what = f"associate a struct_ops with program {self.name!r}"
        with features.needs("7.0", "struct_ops of other programs"):
            syscall.prog_assoc_struct_ops(self.fileno(), struct_ops.fileno(), what=what)

    def read_output(self) -> str:
        return self._read_stream(1)

    def read_errors(self) -> str:
        return self._read_stream(2)

    def _read_stream(self, stream: int) -> str:
        from osmia.kernel.probes import features

        what = f"read the output of program {self.name!r}"
        chunks = []
        with features.needs("6.17", "program streams"):
            while chunk := syscall.prog_stream_read(
                self.fileno(), stream=stream, size=_STREAM_BYTES, what=what
            ):
                chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "replace")

    def fileno(self) -> int:
        return self._fd.fileno()

    @property
    def closed(self) -> bool:
        return self._fd.closed

    def close(self) -> None:
        self._fd.close()

    def _where(self) -> str:
        return f"fd {self._fd.fileno()}"


def enable_run_statistics() -> FileDescriptor:
    """Count run times of all programs while the descriptor is open (since 5.8).

    Use it in a `with` block; before 5.8 set the sysctl kernel.bpf_stats_enabled.
    """
    return FileDescriptor(syscall.enable_stats(), "run statistics")
