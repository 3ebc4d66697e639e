"""`osmia compile`: C source to a BPF object."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note
from osmia.files import write_whole

_file = click.Path(path_type=Path)

_OPTIONS = (
    click.option("-I", "includes", multiple=True, type=_file, help="Search headers here first."),
    click.option("-D", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define a macro."),
    click.option("--cpu", help="Instruction set version: v1 to v4.  [default: v3]"),
    click.option("--compiler", help="clang, zig, or a path.  [default: what is found]"),
    click.option("--flag", "flags", multiple=True, help="Pass this on to the compiler."),
)

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_compiler_options(function: Function) -> Function:
    """Give a verb the options of the compiler; it gets them as keyword arguments."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that say something, as `osmia.compile` takes them."""
    return {name: value for name, value in options.items() if value}


@click.command("compile", cls=Verb)
@click.argument("file", type=_file)
@click.option("-o", "--output", "target_file", type=_file, help="Where to; - is standard output.")
@takes_compiler_options
@click.option("--target", type=click.Choice(["bpfel", "bpfeb"]), help="The byte order.")
@click.option("--dwarf", is_flag=True, help="Keep debug information: `osmia debug` reads it.")
@click.option("--arch", "architecture", help="The traced machine: x86, arm64, …")
@click.option("--vmlinux", type=_file, help="Raw BTF of another kernel, for vmlinux.h.")
@pass_output
def compile_command(
    output: Output, /, file: Path, target_file: Path | None, **options: Any
) -> None:
    """Compile FILE (C source) to a BPF object: flows.bpf.c becomes flows.bpf.o.

    Headers under <bpf/…> come with osmia, vmlinux.h from the running kernel. The compiler is
    a clang on this machine, or the one in the ziglang package (`pip install 'osmia[compile]'`).
    """
    from osmia import toolchain

    compiled = toolchain.compile(file, **given(options))
    if compiled.warnings:
        note(compiled.warnings.rstrip())
    if target_file == Path("-"):
        sys.stdout.buffer.write(compiled.data)
        return
    written = target_file or file.with_suffix(".o")
    write_whole(written, compiled.data)
    if output.verbose:
        compiler = f"{compiled.compiler.command[0]} {compiled.compiler.version}"
        how = "as compiled before" if compiled.cached else f"by {compiler}"
        note(f"{written}: {len(compiled.data)} bytes, {how}")
