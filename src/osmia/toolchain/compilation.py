"""Compile C source to a BPF object file.

The compiler runs twice: first it only lists the files that the source includes, which,
with their content, name the result in the cache; then, unless that name is known, it
compiles. So a second compilation costs one preprocessor run, and is never stale.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from osmia import cache
from osmia.btf import BTF
from osmia.errors import CompileError
from osmia.records import dataclass, replace
from osmia.toolchain.compiler import Compiler, find_compiler, host_architecture
from osmia.toolchain.debug_info import strip_debug_info
from osmia.toolchain.vmlinux import vmlinux_header

INCLUDES = Path(__file__).resolve().parent.parent / "include"
"""The directory of the headers that osmia ships: <bpf/bpf_helpers.h> and others."""

Target = Literal["bpfel", "bpfeb"]
VmlinuxSource = BTF | str | os.PathLike[str] | bool

# What every object needs: BTF comes with debug information; a stack protector, which some
# distributions' compilers turn on, calls what no kernel has.
_ALWAYS = ("-g", "-O2", "-fno-stack-protector", "-fno-color-diagnostics")

# To be counted up when the same compiler's output comes to be treated differently here.
_MADE_AS = 2


@dataclass(frozen=True, slots=True)
class CompiledObject:
    """An ELF object in memory and how it was made.

    `dependencies` are all files that went into it, the source first when it was a file.
    `warnings` is what the compiler printed; `cached` says that it did not have to run.
    """

    name: str
    data: bytes
    dependencies: tuple[Path, ...]
    compiler: Compiler
    warnings: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """One compilation: the compiler, its arguments without output and input, the input."""

    compiler: Compiler
    arguments: tuple[str, ...]
    name: str
    path: str | None
    text: bytes

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run the compiler on the file, or on the text as a file of its own."""
        if self.path is not None:
            return self._run(arguments, self.path)
        # A file, not standard input: the lines of the text come into the BTF only from there.
        with tempfile.TemporaryDirectory(prefix="osmia-") as directory:
            file = Path(directory) / Path(self.name).name
            file.write_bytes(self.text)
            hidden = f"-ffile-prefix-map={file}={self.name}"
            near = ("-iquote", str(Path.cwd()), "-gdwarf-5", "-gembed-source", hidden)
            return self._run((*near, *arguments), str(file))

    def _run(self, arguments: tuple[str, ...], path: str) -> subprocess.CompletedProcess[bytes]:
        command = [*self.compiler.command, *self.arguments, *arguments, "-x", "c", path]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        run.stderr = run.stderr.replace(os.fsencode(path), os.fsencode(self.name))
        if run.returncode:
            output = run.stderr.decode(errors="replace")
            raise CompileError(f"cannot compile {self.name}", output=output)
        return run


def compile(  # noqa: A001
    source: str | os.PathLike[str],
    *,
    compiler: str | Compiler | None = None,
    includes: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | Iterable[str] = (),
    flags: Sequence[str] = (),
    cpu: str = "v3",
    target: Target = "bpfel",
    architecture: str | None = None,
    vmlinux: VmlinuxSource = True,
    dwarf: bool = False,
    name: str | None = None,
) -> CompiledObject:
    """Compile a C source file, or C text (a `str` with a newline in it), to an object.

    `compiler` is "zig", "clang", a path, or what `find_compiler` gave; by default what that
    finds. `includes` are searched before osmia's headers. `defines` are "NAME" or
    "NAME=VALUE", or a mapping of names to values. `flags` are passed on as they are.
    `cpu` is the instruction set version ("v1" to "v4"), `target` the byte order,
    `architecture` the traced machine as the kernel's build names it ("x86", "arm64"; for
    PT_REGS_* and <asm/…>), by default this one. `vmlinux` provides "vmlinux.h" where the
    source includes it: of the running kernel (True), of a BTF or a file of raw BTF, or not
    (False). `dwarf` keeps the debug information from which BTF was made, for other tools.
    `name` is what messages and debug information call a text.

    Raises `CompileError` with the compiler's diagnostics, and `FileNotFoundError`.
    """
    tool = compiler if isinstance(compiler, Compiler) else find_compiler(compiler)
    machine = architecture or host_architecture()
    path, text, name = _input(source, name)
    arguments = (
        *("-target", target, f"-mcpu={cpu}", *_ALWAYS),
        *(f"-I{os.fspath(place)}" for place in includes),
        *_define_arguments(defines, machine),
        *flags,
        *("-isystem", str(INCLUDES)),
        *tool.system_includes(machine),
    )
    job = _Job(tool, arguments, name, path, text)
    job, dependencies = _dependencies(job, vmlinux)
    return _compile_cached(job, dependencies, dwarf)


def _input(source: str | os.PathLike[str], name: str | None) -> tuple[str | None, bytes, str]:
    """Path, text and name of the source; a file's text stays in the file."""
    if isinstance(source, str) and "\n" in source:
        name = name or "source.bpf.c"
        return None, source.encode(), name
    path = os.fspath(source)
    if path.startswith("-"):
        path = f"./{path}"
    # Fails as `open` does when there is no such file, before a compiler starts.
    Path(path).open("rb").close()
    return path, b"", path


def _define_arguments(
    defines: Mapping[str, object] | Iterable[str], architecture: str
) -> list[str]:
    if isinstance(defines, Mapping):
        defines = [f"{key}={value}" for key, value in defines.items()]
    elif isinstance(defines, str):
        defines = [defines]
    arguments = [f"-D{text}" for text in defines]
    if any(argument.startswith("-D__TARGET_ARCH_") for argument in arguments):
        return arguments
    return [*arguments, f"-D__TARGET_ARCH_{architecture}"]


def _dependencies(job: _Job, vmlinux: VmlinuxSource) -> tuple[_Job, tuple[Path, ...]]:
    """What the source includes, and the job with "vmlinux.h" within its reach if it does that."""
    included = _included(job)
    if vmlinux is not False and Path("vmlinux.h") in included:
        # Not found, else it had a directory. Headers behind it may be others once it is there.
        header = vmlinux_header(None if vmlinux is True else vmlinux)
        job = replace(job, arguments=(*job.arguments, "-isystem", str(header.parent)))
        included = _included(job)
    return job, included


def _included(job: _Job) -> tuple[Path, ...]:
    """The files of a compilation; missing headers as they are named, for others to report."""
    rule = os.fsdecode(job.run("-M", "-MG", "-MT", "object").stdout)
    files = [Path(name) for name in _prerequisites(rule) if name not in {"-", "<stdin>"}]
    # A text was in a directory that is gone by now, and is nobody's dependency.
    return tuple(each for each in files if job.path is not None or each.parent.exists())


def _prerequisites(rule: str) -> Iterator[str]:
    """The files that a rule for make names, as clang writes it.

    Spaces within names have a backslash before them, "#" has one too, "$" is doubled, and nothing
    else is marked (clang, lib/Frontend/DependencyFile.cpp). A backslash of a name is written as a
    slash: such names cannot be told (`_key`).
    """
    text = rule.partition(":")[2].removesuffix("\n").replace(" \\\n ", "")
    for word in re.findall(r"(?:\\ |[^ ])+", text):
        yield re.sub(r"\\([ #])", r"\1", word).replace("$$", "$")


def _compile_cached(job: _Job, dependencies: tuple[Path, ...], dwarf: bool) -> CompiledObject:
    key = _key(job, dependencies, dwarf)
    data = cache.read("objects", key) if key is not None else None
    if data is not None:
        return CompiledObject(job.name, data, dependencies, job.compiler, cached=True)
    run = job.run("-c", "-o", "-")
    if not run.stdout.startswith(b"\x7fELF"):
        raise CompileError(f"the compiler made no object of {job.name}; are its flags right?")
    data = run.stdout if dwarf else strip_debug_info(run.stdout)
    warnings = run.stderr.decode(errors="replace")
    if key is not None and not warnings:
        # Warnings are worth repeating until they are gone.
        cache.write_if_possible("objects", key, data)
    return CompiledObject(job.name, data, dependencies, job.compiler, warnings)


def _key(job: _Job, dependencies: tuple[Path, ...], dwarf: bool) -> str | None:
    """A name for the result: everything that it depends on. None where that is not known.

    The directory counts, since debug information names it.
    """
    places = (job.path or "", str(Path.cwd()), *job.arguments)
    if any("\\" in place and not place.startswith("-D") for place in places):
        return None  # the compiler's list of files may name others than it read
    digest = hashlib.sha256()
    how = (_MADE_AS, job.compiler.identity, job.arguments, dwarf)
    parts = (*how, job.name, job.path, str(Path.cwd()))
    digest.update(repr(parts).encode(errors="surrogateescape") + job.text)
    for path in dependencies:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest.update(f"\n{path} {len(content)}\n".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()
