"""`osmia prog dump`: a program's code, as instructions, as machine code, as a picture."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.code import described_code, print_code
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, hex_bytes, hex_list, printable
from osmia.cli.targets import only_target, open_program
from osmia.errors import OsmiaError
from osmia.files import write_whole

if TYPE_CHECKING:
    from osmia.kernel.inventory.machine_code import MachineFunction, MachineInstruction

_file = click.Path(path_type=Path)
_opcodes = click.option("--opcodes", is_flag=True, help="Show the instructions' bytes, too.")
_linum = click.option("--linum", is_flag=True, help="Show source files and line numbers, too.")


@click.group("dump", cls=Noun)
def dump() -> None:
    """Dump a program's code: `xlated` as the verifier left it, `jited` machine code, `visual` its
    control flow as a picture."""


@dump.command("xlated", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="PROG")
@click.option("-o", "--file", type=_file, help="Write the raw instructions there instead.")
@_opcodes
@_linum
@click.option("--visual", is_flag=True, help="Print the control flow for Graphviz instead.")
@pass_output
def dump_xlated(
    output: Output,
    words: tuple[str, ...],
    file: Path | None,
    opcodes: bool,
    linum: bool,
    visual: bool,
) -> None:
    """Dump the instructions with their source lines."""
    from osmia.kernel.inventory.code_listing import (
        listing,  # much to import, which other verbs do without
    )

    with open_program(only_target(words)) as program:
        if file is not None:
            write_whole(file, program.xlated())
            return
        instructions = list(listing(program, as_bpftool=output.json and not visual))
    if visual:
        from osmia.formats.flow_graph import dot, flow_graph

        click.echo(dot(flow_graph(instructions, sys.byteorder, places=linum)), nl=False)
    elif output.json:
        output.document(described_code(instructions, opcodes=opcodes, byteorder=sys.byteorder))
    else:
        print_code(output, instructions, opcodes=opcodes, places=linum)


@dump.command("visual", cls=Verb)
@click.argument("words", nargs=-1, metavar="PROG")
@click.option("-o", "--file", type=_file, help="Write a picture there: .svg; or .dot.")
@_linum
def dump_visual(words: tuple[str, ...], file: Path | None, linum: bool) -> None:
    """Draw the control flow of the instructions: an SVG file, or text for Graphviz."""
    from osmia.formats.flow_graph import dot, flow_graph
    from osmia.formats.flow_picture import flow_picture
    from osmia.kernel.inventory.code_listing import listing

    if file is not None and file.suffix not in (".svg", ".dot"):
        raise click.UsageError(f"{file}: pictures are .svg or .dot")
    with open_program(only_target(words)) as program:
        graph = flow_graph(listing(program), sys.byteorder, places=linum)
        title = f"{program.info.name} (program {program.info.id})"
    if file is None:
        click.echo(dot(graph), nl=False)
    else:
        drawn = flow_picture(graph, title) if file.suffix == ".svg" else dot(graph)
        write_whole(file, drawn.encode())


@dump.command("jited", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="PROG")
@click.option("-o", "--file", type=_file, help="Write the raw machine code there instead.")
@_opcodes
@_linum
@click.option("--hex", "as_bytes", is_flag=True, help="Show bytes alone, without capstone.")
@pass_output
def dump_jited(
    output: Output,
    words: tuple[str, ...],
    file: Path | None,
    opcodes: bool,
    linum: bool,
    as_bytes: bool,
) -> None:
    """Dump the machine code with its source lines, function by function.

    It is disassembled by capstone (pip install 'osmia[disassembly]').
    """
    from osmia.kernel.inventory.machine_code import disassembled, machine_functions

    with open_program(only_target(words)) as program:
        if file is not None:
            write_whole(file, _compiled(program.jited()))
            return
        functions = machine_functions(program)
    _compiled(functions)
    for each in functions if not as_bytes else ():
        next(disassembled(each), None)  # without capstone nothing is printed
    if output.json:
        output.document(
            [
                {**_told(each), **({} if as_bytes else _instructions(each, opcodes=opcodes))}
                for each in functions
            ]
        )
        return
    for each in functions:
        if as_bytes:
            _print_bytes(output, each)
        else:
            _print_function(output, each, disassembled(each), opcodes=opcodes, places=linum)


def _compiled(code: Any) -> Any:
    if not code:
        raise OsmiaError("the program was not compiled: the kernel interprets it")
    return code


def _told(function: MachineFunction) -> dict[str, Any]:
    return {
        "name": function.symbol,
        "proto": function.declaration,
        "address": hex(function.address),
        "code": hex_list(function.code),
    }


def _instructions(function: MachineFunction, *, opcodes: bool) -> dict[str, Any]:
    """The instructions as bpftool's JSON has them."""
    from osmia.kernel.inventory.machine_code import disassembled

    told = []
    for each in disassembled(function):
        line = function.lines.get(each.address)
        described: dict[str, Any] = {}
        if line is not None:
            described = {"src": line.text, "file": line.file, "line_num": line.line}
            described["line_col"] = line.column
        described["pc"] = hex(each.address - function.address)
        described["operation"] = each.operation
        described["operands"] = _operands(each.operands)
        if opcodes:
            described["opcodes"] = hex_list(each.code)
        told.append(described | ({"target": each.target} if each.target else {}))
    return {"insns": told}


def _operands(text: str) -> list[str]:
    """Operands apart: commas within parentheses and brackets belong to one."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _print_function(
    output: Output,
    function: MachineFunction,
    instructions: Iterator[MachineInstruction],
    *,
    opcodes: bool,
    places: bool,
) -> None:
    if function.declaration:
        output.line(printable(f"{function.declaration}:"), "bold")
    output.line(printable(f"{function.symbol or hex(function.address)}:"), "bold")
    last = None
    for each in instructions:
        line = function.lines.get(each.address)
        if line is not None and (line.file, line.line) != last:
            last = line.file, line.line
            place = f" [{line.file}:{line.line}]" if places else ""
            output.line(printable(f"; {line.text.expandtabs()}{place}"), "dim")
        target = f" <{each.target}>" if each.target else ""
        text = f"{each.operation} {each.operands}".rstrip() + target
        output.line(printable(f"{each.address - function.address:4x}: {text}"))
        if opcodes:
            output.line(f"      {hex_bytes(each.code)}", "dim")


def _print_bytes(output: Output, function: MachineFunction) -> None:
    output.line(f"{function.address:#x}: {len(function.code)} bytes", "bold")
    for offset in range(0, len(function.code), 16):
        output.line(f"{offset:6x}:  {hex_bytes(function.code[offset : offset + 16])}")
