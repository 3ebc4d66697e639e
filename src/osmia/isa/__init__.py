"""The BPF instruction set (RFC 9669): decode, encode, print, assemble and analyse code.

The assembler, the disassembler and the analyses are imported when they are first used.
"""

from __future__ import annotations

from osmia.isa.instruction import Instruction, LoneSlot
from osmia.isa.packing import decode, decode_one, encode, walk
from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.isa.assembler import Assembly, assemble, parse_assembly
    from osmia.isa.cfg import BasicBlock, ControlFlow, control_flow, flow_of
    from osmia.isa.constants import KnownValues, known_values
    from osmia.isa.disassembler import disassemble, format_instruction
    from osmia.isa.forms import Form, form_of
    from osmia.isa.helper_functions import HELPERS, HelperFunction, helper_id
    from osmia.isa.lattice import Pointer
    from osmia.isa.liveness import Liveness, live_registers, registers_read, registers_written
    from osmia.isa.state import State

__all__ = [
    "HELPERS",
    "Assembly",
    "BasicBlock",
    "ControlFlow",
    "Form",
    "HelperFunction",
    "Instruction",
    "KnownValues",
    "Liveness",
    "LoneSlot",
    "Pointer",
    "State",
    "assemble",
    "control_flow",
    "decode",
    "decode_one",
    "disassemble",
    "encode",
    "flow_of",
    "form_of",
    "format_instruction",
    "helper_id",
    "known_values",
    "live_registers",
    "parse_assembly",
    "registers_read",
    "registers_written",
    "walk",
]

__getattr__ = on_demand(
    __name__,
    {
        ".assembler": "Assembly assemble parse_assembly",
        ".cfg": "BasicBlock ControlFlow control_flow flow_of",
        ".constants": "KnownValues known_values",
        ".disassembler": "disassemble format_instruction",
        ".forms": "Form form_of",
        ".helper_functions": "HELPERS HelperFunction helper_id",
        ".lattice": "Pointer",
        ".liveness": "Liveness live_registers registers_read registers_written",
        ".state": "State",
    },
)
