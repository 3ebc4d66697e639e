"""Refusals about control flow: loops, size, jumps, what functions return; and of code as such."""

from __future__ import annotations

from osmia.refusals.kind import Family, Refusal

_ISA = "RFC 9669"

FLOW = Family(
    "Control flow and return values",
    (
        Refusal(
            "too-large",
            r"program is too large|BPF_COMPLEXITY_LIMIT",
            "too complex: the verifier looked at over a million instructions, as paths multiply "
            "by loops and branches",
            "shorten loops, use bpf_loop or bpf_for (they are verified once), or split off global "
            "functions (they are verified alone)",
        ),
        Refusal(
            "too-many-jumps",
            r"sequence of \d+ jumps is too complex",
            "too complex: 8,192 branches wait for their other side, as in a loop that is left in "
            "its middle",
            "lower the loop's bound, or use bpf_loop or bpf_for",
        ),
        Refusal(
            "loop-infinite",
            r"infinite loop detected|loop detected",
            "a loop that the verifier cannot see ending: it comes back with nothing changed",
            "give it a constant bound that a counter reaches, or use bpf_loop or bpf_for",
        ),
        Refusal(
            "loop-back-edge",
            r"back-edge",
            "a loop, or a function that calls itself; without CAP_BPF, before Linux 5.3, and "
            "between functions no loop is allowed",
            "unroll it (#pragma unroll), or use a loop with a constant bound in the place of "
            "recursion",
        ),
        Refusal(
            "call-depth",
            r"call stack of \d+ frames is too deep|recursive call",
            "calls may nest 8 deep, and functions may not call themselves",
            "inline some of them (__always_inline), or use a loop in the place of recursion",
        ),
        Refusal(
            "unreachable",
            r"unreachable insn (?P<slot>\d+)",
            "code that no path reaches, which the verifier does not allow",
            "remove it or jump to it; a compiler does so, written or patched bytecode may not",
        ),
        Refusal(
            "jump-out-of-range",
            r"jump out of range from insn (?P<slot>\d+)",
            "control flow leaves the function by a jump",
            "jump to an instruction of the same function",
            rule=_ISA,
        ),
        Refusal(
            "falls-through",
            r"last insn is not an exit",
            "control flow leaves the function at its end: clang makes that of code after which "
            "behaviour is undefined, such as a loop without end or a missing return",
            "end each path with a return",
            rule=_ISA,
        ),
        Refusal(
            "callback-return",
            r"At callback return the register R0",
            "the callback returns a number that its caller does not take",
            "return 0 to go on, 1 to stop",
            rule="bpf-helpers(7), bpf_loop",
        ),
        Refusal(
            "timer-return",
            r"At async callback (?:return )?the register R0",
            "a timer's or workqueue's callback returns something else than 0",
            "return 0",
            rule="bpf-helpers(7), bpf_timer_set_callback",
        ),
        Refusal(
            "return-pointer",
            r"At program exit the register R0 is not a known value \((?P<type>\w+)\)",
            "the program returns a pointer (a {type}) where its type wants a number",
            "return one of the program type's numbers",
            rule="Documentation/bpf/prog_*.rst",
        ),
        Refusal(
            "return-range",
            r"At program exit the register R0",
            "the return value is, or may be, outside of what this program type may return",
            "return constants, or limit the variable: return found ? 1 : 0;",
            rule="Documentation/bpf/prog_*.rst",
        ),
        Refusal(
            "division-by-zero",
            r"div by zero",
            "a division by the constant 0 (one by a register that is 0 gives 0)",
            "divide by something else",
            rule=f"{_ISA}, section 4.1",
        ),
        Refusal(
            "shift-too-far",
            r"invalid shift (?P<number>-?\d+)",
            "a shift by the constant {number}, and there are only 64 bits (32 for w registers)",
            "shift by less than the operand's width",
            rule=f"{_ISA}, section 4.1",
        ),
        Refusal(
            "atomic-memory",
            r"BPF_ATOMIC stores into (?P<register>R\d+) (?P<type>\w+) is not allowed",
            "atomic operations work on map values, the stack and allocated memory, and not on a "
            "{type}",
            "count in a map, or use a plain assignment",
            rule=f"{_ISA}, section 5.3",
        ),
        Refusal(
            "arena-missing",
            r"addr_space_cast insn can only be used|addr_space_cast insn can only convert",
            "the code casts addresses of an arena, and the program uses no arena map",
            "declare a map of type BPF_MAP_TYPE_ARENA and use it in the program",
            since="6.9",
        ),
        Refusal(
            "unknown-instruction",
            r"unknown opcode (?P<code>\w+)|invalid BPF_\w+ opcode|invalid BPF_LD mode",
            "that is no instruction that this kernel knows",
            'compile for an older instruction set (cpu="v3"), or check the bytecode',
            rule=_ISA,
        ),
        Refusal(
            "unresolved-reference",
            r"invalid BPF_LD_IMM64 insn|unrecognized bpf_ld_imm64|call to invalid destination|"
            r"invalid bpf_ld_imm64 insn|invalid BPF_LD_IMM insn",
            "a relocation was not resolved, or the code was cut",
            "load the object with a loader that resolves its relocations",
            rule=f"{_ISA}, section 5.4",
        ),
        Refusal(
            "malformed-instruction",
            r"uses reserved fields",
            "an instruction has something in fields that must be 0, or one that a newer kernel "
            "gives a meaning to",
            'compile for an older instruction set (cpu="v3"), or check the bytecode',
            rule=_ISA,
        ),
        Refusal(
            "attach-target",
            r"attach_btf_id|attach to unsupported|is not (?:a function|sleepable|modifiable)|"
            r"\(\) is not modifiable",
            "the attach target does not suit this type of program",
            "attach to a function that suits: sleepable programs to those that may sleep, "
            "fmod_ret to those with error injection or an LSM hook",
            rule="Documentation/bpf/prog_lsm.rst",
        ),
    ),
)

OBJECTS = Family(
    "Dynptrs, iterators, timers, kptrs",
    (
        Refusal(
            "dynptr-uninitialised",
            r"Expected an initialized dynptr as arg #(?P<number>\d+)",
            "the dynptr was not made by bpf_dynptr_from_… or bpf_ringbuf_reserve_dynptr before, "
            "or has been released or written over",
            "initialise it first, and do not use it after its release",
            since="6.1",
            rule="Documentation/bpf/kfuncs.rst",
        ),
        Refusal(
            "dynptr-initialised",
            r"Dynptr has to be an uninitialized dynptr|cannot overwrite referenced dynptr",
            "the dynptr holds a record that was not released, and this would overwrite it",
            "submit or discard it first, or use a second variable",
            since="6.1",
            rule="Documentation/bpf/ringbuf.rst",
        ),
        Refusal(
            "iterator-uninitialised",
            r"expected an initialized (?P<type>iter_\w+) as arg #\d+",
            "the iterator was not made by bpf_{type}_new before, or has been destroyed",
            "call bpf_{type}_new first, or use bpf_for and bpf_for_each, which do",
            since="6.4",
            rule="Documentation/bpf/bpf_iterators.rst",
        ),
        Refusal(
            "iterator-initialised",
            r"expected uninitialized (?P<type>iter_\w+) as arg #\d+",
            "the iterator is in use already",
            "call bpf_{type}_destroy first, or use a second variable",
            since="6.4",
            rule="Documentation/bpf/bpf_iterators.rst",
        ),
        Refusal(
            "timer-other-map",
            r"timer pointer in R1 map_uid=\d+ doesn't match map pointer in R2",
            "the timer is in a value of another map than the one that is passed",
            "pass the map that the timer's value was looked up in",
            rule="bpf-helpers(7), bpf_timer_init",
        ),
        Refusal(
            "timer-missing",
            r"map '(?P<map>[^']*)' (?:has no valid bpf_timer|doesn't have 'struct bpf_timer')",
            "the value's type of map '{map}' has no struct bpf_timer",
            "put one into the value's type, as a field of its own",
            rule="bpf-helpers(7), bpf_timer_init",
        ),
        Refusal(
            "kptr-store",
            r"store to referenced kptr disallowed",
            "a map's __kptr field owns what it points to, so no assignment may change it",
            "use bpf_kptr_xchg, and release what it returns",
            since="5.19",
            rule="bpf-helpers(7), bpf_kptr_xchg",
        ),
        Refusal(
            "kptr-type",
            r"invalid kptr access|kptr isn't referenced kptr|kptr access|"
            r"doesn't point to kptr",
            "what is stored is of another type than the map's kptr, or is not owned, or the "
            "field's address is not exact",
            "store what was acquired for that type, through the field's own address",
            since="5.19",
            rule="bpf-helpers(7), bpf_kptr_xchg",
        ),
    ),
)
