"""Refusals of calls: helpers and kfuncs that a program may not call, arguments that do not fit."""

from __future__ import annotations

from osmia.refusals.conditions import at_call_of, in_log, released
from osmia.refusals.kind import Family, Refusal

_TYPE = r"(?P<register>R\d+) type=(?P<type>\S+) expected="
_HELPERS = "bpf-helpers(7)"
_KFUNCS = "Documentation/bpf/kfuncs.rst"

CALLS = Family(
    "Calls",
    (
        Refusal(
            "global-argument-size",
            r"^Caller passes invalid args into func#\d+|^the log ends without a complaint",
            "the type of an argument of a global function has no size (void *, or a structure "
            "that is only declared)",
            "declare it as a pointer to a complete type, or make the function static",
            when=in_log(r"reference type\('[^']*'\) size cannot be determined"),
        ),
        Refusal(
            "global-return",
            r"Global function (?P<function>\w+)\(\) doesn't return scalar",
            "the global function {function} returns a pointer; those return numbers only",
            "make it static",
        ),
        Refusal(
            "missing-in-kernel",
            r"invalid func unknown#195896080\b",
            "the program reaches code for which the kernel's types have no field, value or type "
            "(CO-RE)",
            "ask first: if (bpf_core_field_exists(task->field)), bpf_core_type_exists, "
            "bpf_core_enum_value_exists",
            rule="libbpf's CO-RE relocations, which poison what cannot be resolved",
        ),
        Refusal(
            "missing-map",
            r"invalid func unknown#2001\d{6}\b",
            "the program reaches code that uses a map which was left out of the load",
            "ask first (a variable of .rodata that says so), or leave the map in: autocreate",
            rule="libbpf's bpf_map__set_autocreate",
        ),
        Refusal(
            "missing-kfunc",
            r"invalid func unknown#2002\d{6}\b",
            "the program reaches a call of a kernel function (kfunc) that this kernel lacks, or "
            "has with another type",
            "declare it __weak and ask first: if (bpf_ksym_exists(function))",
            rule=_KFUNCS,
        ),
        Refusal(
            "helper-unknown",
            r"invalid func unknown#(?P<number>-?\d+)",
            "this kernel lacks that helper: it has none of number {number}",
            "use a newer kernel, or another helper (`osmia features` lists them)",
            rule=_HELPERS,
        ),
        Refusal(
            "helper-program-type",
            r"(?:program of this type cannot use helper|unknown func|invalid func|"
            r"cannot use helper|cannot call helper) (?P<helper>bpf_\w+)",
            "this program type may not call that helper, {helper}, or this kernel lacks it",
            "use a helper of this type's, or another program type (`osmia features` lists both)",
            rule=_HELPERS,
        ),
        Refusal(
            "helper-gpl",
            r"cannot call (?:GPL-restricted function|kernel function) from non-GPL",
            "the license is not GPL compatible, and the function is for programs whose is",
            'say so: char LICENSE[] SEC("license") = "GPL";',
            rule=_HELPERS,
        ),
        Refusal(
            "helper-sleepable",
            r"helper call might sleep in a non-sleepable prog|"
            r"sleepable helper \S+ in non-sleepable prog",
            "the helper may sleep, and the program is not sleepable",
            "use a sleepable section (fentry.s, lsm.s, uprobe.s, iter.s, syscall), or what does "
            "not sleep: bpf_probe_read_user for bpf_copy_from_user",
            since="5.10",
            rule=_HELPERS,
        ),
        Refusal(
            "sleepable-type",
            r"programs can be sleepable",
            "programs of this type cannot be sleepable",
            "leave BPF_F_SLEEPABLE (the .s of the section) out, or use a type that can: fentry, "
            "fexit, fmod_ret, lsm, iter, uprobe, struct_ops, syscall",
            rule="Documentation/bpf/libbpf/program_types.rst",
        ),
        Refusal(
            "kfunc-sleepable",
            r"program must be sleepable to call sleepable kfunc (?P<function>\w+)",
            "{function} may sleep (KF_SLEEPABLE), and the program is not sleepable",
            "use a sleepable section (fentry.s, lsm.s, uprobe.s, syscall)",
            since="6.13",
            rule=_KFUNCS,
        ),
        Refusal(
            "kfunc-program-type",
            r"calling kernel function (?P<function>\w+) is not allowed|"
            r"kernel function \w* ?btf_id \d+|kernel function .* is not allowed",
            "this program type may not call that kernel function (kfunc)",
            "call it from a program type that it is registered for; tracing and syscall programs "
            "have the most",
            since="6.2",
            rule=_KFUNCS,
        ),
        Refusal(
            "helper-map-type",
            r"cannot pass map_type (?P<number>\d+) into func (?P<helper>\w+)",
            "the helper does not work on this type of map ({number} is its number)",
            "use the functions of that map's type: lookups for arrays and hashes, push and pop "
            "for queues, output and reserve for ring buffers",
            rule=_HELPERS,
        ),
        Refusal(
            "map-sleepable",
            r"Sleepable programs can only use",
            "sleepable programs may not use maps of this type",
            "use an array, hash, ring buffer or local storage, or a program that does not sleep",
        ),
        Refusal(
            "argument-null",
            r"(?P<register>R\d+) type=\w+_or_null\S* expected=",
            "the argument may be NULL: {value}",
            "compare it with NULL first",
            rule=_HELPERS,
        ),
        Refusal(
            "kfunc-argument-null",
            r"Possibly NULL pointer passed to (?:trusted|helper) arg(?P<number>\d+)|"
            r"Possibly NULL pointer passed",
            "the argument may be NULL",
            "compare it with NULL first",
            since="6.2",
            rule=_KFUNCS,
        ),
        Refusal(
            "global-argument",
            r"Caller passes invalid args into func#",
            "what is passed does not fit the type of a global function's argument, which is "
            "verified for that type alone",
            "pass a pointer to a variable of that type, or make the function static",
        ),
        Refusal(
            "kfunc-argument-trusted",
            r"(?P<register>R\d+) must be (?:referenced or trusted|referenced|a rcu pointer)$|"
            r"type=untrusted_ptr_\S* expected=",
            "the function wants a pointer that the kernel keeps valid, and this one was read out "
            "of a structure, so that what it points to may be gone",
            "acquire an object of your own (bpf_task_from_pid, bpf_cgroup_acquire, …), or read "
            "what you need with BPF_CORE_READ",
            since="6.2",
            rule=_KFUNCS,
        ),
        Refusal(
            "released-twice",
            r"(?P<register>R\d+) type=(?:scalar|inv) expected=|"
            r"arg#(?P<argument>\d+) pointer type \w+ \w* ?must point to",
            "{call}{where} gave back what the pointer was acquired for; after that it is a number",
            "release it once on every path, and do not use it after that",
            when=released,
            rule=_HELPERS,
        ),
        Refusal(
            "kfunc-argument-type",
            r"arg#(?P<number>\d+) (?:pointer type \w+ \w* ?must point to|expected pointer to)",
            "argument {number} (counted from 0) is no pointer to what the function wants",
            "pass what a function for that type returned; released and copied objects are none",
            rule=_KFUNCS,
        ),
        Refusal(
            "argument-constant",
            r"(?P<register>R\d+) is not a known constant|must be a known constant",
            "the argument must be a constant, and here it depends on what the program does",
            "pass a number or sizeof; reserve records of variable size with "
            "bpf_ringbuf_reserve_dynptr, or send them with bpf_ringbuf_output",
            rule=_HELPERS,
        ),
        Refusal(
            "string-constant",
            r"(?P<register>R\d+) (?:type=\w+ expected=map_value$|does not point to a readonly map)",
            "the string must be a constant of the program's (.rodata), as the verifier reads it",
            'pass a literal, or a variable "static const char format[] = …" outside of the stack',
            when=at_call_of(r"^bpf_(?:strncmp|snprintf|trace_vprintk|seq_printf)$"),
            rule=_HELPERS,
        ),
        Refusal(
            "string-format",
            r"Invalid format string|fmt\[\d+\]",
            "the format has something that BPF programs cannot print, or not enough arguments",
            "use %d %u %x %ld %lld %p %s and their kind; no %n, %f, or flags of other libraries",
            rule=_HELPERS,
        ),
        Refusal(
            "string-terminated",
            r"string is not zero-terminated",
            "the constant string has no 0 at its end",
            "leave room for it: char name[] = …, not an array of exactly as many letters",
            rule=_HELPERS,
        ),
        Refusal(
            "argument-map",
            _TYPE + "map_ptr",
            "the argument must be a map, and what {register} holds is none that the verifier knows",
            "pass the map's address (&map), or what a lookup in a map of maps returned",
            rule=_HELPERS,
        ),
        Refusal(
            "argument-context",
            _TYPE + r"ctx\b",
            "the argument must be the program's context",
            "pass ctx as the program got it",
            rule=_HELPERS,
        ),
        Refusal(
            "argument-function",
            _TYPE + "func",
            "the argument must be a function of the program's, a static one",
            "pass the function by its name",
            rule=_HELPERS,
        ),
        Refusal(
            "lock-in-stack",
            _TYPE + r"map_value(?:, ptr_)?$",
            "the lock must be in a map's value, and {register} points elsewhere",
            "put the struct bpf_spin_lock into the value's type and pass its address there",
            when=at_call_of(r"^bpf_spin_(?:un)?lock$"),
            rule="bpf-helpers(7), bpf_spin_lock",
        ),
        Refusal(
            "timer-in-stack",
            _TYPE + r"map_value$",
            "a timer must be in a map's value, and {register} points elsewhere",
            "put the struct bpf_timer into the value's type and pass its address there",
            when=at_call_of(r"^bpf_timer_"),
            rule="bpf-helpers(7), bpf_timer_init",
        ),
        Refusal(
            "dynptr-in-map",
            r"(?P<register>R\d+) type=\S+ expected=(?:fp, )?dynptr_ptr|"
            r"expected pointer to stack or const struct bpf_dynptr",
            "a dynptr must be a variable on the stack",
            "declare it in the function: struct bpf_dynptr pointer;",
            since="6.1",
            rule=_KFUNCS,
        ),
        Refusal(
            "argument-type",
            _TYPE + r"(?P<expected>.+)",
            "the argument is not of the kind that the function wants: {register} holds a {type}, "
            "and it takes {expected}",
            "pass the address of a variable (fp), a map's value, or what else is in that list",
            rule=_HELPERS,
        ),
    ),
)
