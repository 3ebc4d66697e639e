"""`osmia inspect`: what an object holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from osmia.btf import declaration, format_type
from osmia.cli.code import described_code, print_code
from osmia.cli.compile import given, takes_compiler_options
from osmia.cli.json_values import typed
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, enum_name, printable, shortened
from osmia.cli.sources import open_source
from osmia.cli.typed_text import typed_text
from osmia.formats.listing import list_function
from osmia.object import DataSection, Extern, Function, Linkage, Map, Object, Program
from osmia.values.meant import meant_codec

#: Characters of an initial value in a table; -v shows all.
_VALUE_WIDTH = 60

Description = dict[str, Any]


@click.command("inspect", cls=Verb, json=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-d", "--disasm", is_flag=True, help="Also the code, with its source lines.")
@click.option("-p", "--prog", "names", multiple=True, help="Disassemble this function only.")
@click.option("--opcodes", is_flag=True, help="With --disasm: the instructions' bytes, too.")
@takes_compiler_options
@pass_output
def inspect_command(
    output: Output,
    /,
    file: Path,
    disasm: bool,
    names: tuple[str, ...],
    opcodes: bool,
    **compiler: Any,
) -> None:
    """Show what FILE (an object or C source) holds: programs, maps, globals, externs.

    Needs no kernel and no privileges.
    """
    obj = open_source(file, **given(compiler))
    functions = _functions(obj, names) if disasm or names else []
    described = describe(obj)
    if output.json:
        if functions:
            described["code"] = {
                name: described_code(
                    list_function(obj, name), opcodes=opcodes, byteorder=obj.byteorder
                )
                for name in functions
            }
        output.document(described)
        return
    if not names:
        _print(output, obj, described)
    for name in functions:
        output.line()
        print_code(output, list_function(obj, name), opcodes=opcodes)


def describe(obj: Object) -> Description:
    """An object as JSON has it."""
    entries = {program.function for program in obj.programs.values()}
    others = {key: each for key, each in obj.functions.items() if key not in entries}
    return {
        "name": obj.name,
        "path": obj.path,
        "dialect": obj.dialect,
        "license": obj.license,
        "byteorder": obj.byteorder,
        "instructions": sum(each.instruction_count for each in obj.functions.values()),
        "btf_types": len(obj.btf) if obj.btf is not None else 0,
        "programs": [_program(obj, program) for program in obj.programs.values()],
        "subprograms": [_subprogram(key, each) for key, each in others.items()],
        "maps": [_map(obj, each) for each in obj.maps.values()],
        "data": [_section(section) for section in obj.data_sections.values()],
        "jump_tables": [
            {"name": table.name, "function": table.function, "targets": list(table.targets)}
            for table in obj.jump_tables.values()
        ],
        "globals": list(_globals(obj)),
        "externs": [_extern(obj, extern) for extern in obj.externs.values()],
    }


def _subprogram(key: str, function: Function) -> Description:
    return {
        "name": key,
        "section": function.section,
        "linkage": enum_name(function.linkage) + (" weak" if function.weak else ""),
        "instructions": function.instruction_count,
    }


def _section(section: DataSection) -> Description:
    return {
        "name": section.name,
        "kind": section.kind.value,
        "size": len(section.contents),
        "variables": len(section.variables),
    }


def _extern(obj: Object, extern: Extern) -> Description:
    return {
        "name": extern.name,
        "kind": extern.kind.value,
        "type": _declared(obj, extern.type_id, extern.name),
        "weak": extern.weak,
    }


def _functions(obj: Object, names: tuple[str, ...]) -> list[str]:
    return [obj.find_function(name) for name in names] or list(obj.functions)


def _program(obj: Object, program: Program) -> Description:
    attach = program.expected_attach_type
    return {
        "name": program.name,
        "section": program.section,
        "type": enum_name(program.type),
        "attach_type": None if attach is None else enum_name(attach),
        "instructions": obj.functions[program.function].instruction_count,
        "calls": list(obj.callees(program.function)),
        "autoload": program.autoload,
        "autoattach": program.auto_attach,
    }


def _map(obj: Object, each: Map) -> Description:
    return {
        "name": each.name,
        "type": enum_name(each.type),
        "key": _type(obj, each.key_type_id),
        "bytes_key": each.key_size,
        "value": _type(obj, each.value_type_id),
        "bytes_value": each.value_size,
        "max_entries": each.max_entries,
        "flags": int(each.flags),
        "pinned": bool(each.pinning),
    }


def _globals(obj: Object) -> Any:
    values = obj.data
    for section in obj.data_sections.values():
        for key, variable in section.variables.items():
            if key not in values:
                continue
            yield {
                "name": key,
                "symbol": variable.name,
                "section": section.name,
                "type": _declared(obj, variable.type_id, variable.name) or f"{variable.size} bytes",
                "size": variable.size,
                "static": variable.linkage is Linkage.STATIC,
                "value": typed(values.slot(key).codec, values[key]),
            }


def _value_text(obj: Object, name: str) -> str:
    codec = meant_codec(obj.data.slot(name).codec, name)
    return typed_text(codec, obj.data[name])


def _type(obj: Object, type_id: int) -> str | None:
    return format_type(obj.btf, type_id) if obj.btf is not None and type_id else None


def _declared(obj: Object, type_id: int, name: str) -> str | None:
    return declaration(obj.btf, type_id, name) if obj.btf is not None and type_id else None


def _print(output: Output, obj: Object, told: Description) -> None:
    where = told["path"] or told["name"]
    output.line(printable(f"{where}: BPF object"), "bold")
    shown = ("license", "dialect", "byteorder", "instructions", "btf_types")
    output.fields({name: told[name] for name in shown})
    _part(output, told["programs"], ("name", "section", "type", "attach_type", "instructions"))
    _part(output, told["subprograms"], ("name", "section", "linkage", "instructions"), "functions")
    maps = [
        {
            **each,
            "key": each["key"] or each["bytes_key"],
            "value": each["value"] or each["bytes_value"],
            "flags": f"{each['flags']:#x}" if each["flags"] else None,
        }
        for each in told["maps"]
    ]
    _part(output, maps, ("name", "type", "key", "value", "max_entries", "flags", "pinned"), "maps")
    _part(output, told["data"], ("name", "kind", "size", "variables"), "data sections")
    tables = [
        {**each, "entries": len(each["targets"]), "targets": len(set(each["targets"]))}
        for each in told["jump_tables"]
    ]
    _part(output, tables, ("name", "function", "entries", "targets"), "jump tables")
    width = None if output.verbose else _VALUE_WIDTH
    variables = [
        {
            "name": each["name"],
            "declaration": each["type"],
            "section": each["section"],
            "value": shortened(_value_text(obj, each["name"]), width),
        }
        for each in told["globals"]
    ]
    # A declaration has the symbol's name, which several may have.
    told_apart = any(each["name"] != each["symbol"] for each in told["globals"])
    columns = ("declaration", "section", "value")
    _part(output, variables, ("name", *columns) if told_apart else columns, "globals")
    _part(output, told["externs"], ("name", "kind", "type", "weak"), "externs")


def _part(
    output: Output,
    things: list[Description],
    columns: tuple[str, ...],
    heading: str = "programs",
) -> None:
    if things:
        output.heading(heading)
        titles = [column.replace("_", " ") for column in columns]
        output.table(titles, ([each[column] for column in columns] for each in things))
