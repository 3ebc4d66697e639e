"""What an input's relocations name in the output."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.errors import LinkError
from osmia.object.model import DataKind, Function, Map, Object, Relocation, RelocationKind
from osmia.object.sections import TEXT
from osmia.object.uapi import MapType
from osmia.passes.linking.placement import Placement
from osmia.passes.linking.symbols import Definition, Symbols, What, where
from osmia.records import dataclass

_PSEUDO_FUNC = 4  # source register of ld_imm64: a function's address (BPF_PSEUDO_FUNC)


@dataclass(frozen=True, slots=True)
class References:
    """Renames what input number `input` refers to, and binds its externs that have a definition."""

    input: int
    objects: Sequence[Object]
    symbols: Symbols
    placements: Sequence[Placement]

    def moved(self, relocation: Relocation) -> Relocation:
        """A relocation of the input as the output has it; its own offset stays."""
        placement, target = self.placements[self.input], relocation.target
        match relocation.kind:
            case RelocationKind.DATA:
                section, addend = placement.moved(target, relocation.addend)
                return relocation._replace(target=section, addend=addend)
            case RelocationKind.CALL | RelocationKind.FUNCTION:
                found = placement.functions.get(target)
            case RelocationKind.MAP:  # or a struct_ops, which becomes one
                found = placement.maps.get(target) or placement.variables.get(target)
            case RelocationKind.JUMP_TABLE:
                found = placement.jump_tables.get(target)
            case RelocationKind.EXTERN | RelocationKind.EXTERN_CALL:
                symbol = self.symbols.get(target)
                winner = symbol.winner if symbol is not None else None
                return relocation if winner is None else self._bound(relocation, winner)
            case _:
                return relocation
        return relocation if found is None else relocation._replace(target=found)

    def _bound(self, relocation: Relocation, winner: Definition) -> Relocation:
        """A relocation that names an extern, by what defines it."""
        offset, kind, target, addend, size = relocation
        called = kind is RelocationKind.EXTERN_CALL
        placement = self.placements[winner.input]
        if called and winner.what is not What.FUNCTION:
            raise LinkError(
                f"{where(self.objects[self.input])} calls {target!r}, which is a"
                f" {winner.what.value} in {where(self.objects[winner.input])}"
            )
        match winner.what:
            case What.FUNCTION:
                key = placement.functions.get(winner.key, winner.key)
                kind = RelocationKind.CALL if called else RelocationKind.FUNCTION
                return Relocation(offset, kind, key, addend, size)
            case What.MAP:
                return Relocation(offset, RelocationKind.MAP, winner.key, addend, size)
        section = self.objects[winner.input].data_sections[winner.section]
        if section.kind is DataKind.STRUCT_OPS:
            return Relocation(offset, RelocationKind.MAP, winner.key, addend, size)
        variable = section.variables[winner.key]
        place = variable.offset + placement.bases[section.name] + addend
        return Relocation(offset, RelocationKind.DATA, section.name, place, size)

    def of_slot(self, definition: Map, name: str) -> str:
        """What a slot of a map of the input names: a map or a program."""
        obj, placement = self.objects[self.input], self.placements[self.input]
        symbol = self.symbols.get(name) if name in obj.externs else None
        winner = symbol.winner if symbol is not None else None
        if winner is None:
            return placement.of_slot(obj, name)
        wanted = What.FUNCTION if definition.type is MapType.PROG_ARRAY else What.MAP
        if winner.what is not wanted or winner.section == TEXT:
            raise LinkError(
                f"map {definition.name!r} of {where(obj)} is to hold {name!r}, which is a"
                f" {winner.what.value} in {where(self.objects[winner.input])} ({winner.section})"
            )
        return winner.key

    def in_code(self, function: Function) -> bytes:
        """The function's code. Loads of an extern function's address are marked as such, since a
        compiler does not know that it is one."""
        loads = [
            each.offset
            for each in function.relocations
            if each.kind is RelocationKind.EXTERN
            and self.moved(each).kind is RelocationKind.FUNCTION
        ]
        if not loads:
            return function.code
        code = bytearray(function.code)
        little = self.objects[self.input].byteorder == "little"
        for offset in loads:
            registers = code[offset + 1]
            code[offset + 1] = (
                registers & 0x0F | _PSEUDO_FUNC << 4 if little else registers & 0xF0 | _PSEUDO_FUNC
            )
        return bytes(code)
