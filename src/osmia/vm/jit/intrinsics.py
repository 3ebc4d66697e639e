"""The intrinsics of native functions (see `osmia.vm.native`) as LLVM IR.

Each emits its IR into the function that is being translated, given its arguments' values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from osmia.vm.jit.emitter import Value, text
from osmia.vm.layout import FRAME_STRIDE, FUNCTION_HANDLE, FUNCTION_HANDLE_SHIFT

if TYPE_CHECKING:
    from osmia.vm.jit.native_code import Translation

Intrinsic = Callable[["Translation", list[Value]], Value]


def _load(size: int) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        return t.body.load(t.body.pointer(arguments[0]), size)

    return emit


def _store(size: int) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        t.body.store(t.body.pointer(arguments[0]), size, arguments[1])
        return 0

    return emit


def _acquire(size: int) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        bits = 8 * size
        place = t.body.pointer(arguments[0])
        value = t.body.value(f"load atomic i{bits}, ptr {place} acquire, align {size}")
        return t.body.wide(value, bits)

    return emit


def _release(size: int) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        bits = 8 * size
        place = t.body.pointer(arguments[0])
        value = t.body.narrow(arguments[1], bits)
        t.body.line(f"store atomic i{bits} {value}, ptr {place} release, align {size}")
        return 0

    return emit


def _swap(size: int) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        bits = 8 * size
        place = t.body.pointer(arguments[0])
        old, new = (t.body.narrow(value, bits) for value in arguments[1:])
        pair = t.body.value(
            f"cmpxchg ptr {place}, i{bits} {old}, i{bits} {new} seq_cst seq_cst, align {size}"
        )
        return t.body.wide(t.body.value(f"extractvalue {{ i{bits}, i1 }} {pair}, 0"), bits)

    return emit


def _field(size: int) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        header, offset = arguments
        assert isinstance(offset, int)
        if isinstance(header, int) and header:
            return t.code.memory.load(header + offset, size)
        return t.body.load(t.body.pointer(header, offset), size)

    return emit


def _move(intrinsic: str) -> Intrinsic:
    def emit(t: Translation, arguments: list[Value]) -> Value:
        target, source = t.body.pointer(arguments[0]), t.body.pointer(arguments[1])
        name = f"llvm.{intrinsic}.p0.p0.i64"
        t.code.declarations.add(f"declare void @{name}(ptr, ptr, i64, i1)")
        size = text(arguments[2])
        t.body.line(f"call void @{name}(ptr {target}, ptr {source}, i64 {size}, i1 false)")
        return 0

    return emit


def _zero(t: Translation, arguments: list[Value]) -> Value:
    t.code.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    place = t.body.pointer(arguments[0])
    size = text(arguments[1])
    t.body.line(f"call void @llvm.memset.p0.i64(ptr {place}, i8 0, i64 {size}, i1 false)")
    return 0


def _clock(t: Translation, arguments: list[Value]) -> Value:
    body = t.body
    t.code.declarations.add("declare i32 @clock_gettime(i32, ptr)")
    place = body.local("[2 x i64]")
    which = body.narrow(arguments[0], 32)
    body.line(f"call i32 @clock_gettime(i32 {which}, ptr {place})")
    seconds = body.value(f"load i64, ptr {place}")
    rest = body.value(f"load i64, ptr {body.value(f'getelementptr i64, ptr {place}, i64 1')}")
    return body.binary("add", body.binary("mul", seconds, 1_000_000_000), rest)


def _entry(t: Translation, entry: Value) -> str:
    """What to call at an entry: a machine address, or, when it is known, the number of
    a dispatcher."""
    if isinstance(entry, int):
        return t.code.attached(t.body, entry)
    return t.body.value(f"inttoptr i64 {entry} to ptr")


def _call_program(t: Translation, arguments: list[Value]) -> Value:
    target = _entry(t, arguments[0])
    frame, context = (text(argument) for argument in arguments[1:])
    passed = f"ptr %base, i64 {frame}, i64 {context}" + ", i64 0" * 4
    return t.body.value(f"call i64 {target}({passed})")


def _call_raw(t: Translation, arguments: list[Value]) -> Value:
    target = _entry(t, arguments[0])
    frame, data, size = (text(argument) for argument in arguments[1:])
    passed = f"ptr %base, i64 {frame}, i64 {data}, i64 {size}" + ", i64 0" * 3
    return t.body.value(f"call i64 {target}({passed})")


def _call_function(t: Translation, arguments: list[Value]) -> Value:
    t.code.has_callbacks = t.code.interrupts = True
    frame = t.body.binary("sub", arguments[0], FRAME_STRIDE)
    rest = ", ".join(f"i64 {text(argument)}" for argument in arguments[2:])
    handle = arguments[1]
    if isinstance(handle, int):
        slot = (handle - FUNCTION_HANDLE) >> FUNCTION_HANDLE_SHIFT
        if slot not in t.code.functions:
            return 0
        return t.body.value(f"call i64 @function_{slot}(ptr %base, i64 {frame}, {rest}, i64 0)")
    return t.body.value(f"call i64 @dispatch(ptr %base, i64 {frame}, i64 {handle}, {rest})")


INTRINSICS: Mapping[str, Intrinsic] = {
    **{f"load{8 * size}": _load(size) for size in (1, 2, 4, 8)},
    **{f"store{8 * size}": _store(size) for size in (1, 2, 4, 8)},
    "acquire32": _acquire(4),
    "acquire64": _acquire(8),
    "release32": _release(4),
    "release64": _release(8),
    "swap32": _swap(4),
    "swap64": _swap(8),
    "field32": _field(4),
    "field64": _field(8),
    "copy": _move("memcpy"),
    "move": _move("memmove"),
    "zero": _zero,
    "region_size": lambda t, arguments: t.code.layout.region_size,
    "map_table": lambda t, arguments: t.code.layout.map_table,
    "replaces_program": lambda t, arguments: int(t.code.layout.tail_calls == "program"),
    "cpu_state": lambda t, arguments: t.body.cpu_state(t.code.layout, arguments[0]),
    "clock": _clock,
    "call_program": _call_program,
    "call_raw": _call_raw,
    "call_function": _call_function,
}
