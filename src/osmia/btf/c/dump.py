"""Types as compilable C: vmlinux.h from the kernel's BTF, or some types with what they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from osmia.btf.c.bodies import Bodies
from osmia.btf.c.order import WHOLE, Order, Step
from osmia.btf.layout import kind_in
from osmia.btf.reader import BTF
from osmia.btf.types import (
    COMPOSITES,
    ENUMS,
    DeclTag,
    Enum,
    Enum64,
    Func,
    Fwd,
    Kind,
    Struct,
    Typedef,
    Union,
    Var,
)

#: Sources test for __VMLINUX_H__ and BPF_NO_PRESERVE_ACCESS_INDEX; the names are bpftool's.
_HEAD = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

"""
_TAIL = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""
_END = "#endif /* __VMLINUX_H__ */\n"
#: Functions that programs may call; sources that declare them otherwise say the first macro.
_KFUNCS = """\
#ifndef BPF_NO_KFUNC_PROTOTYPES
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
{}#endif

"""
_KFUNC_TAG = "bpf_kfunc"

#: C23 made keywords of what the kernel defines.
_BEFORE_C23 = "#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L\n{}#endif\n\n"
_C23_KEYWORDS = frozenset({"bool", "true", "false"})

#: A typedef that the compiler has built in, and differently: BPF's is a pointer.
_BUILTIN = "__builtin_va_list"

_DUMPED = COMPOSITES | ENUMS | {Kind.TYPEDEF, Kind.FWD}


def dump_c(btf: BTF, ids: Iterable[int] | None = None, *, header: bool = True) -> Iterator[str]:
    """C source of types, piece by piece, each with what it needs before it.

    Without `ids`, all structs, unions, enumerations and typedefs. `ids` may also name
    functions and variables, which become `extern` declarations. With `header` the whole
    is an include file: an include guard, and CO-RE access to every record.

    Sizes and offsets are those of the BTF when the C is compiled for BPF. Types that
    share a name get the suffixes ___2, ___3, …; names that are none in C are changed.

    Raises ObjectFormatError for types that contain themselves, are nested too deeply,
    or whose text would be out of proportion.
    """
    if header:
        yield _HEAD
    dump = _Dump(btf)
    yield from dump.text(ids)
    if header:
        yield _TAIL if ids is not None else _TAIL.replace(_END, "") + dump.kfuncs() + _END


class _Dump:
    def __init__(self, btf: BTF) -> None:
        self._btf = btf
        self._bodies = Bodies(btf)
        self._spelling = self._bodies.spelling
        self._spelling.identifiers.give(_BUILTIN)
        self._order = Order(btf)
        self._declared: set[str] = set()

    def text(self, ids: Iterable[int] | None) -> Iterator[str]:
        kind_of = self._btf.kind_of
        wanted = ids if ids is not None else _all_ids(self._btf)
        anonymous_enums = []
        for type_id in wanted:
            if kind_of(type_id) in ENUMS and not self._btf.name_of(type_id):
                anonymous_enums.append(type_id)
            for step in self._order.steps(type_id):
                yield from self._write(step)
        # Only now is it known which of them stand within another type.
        for type_id in anonymous_enums:
            if type_id not in self._bodies.inlined_enums:
                found = self._btf.type(type_id)
                assert isinstance(found, Enum | Enum64)
                yield self._enum(found)

    def kfuncs(self) -> str:
        """Prototypes of the functions that the BTF has marked as kfuncs (kernels since 6.10)."""
        btf, lines = self._btf, []
        if btf.string_offset(_KFUNC_TAG) is not None:
            for type_id in btf.ids_of_kind(Kind.DECL_TAG):
                tag = btf.type(type_id)
                if isinstance(tag, DeclTag) and tag.name == _KFUNC_TAG:
                    found = btf.type(tag.type_id)
                    if isinstance(found, Func):
                        name = self._spelling.name_of(found)
                        declared = self._spelling.declare(found.type_id, name)
                        lines.append(f"extern {declared} __weak __ksym;\n")
        return _KFUNCS.format("".join(lines)) if lines else ""

    def _write(self, step: Step) -> Iterator[str]:
        found = self._btf.type(step >> 1)
        match found:
            case Struct() | Union() if step & WHOLE:
                self._declared.add(self._spelling.name_of(found))
                yield self._bodies.definition(found) + ";\n\n"
            case Struct() | Union() | Fwd():
                yield from self._declare(self._spelling.name_of(found))
            case Enum() | Enum64():
                yield self._enum(found)
            case Typedef() if not step & WHOLE:
                yield from self._typedef(found)
            case Func() | Var():
                name = self._spelling.name_of(found)
                yield f"extern {self._spelling.declare(found.type_id, name)};\n\n"

    def _declare(self, name: str) -> Iterator[str]:
        if name not in self._declared:
            self._declared.add(name)
            yield f"{name};\n\n"

    def _enum(self, found: Enum | Enum64) -> str:
        text = self._bodies.definition(found) + ";\n"
        keywords = any(value.name in _C23_KEYWORDS for value in found.values)
        return _BEFORE_C23.format(text) if keywords else text + "\n"

    def _typedef(self, found: Typedef) -> Iterator[str]:
        name = self._spelling.name_of(found)
        text = f"typedef {self._spelling.declare(found.target, name)};\n"
        yield _BEFORE_C23.format(text) if name in _C23_KEYWORDS else text + "\n"


def _all_ids(btf: BTF) -> Iterator[int]:
    """What stands on its own; anonymous structs stand where they are used."""
    if btf.base is not None:
        yield from _all_ids(btf.base)
    words, starts = btf.records()
    for type_id, start in enumerate(starts, btf.first_id):
        kind = kind_in(words[start + 1])
        if kind in _DUMPED and (kind not in COMPOSITES or btf.string(words[start])):
            yield type_id
