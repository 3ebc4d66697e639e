"""Refusals about the stack: its 512 bytes, what was not written, frames of calls."""

from __future__ import annotations

from osmia.refusals.conditions import at_call, past_the_frame
from osmia.refusals.kind import Family, Refusal

STACK = Family(
    "The stack",
    (
        Refusal(
            "stack-tail-call",
            r"tail_calls are not allowed when call stack of previous frames is (?P<size>\d+)",
            "no tail call is possible here: the callers' stack frames have {size} bytes, and less "
            "than 256 are allowed, as the next program has a stack of its own above them",
            "shrink the callers' frames, make the tail call in the main program, or inline the "
            "function (__always_inline)",
            rule="kernel/bpf/verifier.c, check_max_stack_depth",
        ),
        Refusal(
            "stack-combined",
            r"combined stack size of (?P<count>\d+) calls is (?P<size>\d+)|"
            r"stack size (?P<alone>\d+) is too large",
            "the stack frames of all active functions together exceed 512 bytes",
            "move large variables to a per-CPU array map, or into blocks that do not overlap",
        ),
        Refusal(
            "stack-pointer-returned",
            r"cannot return stack pointer to the caller",
            "the function returns the address of a variable of its own, which ends with it",
            "let the caller pass a pointer to its own variable",
        ),
        Refusal(
            "stack-misaligned",
            r"misaligned stack access off (?P<offset>.+?) size (?P<size>\d+)",
            "an access to the stack must be aligned to its size, {size} bytes",
            "align the variable, or copy the bytes with __builtin_memcpy; no __packed pointers "
            "to local variables",
        ),
        Refusal(
            "misaligned",
            r"misaligned (?:\w+ )?access off",
            "the access is not aligned to its size, which atomic operations must be, and others "
            "on a machine or with a flag (BPF_F_STRICT_ALIGNMENT) that demands it",
            "read the bytes one by one, or copy them to an aligned variable; align what atomic "
            "operations change",
        ),
        Refusal(
            "stack-variable-unbounded",
            r"invalid (?:unbounded variable-offset|variable-offset)(?: indirect)? "
            r"(?:\w+ )*(?:to |from |of )?stack (?P<register>R\d+)$|"
            r"invalid unbounded variable-offset",
            "the index into a variable of the stack has no bounds that the verifier knows of",
            "mask it, or compare it with the array's length, before the access",
        ),
        Refusal(
            "stack-variable",
            r"invalid variable-offset[\w ]*stack (?P<register>R\d+) var_off",
            "the largest index that is possible here is outside of the stack's memory",
            "bound the index: if (index >= length) return …; or mask it with length - 1",
        ),
        Refusal(
            "length-past-stack",
            r"invalid (?:indirect access to|write to|read from|indirect read from)? ?stack "
            r"(?P<register>R\d+) off=(?P<offset>-?\d+) size=(?P<size>\d+)",
            "{call} is given {size} bytes of the stack, and there are not as many behind the "
            "pointer",
            "pass the size of the variable itself: sizeof(buffer)",
            when=past_the_frame,
        ),
        Refusal(
            "argument-uninitialised",
            r"invalid (?:indirect )?read from stack (?P<register>R\d+) "
            r"(?:off -?\d+\+\d+|off=-?\d+|var_off \S+) size",
            "{call} would read stack memory that was not written before: a variable without a "
            "value, or the padding of a structure",
            "initialise all of it: struct key key = {}, or __builtin_memset (padding too)",
            when=at_call,
        ),
        Refusal(
            "stack-uninitialised",
            r"invalid (?:indirect )?read from stack (?:R\d+ )?(?:off -?\d+\+\d+ size|var_off|"
            r"off=-(?:[1-9]|[1-9]\d|[1-4]\d\d|50\d|51[0-2]) )",
            "stack memory is read before it was written",
            "give the variable a value when it is declared: = {}",
        ),
        Refusal(
            "stack-bounds",
            r"invalid[\w ]*stack (?:R\d+ )?off=?",
            "the access is outside of the 512-byte frame of the function, or of the variable",
            "stay within the variable; large ones belong into a per-CPU array map",
        ),
        Refusal(
            "stack-pointer-partial",
            r"invalid size of register (?:fill|spill)|attempt to corrupt spilled pointer",
            "a pointer that lies on the stack is read or written in part",
            "copy pointers as a whole, in 8 bytes; no unions or casts over them",
        ),
        Refusal(
            "stack-variable-speculative",
            r"variable stack access prohibited|variable offset stack access prohibited|"
            r"stack pointer arithmetic goes out of range",
            "without CAP_PERFMON no index that is not a constant may go into the stack",
            "load with CAP_PERFMON, use constant indices, or an array map",
            rule="Documentation/admin-guide/hw-vuln/spectre.rst",
        ),
    ),
)
