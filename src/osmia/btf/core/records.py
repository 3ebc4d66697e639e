"""CO-RE records by kind: what each asks, read off the object's types and found in others."""

from __future__ import annotations

from typing import Protocol

from osmia.btf.core.kinds import CoreKind
from osmia.btf.core.spec import (
    Spec,
    match_enumerator,
    match_field,
    match_type,
    parse_enumerator,
    parse_field,
    parse_type,
)
from osmia.btf.reader import BTF

CORE_KINDS = frozenset(CoreKind)
FIELD_KINDS = range(CoreKind.FIELD_BYTE_OFFSET, CoreKind.FIELD_RSHIFT_U64 + 1)
TYPE_KINDS = frozenset(
    {
        CoreKind.TYPE_ID_LOCAL,
        CoreKind.TYPE_ID_TARGET,
        CoreKind.TYPE_EXISTS,
        CoreKind.TYPE_SIZE,
        CoreKind.TYPE_MATCHES,
    }
)


class CoreRecord(Protocol):
    """What a record says: `access` is a path from the type `type_id` of the object's BTF on."""

    @property
    def kind(self) -> int: ...

    @property
    def type_id(self) -> int: ...

    @property
    def access(self) -> str: ...


def parse_record(btf: BTF, kind: CoreKind, type_id: int, access: str) -> Spec:
    """The path that a record of `kind` means; ObjectFormatError for one that leads nowhere."""
    if kind in FIELD_KINDS:
        return parse_field(btf, type_id, access)
    if kind in TYPE_KINDS:
        return parse_type(btf, type_id, access)
    return parse_enumerator(btf, type_id, access)


def described(btf: BTF, kind: CoreKind, type_id: int, access: str) -> str:
    """What a record asks for: "task_struct.comm", "enumerator A of e", "task_struct"."""
    root = btf.name_of(type_id)
    steps = parse_record(btf, kind, type_id, access).steps
    if kind in FIELD_KINDS:
        return "".join([root, *(f".{s.name}" if s.name else f"[{s.index}]" for s in steps[1:])])
    return root if kind in TYPE_KINDS else f"enumerator {steps[0].name} of {root}"


def match_record(kind: CoreKind, local: Spec, target: BTF, type_id: int) -> Spec | None:
    """The same path from the type `type_id` of another BTF on; None where there is none."""
    if kind in FIELD_KINDS:
        return match_field(local, target, type_id)
    if kind in TYPE_KINDS:
        return match_type(local, target, type_id, exactly=kind is CoreKind.TYPE_MATCHES)
    return match_enumerator(local, target, type_id)
