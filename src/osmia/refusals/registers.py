"""Refusals about registers: numbers used as pointers, pointers as numbers, nothing at all."""

from __future__ import annotations

from osmia.refusals import conditions
from osmia.refusals.kind import Family, Refusal

_NUMBER = r"(?P<register>R\d+) invalid mem access '(?:scalar|inv)'"
_NOT_READ = r"(?P<register>R\d+) !read_ok"

REGISTERS = Family(
    "Registers and pointers",
    (
        Refusal(
            "released",
            _NUMBER,
            "{register} pointed to what {call}{where} gave back; after that it is a number",
            "use it before {call}, not after it",
            when=conditions.released,
        ),
        Refusal(
            "pointer-truncated",
            _NUMBER,
            "{register} was a pointer until an instruction took its lower 32 bits; now it is a "
            "number",
            "keep pointers in variables of 64 bits: (void *)(long), never (int) or __u32",
            when=conditions.truncated,
        ),
        Refusal(
            "number-null",
            _NUMBER,
            "{register} is NULL here",
            "set the pointer before it is used",
            when=conditions.null,
        ),
        Refusal(
            "number-loaded",
            _NUMBER,
            "the register holds a number: what was loaded{where} is an address to the "
            "programmer, but no pointer that the verifier knows the type of",
            "read through it with bpf_probe_read_kernel, BPF_CORE_READ, or bpf_probe_read_user "
            "if it is an address of a process",
            when=conditions.loaded,
            rule="bpf-helpers(7)",
        ),
        Refusal(
            "number-returned",
            _NUMBER,
            "the register holds a number: {call}{where} returns one, also where it is an address",
            "read through it with BPF_CORE_READ, or use what returns a typed pointer: "
            "bpf_get_current_task_btf for bpf_get_current_task",
            when=conditions.returned,
            rule="bpf-helpers(7)",
        ),
        Refusal(
            "number",
            _NUMBER,
            "the register holds a number, not a pointer that programs may follow",
            "follow only pointers that the verifier knows; others are read with "
            "bpf_probe_read_kernel or BPF_CORE_READ",
        ),
        Refusal(
            "no-return-value",
            r"R0 !read_ok",
            "the function returns without a value: R0 is read before anything was written to it",
            "return a number on every path",
            when=conditions.at_exit,
        ),
        Refusal(
            "register-clobbered",
            _NOT_READ,
            "{register} is read before anything was written to it since the call of "
            "{call}{where}: no call preserves R1 to R5",
            "keep what is needed after a call in R6 to R9 or on the stack (in C: this is inline "
            "assembly, or a call with too few arguments)",
            when=conditions.clobbered,
            rule="RFC 9669, section 2; Documentation/bpf/standardization/abi.rst",
        ),
        Refusal(
            "register-uninitialised",
            _NOT_READ,
            "the register is read before anything was written to it",
            "give the variable a value on every path",
        ),
        Refusal(
            "frame-pointer-write",
            r"frame pointer is read only",
            "R10 is the frame pointer, which programs cannot change",
            "copy it to another register",
            rule="RFC 9669, section 2",
        ),
        Refusal(
            "pointer-32-bit",
            r"(?P<register>R\d+) 32-bit pointer arithmetic prohibited",
            "that calculation on a pointer is not allowed: {register} is a pointer, and the "
            "instruction is for 32 bits",
            "calculate with pointers in 64 bits",
        ),
        Refusal(
            "pointer-plus-pointer",
            r"(?P<register>R\d+) pointer (?P<operator>\S+) pointer prohibited",
            "that calculation on a pointer is not allowed: both sides are pointers",
            "add a number to a pointer; subtract only two pointers into the same packet",
        ),
        Refusal(
            "pointer-subtracted",
            r"(?P<register>R\d+) tried to subtract pointer from scalar",
            "that calculation on a pointer is not allowed: it is subtracted from a number",
            "subtract the number from the pointer, or two pointers into the same packet",
        ),
        Refusal(
            "pointer-arithmetic-operator",
            r"(?P<register>R\d+) (?:bitwise operator (?P<operator>\S+) on pointer prohibited|"
            r"pointer arithmetic with (?P<other>\S+) operator prohibited)",
            "that calculation on a pointer is not allowed: numbers may be added to {register} and "
            "subtracted from it, nothing else",
            "mask or multiply the offset before it is added to the pointer",
        ),
        Refusal(
            "pointer-arithmetic-type",
            r"(?P<register>R\d+) pointer arithmetic on (?P<type>\w+) prohibited(?!, null)",
            "that calculation on a pointer is not allowed: nothing may be added to a pointer of "
            "type {type}",
            "use the pointer as it is; offsets of fields are part of the access (pointer->field)",
        ),
        Refusal(
            "pointer-unbounded",
            r"math between (?P<type>\w+) pointer and register with unbounded",
            "a number without lower bound is added to the pointer: it may be negative, or of any "
            "size",
            "compare it with 0 and with its upper bound first, or use an unsigned type and mask it",
        ),
        Refusal(
            "pointer-offset-large",
            r"math between (?P<type>\w+) pointer and (?P<number>-?\d+) is not allowed|"
            r"makes (?P<kind>\w+) pointer be out of bounds|pointer offset -?\d+ is not allowed",
            "the offset is larger than anything that the pointer could point into (512 MiB)",
            "limit the offset before it is added",
        ),
        Refusal(
            "pointer-compared",
            r"(?P<register>R\d+) pointer comparison prohibited",
            "without CAP_PERFMON no program may use a pointer as a number, and a comparison does",
            "compare pointers only with NULL, and packet pointers with data_end; or load with "
            "CAP_PERFMON",
        ),
        Refusal(
            "pointer-partial",
            r"(?P<register>R\d+) partial copy of pointer",
            "without CAP_PERFMON no program may use a pointer as a number, and a copy of 32 "
            "bits is one",
            "copy pointers in 64 bits, or load with CAP_PERFMON",
        ),
        Refusal(
            "pointer-leak",
            r"(?P<register>R\d+) leaks addr as return value",
            "the program would return a kernel address",
            "return a number",
        ),
        Refusal(
            "pointer-stored",
            r"(?P<register>R\d+) leaks addr into (?P<what>[\w ]+)",
            "the program would give a kernel address to the {what}, where others can read it",
            "use a number there, or load with CAP_PERFMON",
        ),
        Refusal(
            "pointer-speculative",
            r"has unknown scalar with mixed signed bounds|different maps, paths or scalars|"
            r"pointer arithmetic with it prohibited for !root|beyond pointer bounds|"
            r"arithmetic of map value goes out of range, prohibited",
            "without CAP_PERFMON the verifier must know how far a pointer goes on every path, as "
            "CPUs run ahead of checks",
            "mask the index (index &= 7) right before it is added, or load with CAP_PERFMON",
            rule="Documentation/admin-guide/hw-vuln/spectre.rst",
        ),
    ),
)
