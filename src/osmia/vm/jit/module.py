"""A program's module: its functions, the entry that Python calls, callbacks, stubs."""

from __future__ import annotations

from osmia.vm import layout
from osmia.vm.code import Code
from osmia.vm.errors import Interrupt
from osmia.vm.jit.calls import Context
from osmia.vm.jit.emitter import Emitter, Value, function
from osmia.vm.jit.translate import FunctionTranslation

# `one_run` takes the first slice of a run's budget and what is left for further ones. `run`
# takes how often to run too, and when (CLOCK_MONOTONIC, ns) it shall give Python a turn.
_RUN = "ptr %base, i64 %frame, i64 %a1, i64 %a2, i64 %limit, i64 %rest"
_RUNS = f"{_RUN}, i64 %times, i64 %deadline"


def module_text(context: Context, code: Code) -> str:
    """The IR of a program: `program` for tail calls and other programs, `run` for Python."""
    functions = [FunctionTranslation(context, code, one).text() for one in code.functions.values()]
    parts = [
        *functions,
        _one_run(context),
        _run(context),
        _start(context),
        *([_dispatch(context, code)] if context.natives.has_callbacks else []),
        *context.natives.texts,
    ]
    head = "".join(f"{declaration}\n" for declaration in sorted(context.natives.declarations))
    weights = '!0 = !{!"branch_weights", i32 1, i32 1048576}\n'
    return "".join([context.natives.stubs.text(), head, *parts, weights])


def _one_run(context: Context) -> str:
    """Start a run's state, run the program, and the programs that replace it whole."""
    body = Emitter(["entry:"])
    state = body.cpu_state(context.layout, "%frame")
    body.store(body.pointer(state, layout.STATE_TAIL_CALLS), 4, 0)
    body.store(body.pointer(state, layout.STATE_BUDGET), 8, "%limit")
    body.store(body.pointer(state, layout.STATE_REST), 8, "%rest")
    result = body.value(
        "call i64 @program(ptr %base, i64 %frame, i64 %a1, i64 %a2, i64 0, i64 0, i64 0)"
    )
    if context.layout.tail_calls == "program":
        place = body.local("i64")
        body.line(f"store i64 {result}, ptr {place}")
        body.block("again")
        why = body.load(body.pointer(state, layout.STATE_INTERRUPT), 8)
        replaced = body.value(f"icmp eq i64 {why}, {int(Interrupt.TAIL_CALL)}")
        body.branch(replaced, "replace", "done")
        body.block("replace")
        body.store(body.pointer(state, layout.STATE_INTERRUPT), 8, 0)
        entry = body.load(body.pointer(state, layout.STATE_DETAIL), 8)
        pointer = body.value(f"inttoptr i64 {entry} to ptr")
        again = body.value(
            f"call i64 {pointer}(ptr %base, i64 %frame, i64 %a1, i64 0, i64 0, i64 0, i64 0)"
        )
        body.line(f"store i64 {again}, ptr {place}")
        body.jump("again")
        body.block("done")
        result = body.value(f"load i64, ptr {place}")
    body.ret(result)
    return function("one_run", _RUN, body)


def _run(context: Context) -> str:
    """Run the program a number of times, or until a run is interrupted or it is late; gives
    the last result."""
    body = Emitter(["entry:"])
    state = body.cpu_state(context.layout, "%frame")
    body.block("again")
    body.line("%left = phi i64 [ %times, %entry ], [ %next, %more ]")
    result = body.value(
        "call i64 @one_run(ptr %base, i64 %frame, i64 %a1, i64 %a2, i64 %limit, i64 %rest)"
    )
    body.line("%next = sub i64 %left, 1")
    body.branch(body.value("icmp sgt i64 %next, 0"), "on", "end")
    body.block("on")
    why = body.load(body.pointer(state, layout.STATE_INTERRUPT), 8)
    late = context.natives.call(body, "late", ["%next", "%deadline"])
    ends = body.value(f"icmp ne i64 {body.binary('or', why, late)}, 0")
    body.unlikely(ends, "end", "more")
    body.block("more")
    body.jump("again")
    body.block("end")
    body.store(body.pointer(state, layout.STATE_LEFT), 8, "%next")
    body.ret(result)
    return function("run", _RUNS, body, linkage="")


def _start(context: Context) -> str:
    """Run the program once, with what STATE_ENTRY has: ctypes takes long for each argument."""
    body = Emitter(["entry:"])
    body.line("%base = load ptr, ptr %state, align 8")
    values = []
    for offset in range(8, 48, 8):
        place = body.value(f"getelementptr i8, ptr %state, i64 {offset}")
        values.append(body.load(place, 8))
    given = ", ".join(f"i64 {each}" for each in values)
    body.ret(body.value(f"call i64 @one_run(ptr %base, {given})"))
    return function("start", "ptr %state", body, linkage="")


def _dispatch(context: Context, code: Code) -> str:
    """Call a function by the handle that a program holds; a wrong one ends the run."""
    body = Emitter(["entry:"])
    cases = "".join(
        f" i64 {one.handle}, label %f{start}" for start, one in code.functions.items() if start
    )
    body.line(f"switch i64 %handle, label %none [{cases} ]")
    body.closed = True
    for start in code.functions:
        if start:
            body.block(f"f{start}")
            call = f"call i64 @function_{start}(ptr %base, i64 %frame, i64 %a1, i64 %a2, i64 %a3"
            body.ret(body.value(f"{call}, i64 %a4, i64 %a5)"))
    body.block("none")
    arguments: list[Value] = ["%frame", int(Interrupt.FUNCTION), "%handle"]
    body.ret(context.natives.call(body, "interrupt", arguments))
    signature = "ptr %base, i64 %frame, i64 %handle, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5"
    return function("dispatch", signature, body)
