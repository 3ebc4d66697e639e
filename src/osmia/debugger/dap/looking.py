"""Requests that look at a program which stands still, and change what is seen."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from osmia.debugger.dap import nodes
from osmia.debugger.dap.debuggee import Debuggee
from osmia.debugger.dap.stack import Place, code_address, code_place, program_of
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.expression import Expression, execute
from osmia.debugger.expressions.names import Entry, MapOperand
from osmia.debugger.expressions.operands import Located
from osmia.debugger.expressions.tokens import split_assignment
from osmia.debugger.listing import instruction_text
from osmia.debugger.values import Variable
from osmia.errors import OsmiaError

Arguments = Mapping[str, Any]
Body = dict[str, Any]

_MOST_MEMORY = 1 << 20
_MOST_INSTRUCTIONS = 10_000


def stack_trace(debuggee: Debuggee, arguments: Arguments) -> Body:
    start, count = int(arguments.get("startFrame") or 0), int(arguments.get("levels") or 0)
    frames = debuggee.stack.shown(max(start, 0), max(count, 0))
    return {"stackFrames": frames, "totalFrames": len(debuggee.stack.places)}


def scopes(debuggee: Debuggee, arguments: Arguments) -> Body:
    place = debuggee.stack[int(arguments["frameId"])]
    session, number = debuggee.session, debuggee.nodes.number
    found: list[tuple[str, nodes.Node, Body]] = [
        ("Locals", nodes.LocalsNode(debuggee.stack.locals(place)), {"presentationHint": "locals"}),
        ("Registers", nodes.RegistersNode(place.frame), {"presentationHint": "registers"}),
        ("Globals", nodes.GlobalsNode(session), {}),
        ("Context", nodes.ContextNode(session), {}),
        ("Packet", nodes.PacketNode(session), {}),
        ("Maps", nodes.MapsNode(session), {"expensive": True}),
    ]
    return {
        "scopes": [
            {"name": name, "variablesReference": number(node), "expensive": False, **hints}
            for name, node, hints in found
        ]
    }


def variables(debuggee: Debuggee, arguments: Arguments) -> Body:
    node = debuggee.nodes[int(arguments["variablesReference"])]
    start = max(int(arguments.get("start") or 0), 0)
    count = min(int(arguments.get("count") or nodes.MOST_CHILDREN), nodes.MOST_CHILDREN)
    if arguments.get("filter") == ("named" if node.indexed else "indexed"):
        return {"variables": []}
    return {"variables": list(node.children(debuggee.nodes, start, count))}


def set_variable(debuggee: Debuggee, arguments: Arguments) -> Body:
    node = debuggee.nodes[int(arguments["variablesReference"])]
    name = str(arguments["name"])
    node.assign(name, str(arguments["value"]))
    shown = node.children(debuggee.nodes, 0, nodes.MOST_CHILDREN)
    now = next((each for each in shown if each["name"] == name), None)
    return {"value": now["value"] if now else str(arguments["value"])}


def evaluate(debuggee: Debuggee, arguments: Arguments) -> Body:
    text = str(arguments["expression"]).strip()
    place = _place(debuggee, arguments)
    if arguments.get("context") == "repl" and split_assignment(text) is not None:
        return _executed(debuggee, place, text)
    shown = _shown(debuggee, place, text)
    shown["result"] = shown.pop("value")
    return shown


def _shown(debuggee: Debuggee, place: Place | None, text: str) -> Body:
    """The value of an expression as a tree that can be opened."""
    known, session = debuggee.nodes, debuggee.session
    expression, variables = Expression(text), _variables(debuggee, place)
    operand = expression.operand(session, place.frame if place else None, variables)
    if isinstance(operand, MapOperand):
        return nodes.show_map(known, session, text, operand.python())
    local = variables is not None and not expression.names.isdisjoint(variables)
    if operand.is_typed and (local or operand.integer is None):
        return nodes.show_variable(known, operand.variable(), text)
    assign = nodes.assigner(session, place.frame.index if place else 0)
    return nodes.show_value(known, text, operand.python(), text, assign)


def _variables(debuggee: Debuggee, place: Place | None) -> dict[str, Variable] | None:
    """What is local in a line of the stack; None where nobody knows."""
    if place is None or debuggee.stack.variables is None:
        return None
    return {each.name: each for each in debuggee.stack.locals(place)}


def set_expression(debuggee: Debuggee, arguments: Arguments) -> Body:
    place, target = _place(debuggee, arguments), str(arguments["expression"])
    result = _executed(debuggee, place, f"{target} = {arguments['value']}")
    return {"value": result["result"]}


def _executed(debuggee: Debuggee, place: Place | None, text: str) -> Body:
    frame, variables = place.frame if place else None, _variables(debuggee, place)
    target = execute(debuggee.session, frame, text, variables)
    shown = _shown(debuggee, place, target)
    return {"result": shown["value"], "variablesReference": 0}


def _place(debuggee: Debuggee, arguments: Arguments) -> Place | None:
    """The line of the stack that is meant: the innermost, where none is."""
    number = arguments.get("frameId")
    if number is not None:
        return debuggee.stack[int(number)]
    return debuggee.stack.places[0] if debuggee.stack.places else None


def data_breakpoint_info(debuggee: Debuggee, arguments: Arguments) -> Body:
    name = str(arguments["name"])
    try:
        what, size = _to_watch(debuggee, arguments, name)
    except (OsmiaError, KeyError) as error:
        return {"dataId": None, "description": str(error)}
    known = debuggee.breakpoints.data
    identifier = next((key for key, each in known.items() if each == (what, size)), "")
    if not identifier:
        identifier = f"{len(known) + 1}:{name}"
        known[identifier] = what, size
    place = f" ({size} bytes at {what:#x})" if isinstance(what, int) else ""
    return {
        "dataId": identifier,
        "description": f"{name}{place}",
        "accessTypes": ["write"],
        "canPersist": False,
    }


def _to_watch(
    debuggee: Debuggee, arguments: Arguments, name: str
) -> tuple[tuple[str, Any] | str | int, int]:
    reference = int(arguments.get("variablesReference") or 0)
    what: tuple[str, Any] | str | int | None
    size = 8
    if reference:
        node = debuggee.nodes[reference]
        what = node.watched(name)
        if isinstance(what, int):
            size = node.watched_size(name)
        if what is None:
            raise DebuggerError(f"{name} has no place that can be watched")
        return what, size
    place = _place(debuggee, arguments)
    frame, variables = place.frame if place else None, _variables(debuggee, place)
    operand = Expression(name).operand(debuggee.session, frame, variables)
    if isinstance(operand, Located) and not isinstance(operand, Entry):
        variable = operand.variable()
        if variable.address is not None:
            return variable.address, variable.type.size
    operand.python()  # or it says why it cannot
    return name, size


def exception_info(debuggee: Debuggee, arguments: Arguments) -> Body:
    fault = debuggee.session.stop.fault
    if fault is None:
        raise DebuggerError("the program did nothing wrong")
    return {
        "exceptionId": type(fault).__name__,
        "description": fault.message,
        "breakMode": "always",
        "details": {"message": str(fault), "typeName": type(fault).__name__},
    }


def source(debuggee: Debuggee, arguments: Arguments) -> Body:
    asked = arguments.get("source")
    asked = asked if isinstance(asked, Mapping) else {}
    reference = int(asked.get("sourceReference") or arguments.get("sourceReference") or 0)
    return {"content": debuggee.sources.text(reference), "mimeType": "text/x-c"}


def loaded_sources(debuggee: Debuggee, arguments: Arguments) -> Body:
    return {"sources": [debuggee.sources.shown(name) for name in debuggee.sources.names]}


# Memory and instructions.


def read_memory(debuggee: Debuggee, arguments: Arguments) -> Body:
    start = _address(arguments)
    count = int(arguments["count"])
    if not 0 <= count <= _MOST_MEMORY:
        raise DebuggerError(f"{count} bytes of memory: {_MOST_MEMORY} are the most")
    data = _memory(debuggee, start, count)
    body: Body = {"address": hex(start), "unreadableBytes": count - len(data)}
    if data:
        body["data"] = base64.b64encode(data).decode()
    return body


def _address(arguments: Arguments) -> int:
    reference = str(arguments["memoryReference"])
    try:
        return int(reference, 0) + int(arguments.get("offset") or 0)
    except ValueError:
        raise DebuggerError(f"{reference!r} is no address") from None


def _memory(debuggee: Debuggee, start: int, count: int) -> bytes:
    """Bytes from an address on, as many as there are."""
    place = code_place(start)
    if place is not None:
        packed = program_of(debuggee.session, place[0]).code.packed
        offset = start - code_address(place[0], 0)
        return bytes(packed[offset : offset + count])
    end = min(count, max(debuggee.session.vm.memory.size - start, 0))
    try:
        return debuggee.session.memory(start, end)
    except DebuggerError:
        return b""


def write_memory(debuggee: Debuggee, arguments: Arguments) -> Body:
    start = _address(arguments)
    data = base64.b64decode(str(arguments["data"]), validate=True)
    debuggee.session.write(start, data)
    return {"bytesWritten": len(data)}


def disassemble(debuggee: Debuggee, arguments: Arguments) -> Body:
    address = _address(arguments)
    place = code_place(address)
    if place is None:
        raise DebuggerError(f"{address:#x} is no instruction")
    number, slot = place
    count = int(arguments["instructionCount"])
    if not 0 <= count <= _MOST_INSTRUCTIONS:
        raise DebuggerError(f"{count} instructions: {_MOST_INSTRUCTIONS} are the most")
    program = program_of(debuggee.session, number)
    slots = [at for at, each in enumerate(program.code.instructions) if each is not None]
    first = sum(1 for at in slots if at < slot) + int(arguments.get("instructionOffset") or 0)
    found = []
    for index in range(first, first + count):
        if 0 <= index < len(slots):
            found.append(_instruction(debuggee, program, number, slots[index]))
        else:
            # The editor wants exactly as many as it asked for.
            where = code_address(number, 0) + 8 * (index - (len(slots) if index > 0 else 0))
            found.append(
                {
                    "address": hex(
                        where + (8 * len(program.code.instructions) if index > 0 else 0)
                    ),
                    "instruction": "(no instruction)",
                    "presentationHint": "invalid",
                }
            )
    return {"instructions": found}


def _instruction(debuggee: Debuggee, program: Any, number: int, slot: int) -> Body:
    code = program.code
    size = 16 if slot + 1 < len(code.instructions) and code.instructions[slot + 1] is None else 8
    found: Body = {
        "address": hex(code_address(number, slot)),
        "instructionBytes": code.packed[8 * slot : 8 * slot + size].hex(" "),
        "instruction": instruction_text(program, slot),
    }
    if slot in code.functions:
        found["symbol"] = code.functions[slot].name
    line = code.line_at(slot)
    if line is not None:
        found["line"] = line.line
        found["location"] = debuggee.sources.shown(line.file)
    return found


REQUESTS: Mapping[str, Callable[[Debuggee, Arguments], Body]] = {
    "stackTrace": stack_trace,
    "scopes": scopes,
    "variables": variables,
    "setVariable": set_variable,
    "evaluate": evaluate,
    "setExpression": set_expression,
    "dataBreakpointInfo": data_breakpoint_info,
    "exceptionInfo": exception_info,
    "source": source,
    "loadedSources": loaded_sources,
    "readMemory": read_memory,
    "writeMemory": write_memory,
    "disassemble": disassemble,
}
