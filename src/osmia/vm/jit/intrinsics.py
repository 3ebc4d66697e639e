"""The intrinsics of native functions (see `osmia.vm.native`) as LLVM IR.

Each emits its IR into the function that is being translated, given its arguments' values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from osmia.vm.errors import Interrupt
from osmia.vm.jit.constants import Constants
from osmia.vm.jit.emitter import Emitter, Value, VmLayout, text
from osmia.vm.layout import FRAME_STRIDE, FUNCTION_HANDLE, FUNCTION_HANDLE_SHIFT


class Module(Protocol):
    """What a native function reads and notes down of the module that it is in."""

    memory: Constants
    layout: VmLayout
    functions: frozenset[int]
    declarations: set[str]
    has_callbacks: bool
    interrupts: bool

    def call(self, body: Emitter, name: str, arguments: list[Value]) -> Value:
        """Emit a call of another native function."""

    def attached(self, body: Emitter, handle: int) -> str:
        """What to call for the program of a dispatcher."""


Intrinsic = Callable[[Module, Emitter, list[Value]], Value]


def _load(size: int) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        return body.load(body.pointer(arguments[0]), size)

    return emit


def _store(size: int) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        body.store(body.pointer(arguments[0]), size, arguments[1])
        return 0

    return emit


def _acquire(size: int) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        bits = 8 * size
        place = body.pointer(arguments[0])
        value = body.value(f"load atomic i{bits}, ptr {place} acquire, align {size}")
        return body.wide(value, bits)

    return emit


def _release(size: int) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        bits = 8 * size
        place = body.pointer(arguments[0])
        value = body.narrow(arguments[1], bits)
        body.line(f"store atomic i{bits} {value}, ptr {place} release, align {size}")
        return 0

    return emit


def _swap(size: int) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        bits = 8 * size
        place = body.pointer(arguments[0])
        old, new = (body.narrow(value, bits) for value in arguments[1:])
        pair = body.value(
            f"cmpxchg ptr {place}, i{bits} {old}, i{bits} {new} seq_cst seq_cst, align {size}"
        )
        return body.wide(body.value(f"extractvalue {{ i{bits}, i1 }} {pair}, 0"), bits)

    return emit


def _field(size: int) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        header, offset = arguments
        assert isinstance(offset, int)
        if isinstance(header, int) and header:
            return module.memory.load(header + offset, size)
        return body.load(body.pointer(header, offset), size)

    return emit


def _move(intrinsic: str) -> Intrinsic:
    def emit(module: Module, body: Emitter, arguments: list[Value]) -> Value:
        target, source = body.pointer(arguments[0]), body.pointer(arguments[1])
        name = f"llvm.{intrinsic}.p0.p0.i64"
        module.declarations.add(f"declare void @{name}(ptr, ptr, i64, i1)")
        size = text(arguments[2])
        body.line(f"call void @{name}(ptr {target}, ptr {source}, i64 {size}, i1 false)")
        return 0

    return emit


def _zero(module: Module, body: Emitter, arguments: list[Value]) -> Value:
    module.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    place = body.pointer(arguments[0])
    size = text(arguments[1])
    body.line(f"call void @llvm.memset.p0.i64(ptr {place}, i8 0, i64 {size}, i1 false)")
    return 0


def _clock(module: Module, body: Emitter, arguments: list[Value]) -> Value:
    module.declarations.add("declare i32 @clock_gettime(i32, ptr)")
    place = body.local("[2 x i64]")
    which = body.narrow(arguments[0], 32)
    body.line(f"call i32 @clock_gettime(i32 {which}, ptr {place})")
    seconds = body.value(f"load i64, ptr {place}")
    rest = body.value(f"load i64, ptr {body.value(f'getelementptr i64, ptr {place}, i64 1')}")
    return body.binary("add", body.binary("mul", seconds, 1_000_000_000), rest)


def _entry(module: Module, body: Emitter, entry: Value) -> str:
    """What to call at an entry: a machine address, or, when it is known, the number of
    a dispatcher."""
    if isinstance(entry, int):
        return module.attached(body, entry)
    return body.value(f"inttoptr i64 {entry} to ptr")


def _call_program(module: Module, body: Emitter, arguments: list[Value]) -> Value:
    target = _entry(module, body, arguments[0])
    frame, context = (text(argument) for argument in arguments[1:])
    passed = f"ptr %base, i64 {frame}, i64 {context}" + ", i64 0" * 4
    return body.value(f"call i64 {target}({passed})")


def _call_raw(module: Module, body: Emitter, arguments: list[Value]) -> Value:
    target = _entry(module, body, arguments[0])
    frame, data, size = (text(argument) for argument in arguments[1:])
    passed = f"ptr %base, i64 {frame}, i64 {data}, i64 {size}" + ", i64 0" * 3
    return body.value(f"call i64 {target}({passed})")


def _call_function(module: Module, body: Emitter, arguments: list[Value]) -> Value:
    module.has_callbacks = module.interrupts = True
    frame = body.binary("sub", arguments[0], FRAME_STRIDE)
    rest = ", ".join(f"i64 {text(argument)}" for argument in (*arguments[2:], 0))
    handle = arguments[1]
    if isinstance(handle, int):
        slot, odd = divmod(handle - FUNCTION_HANDLE, 1 << FUNCTION_HANDLE_SHIFT)
        if odd or slot not in module.functions:
            return module.call(body, "interrupt", [frame, int(Interrupt.FUNCTION), handle])
        return body.value(f"call i64 @function_{slot}(ptr %base, i64 {frame}, {rest})")
    return body.value(f"call i64 @dispatch(ptr %base, i64 {frame}, i64 {handle}, {rest})")


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
    "region_size": lambda module, body, arguments: module.layout.region_size,
    "map_table": lambda module, body, arguments: module.layout.map_table,
    "replaces_program": lambda module, body, arguments: int(module.layout.tail_calls == "program"),
    "cpu_state": lambda module, body, arguments: body.cpu_state(module.layout, arguments[0]),
    "clock": _clock,
    "call_program": _call_program,
    "call_raw": _call_raw,
    "call_function": _call_function,
}
