"""What an impossible call in a verifier log stands for, in words.

Where a relocation has no answer the code gets a call that no kernel knows, which does no
harm unless it can be reached. If it can, the verifier says "invalid func unknown#195896080";
this module says which field, map or function is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from osmia.btf import BTF
from osmia.btf.core.records import FIELD_KINDS
from osmia.btf.core.spec import parse_enumerator, parse_field
from osmia.errors import ObjectFormatError, VerifierError
from osmia.kernel.load.image import POISONED_MAP
from osmia.object.model import CoreKind, CoreRelocation, Object
from osmia.passes.core import POISON
from osmia.passes.externs import POISONED_KFUNC, extern_order
from osmia.passes.layout import ProgramLayout

_CALL = re.compile(r"^(\d+): \(85\) call unknown#(\d+)", re.MULTILINE)


def explained(
    error: VerifierError, source: Object, layout: ProgramLayout, skipped: Mapping[str, int]
) -> VerifierError:
    """`error`, or one that says what is missing when the log ends at an impossible call.

    `source` is the object before externs and CO-RE were resolved, `skipped` the numbers of
    the maps that were not made.
    """
    calls = _CALL.findall(error.log)
    if not calls or "invalid func unknown#" not in error.log:
        return error
    slot, number = map(int, calls[-1])
    words = _meaning(number, slot, source, layout, skipped)
    if not words:
        return error
    place, _, _ = error.summary.rpartition(": invalid func unknown#")
    summary = f"{place}: {words}" if place else words
    return VerifierError(error.errno or 0, error.program, summary, error.log, error.tail)


def _meaning(
    number: int, slot: int, source: Object, layout: ProgramLayout, skipped: Mapping[str, int]
) -> str:
    if number == POISON:
        return _missing_type(slot, source, layout)
    for name, index in skipped.items():
        if number == POISONED_MAP + index:
            return f"map {name!r} is used here, and autocreate is off"
    names = extern_order(source)
    index = number - POISONED_KFUNC
    if 0 <= index < len(names):
        return f"this kernel has no function {names[index]!r} that fits the declaration"
    return ""


def _missing_type(slot: int, source: Object, layout: ProgramLayout) -> str:
    """What the CO-RE record of the instruction at `slot` asked for."""
    start, name = max(entry for entry in layout.functions if entry[0] <= slot)
    offset = 8 * (slot - start)
    for record in source.functions[name].core_relocations:
        if record.offset in (offset, offset - 8) and source.btf is not None:
            return f"CO-RE: the kernel's types have no {described(source.btf, record)}"
    return ""


def described(btf: BTF, record: CoreRelocation) -> str:
    """A record in words: "task_struct.comm", "enumerator BPF_MAP_TYPE_HASH of bpf_map_type"."""
    root = btf.name_of(record.type_id)
    try:
        if record.kind in FIELD_KINDS:
            steps = parse_field(btf, record.type_id, record.access).steps
            return "".join([root, *(f".{s.name}" if s.name else f"[{s.index}]" for s in steps[1:])])
        if record.kind in (CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE):
            step = parse_enumerator(btf, record.type_id, record.access).steps[0]
            return f"enumerator {step.name} of {root}"
    except ObjectFormatError:
        pass
    return root
