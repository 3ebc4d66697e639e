"""CO-RE access strings: which field, type or enumerator a relocation is about.

A *spec* is a path from a type through members and array elements ("0:1:2"), read off the
object's own BTF and then followed in the kernel's. Rules as in tools/lib/bpf/relo_core.c.
"""

from __future__ import annotations

from osmia.btf.core.match import (
    essential_name,
    fields_are_compatible,
    types_are_compatible,
    types_match,
)
from osmia.btf.reader import BTF
from osmia.btf.types import (
    Array,
    Enum,
    Enum64,
    Int,
    IntEncoding,
    Member,
    Struct,
    Union,
)
from osmia.errors import ObjectFormatError
from osmia.records import dataclass, replace

#: As many steps as an access string may have, and members a path may go through.
MAX_STEPS = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One step: member `index` of `type_id`, or with no `name` element `index` of an array."""

    type_id: int
    index: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """A path in `btf` from `root` on; `bit_offset` counts from the root's start.

    `raw` are the numbers of its access string, those of anonymous members included, which
    are no steps.
    """

    btf: BTF
    root: int
    steps: tuple[Step, ...] = ()
    bit_offset: int = 0
    raw: tuple[int, ...] = ()

    def step(self, step: Step, bits: int) -> Spec:
        """The path with one more step, `bits` further."""
        return replace(
            self,
            steps=(*self.steps, step),
            bit_offset=self.bit_offset + bits,
            raw=(*self.raw, step.index),
        )

    def inside(self, index: int, bits: int) -> Spec:
        """The path into the anonymous member `index`, `bits` further."""
        return replace(self, bit_offset=self.bit_offset + bits, raw=(*self.raw, index))


@dataclass(slots=True)
class FieldShape:
    """Where a field lies and how it is loaded; sizes and offsets in bytes but where bits.

    `load_size` is what one load of it has: an element's size for an array, 0 for a bitfield.
    """

    byte_offset: int
    byte_size: int
    bit_offset: int
    bit_size: int
    bitfield: bool
    type_id: int
    signed: bool
    load_size: int = 0


def parse_indexes(access: str, btf: BTF) -> list[int]:
    """The numbers of an access string."""
    parts = access.split(":")
    if len(parts) > MAX_STEPS or not all(part.isascii() and part.isdigit() for part in parts):
        raise ObjectFormatError(
            f"CO-RE access string {access!r:.80} is not possible", file=btf.name
        )
    return [int(part) for part in parts]


def parse_type(btf: BTF, type_id: int, access: str) -> Spec:
    """The spec of a relocation about a whole type; `access` must be "0"."""
    if access != "0":
        raise ObjectFormatError(f"CO-RE: a type with access string {access!r:.80}", file=btf.name)
    return Spec(btf, type_id)


def parse_enumerator(btf: BTF, type_id: int, access: str) -> Spec:
    """The spec of one enumerator; its index is the only number."""
    indexes = parse_indexes(access, btf)
    resolved = btf.resolve(type_id)
    kind = btf.type(resolved)
    if not isinstance(kind, Enum | Enum64) or len(indexes) != 1 or indexes[0] >= len(kind.values):
        raise _no_field(btf, type_id, access)
    return Spec(btf, type_id, (Step(resolved, indexes[0], kind.values[indexes[0]].name),))


def parse_field(btf: BTF, type_id: int, access: str) -> Spec:
    """The spec of a field. The first number indexes an array of the root type."""
    indexes = parse_indexes(access, btf)
    current = btf.resolve(type_id)
    bits = indexes[0] * btf.size_of(current) * 8
    spec = Spec(btf, type_id, (Step(current, indexes[0]),), bits, (indexes[0],))
    for index in indexes[1:]:
        current = btf.resolve(current)
        match btf.type(current):
            case Struct() | Union() as parent if index < len(parent.members):
                member = parent.members[index]
                if member.name:
                    spec = spec.step(Step(current, index, member.name), member.bit_offset)
                else:
                    spec = spec.inside(index, member.bit_offset)
                current = member.type_id
            case Array() as array if index < array.count or _is_flexible(spec, array):
                current = btf.resolve(array.element)
                spec = spec.step(Step(current, index), index * btf.size_of(current) * 8)
            case _:
                raise _no_field(btf, type_id, access)
    return spec


def _is_flexible(spec: Spec, array: Array) -> bool:
    """Whether the array just reached is its struct's last member, of no length of its own."""
    last = spec.steps[-1]
    if not last.name or array.count:
        return False
    parent = spec.btf.type(last.type_id)
    return isinstance(parent, Struct | Union) and last.index == len(parent.members) - 1


def match_type(local: Spec, target: BTF, target_id: int, *, exactly: bool) -> Spec | None:
    """The kernel's type, if it is compatible (or matches: `exactly`)."""
    relation = types_match if exactly else types_are_compatible
    fits = relation(local.btf, local.root, target, target_id)
    return Spec(target, target_id) if fits else None


def match_enumerator(local: Spec, target: BTF, target_id: int) -> Spec | None:
    """The enumerator of the same name, flavours aside."""
    resolved = target.resolve(target_id)
    kind = target.type(resolved)
    if not isinstance(kind, Enum | Enum64):
        return None
    wanted = essential_name(local.steps[0].name)
    for index, value in enumerate(kind.values):
        if essential_name(value.name) == wanted:
            return Spec(target, target_id, (Step(resolved, index, value.name),))
    return None


def match_field(local: Spec, target: BTF, target_id: int) -> Spec | None:
    """The same path, by member names, in the kernel's type; None where it ends early."""
    spec = Spec(target, target_id)
    current = target_id
    for number, step in enumerate(local.steps):
        current = target.resolve(current)
        if step.name:
            found = _match_member(local.btf, step, spec, current)
            if found is None:
                return None
            spec, current = found
            continue
        if number:
            array = target.type(current)
            if not isinstance(array, Array):
                return None
            if step.index >= array.count and not _is_flexible(spec, array):
                return None
            current = target.resolve(array.element)
        if len(spec.raw) >= MAX_STEPS:
            raise ObjectFormatError("CO-RE: types are nested too deeply", file=target.name)
        spec = spec.step(Step(current, step.index), step.index * target.size_of(current) * 8)
    return spec


def _match_member(
    local: BTF, step: Step, spec: Spec, type_id: int, depth: int = 0
) -> tuple[Spec, int] | None:
    """The path one member further and that member's type; anonymous members are entered."""
    if depth > MAX_STEPS or len(spec.raw) >= MAX_STEPS:
        raise ObjectFormatError("CO-RE: types are nested too deeply", file=spec.btf.name)
    parent = spec.btf.type(spec.btf.resolve(type_id))
    if not isinstance(parent, Struct | Union):
        return None
    for index, member in enumerate(parent.members):
        if not member.name:
            inside = spec.inside(index, member.bit_offset)
            found = _match_member(local, step, inside, member.type_id, depth + 1)
            if found is not None:
                return found
        elif member.name == step.name:
            if not _member_fits(local, step, spec.btf, member):
                return None
            return spec.step(Step(parent.id, index, member.name), member.bit_offset), member.type_id
    return None


def _member_fits(local: BTF, step: Step, target: BTF, member: Member) -> bool:
    parent = local.type(step.type_id)
    assert isinstance(parent, Struct | Union)
    return fields_are_compatible(local, parent.members[step.index].type_id, target, member.type_id)


def element_of(spec: Spec) -> int | None:
    """The type of an array element (or the root itself), when the path ends in one."""
    last = spec.steps[-1]
    return None if last.name else last.type_id


def shape_of(spec: Spec) -> FieldShape:
    """How the member at the path's end is laid out and loaded."""
    last, btf = spec.steps[-1], spec.btf
    parent = btf.type(last.type_id)
    if not isinstance(parent, Struct | Union):
        raise ObjectFormatError("CO-RE: a path that ends in no member", file=btf.name)
    member = parent.members[last.index]
    type_id = btf.resolve(member.type_id)
    kind = btf.type(type_id)
    size = btf.size_of(type_id)
    bits = spec.bit_offset
    signed = (isinstance(kind, Int) and bool(kind.encoding & IntEncoding.SIGNED)) or (
        isinstance(kind, Enum | Enum64) and kind.signed
    )
    if not member.bitfield_size:
        load_size = load_size_of(btf, type_id)
        return FieldShape(bits // 8, size, bits, size * 8, False, type_id, signed, load_size)
    if not size:
        raise ObjectFormatError("CO-RE: a bitfield in a type of 0 bytes", file=btf.name)
    start = bits // 8 // size * size
    # The smallest integer that holds all of the bitfield.
    while bits + member.bitfield_size - start * 8 > size * 8:
        if size >= 8:
            raise ObjectFormatError("CO-RE: a bitfield across 8 bytes", file=btf.name)
        size *= 2
        start = bits // 8 // size * size
    return FieldShape(start, size, bits, member.bitfield_size, True, type_id, signed)


def load_size_of(btf: BTF, type_id: int) -> int:
    """The size of what a load of this type reads: nobody loads an array, but its elements."""
    element = btf.resolve(type_id)
    for _ in range(MAX_STEPS):
        found = btf.type(element)
        if not isinstance(found, Array):
            return btf.size_of(element)
        element = btf.resolve(found.element)
    raise ObjectFormatError(f"CO-RE: type {type_id} is nested too deeply", file=btf.name)


def enumerator_value(spec: Spec, *, signed: bool | None = None) -> int:
    """The enumerator's value.

    Kernels' BTF before 6.0 does not say which enumerations have negative values; `signed`
    tells how to read 32 bits instead, usually as in the object's own BTF.
    """
    kind = spec.btf.type(spec.steps[0].type_id)
    assert isinstance(kind, Enum | Enum64)
    value = kind.values[spec.steps[0].index].value
    if signed and isinstance(kind, Enum) and value >= 1 << 31:
        value -= 1 << 32
    return value


def _no_field(btf: BTF, type_id: int, access: str) -> ObjectFormatError:
    return ObjectFormatError(
        f"CO-RE: type {type_id} ({btf.name_of(type_id) or 'anonymous'}) has no {access!r:.80}",
        file=btf.name,
    )
