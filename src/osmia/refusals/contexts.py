"""Refusals about the context, and about structures of the kernel's that programs read."""

from __future__ import annotations

from osmia.refusals.conditions import at_call, at_store, wider_than_32_bits
from osmia.refusals.kind import Family, Refusal

_CONTEXT = r"invalid bpf_context access off=(?P<offset>-?\d+) size=(?P<size>\d+)"

CONTEXTS = Family(
    "Contexts and structures of the kernel's",
    (
        Refusal(
            "context-passed",
            r"(?:dereference of modified|negative offset) ctx ptr",
            "{call} wants the context pointer itself, and this one was calculated with",
            "pass ctx as the program got it",
            when=at_call,
        ),
        Refusal(
            "context-modified",
            r"(?:dereference of modified|negative offset) ctx ptr (?P<register>R\d+) off=",
            "the compiler added the field's offset to the context pointer (it merges reads of "
            "several fields behind a branch), and the verifier allows only ctx + constant in the "
            "access itself",
            "copy the fields to variables before the branch, with barrier_var(copy) behind each "
            "copy, or declare the context's type with __attribute__((preserve_static_offset)); "
            "kernel structures such as pt_regs can be read with BPF_CORE_READ",
            rule="Documentation/bpf/verifier.rst; clang's AttributeReference, "
            "preserve_static_offset",
        ),
        Refusal(
            "context-variable",
            r"variable ctx access var_off=\S+ \S+ disallowed",
            "the offset into the context is not a constant: an index that is not known when the "
            "program is compiled",
            "copy the array's elements to a local array by constant indices and index that",
        ),
        Refusal(
            "context-argument",
            r"func '(?P<function>\w+)' doesn't have (?P<number>\d+)-th argument",
            "{function} has no argument {number} (counted from 0) that the program could read",
            "compare the program's arguments with the function's in vmlinux.h (BPF_PROG's, or the "
            "indices of ctx)",
            rule="Documentation/bpf/btf.rst",
        ),
        Refusal(
            "context-write",
            _CONTEXT,
            "programs of this type may not write to that field of their context",
            "write the fields that are writable for this type (bpf-helpers(7), the program type's "
            "documentation); arguments of traced functions cannot be changed",
            when=at_store,
            rule="Documentation/bpf/prog_*.rst",
        ),
        Refusal(
            "context-size",
            _CONTEXT,
            "the access is of 8 bytes, and this program type may not use that field of its context "
            "at that width, if at all",
            "read fields with their own width: __u32 for a field of 4 bytes",
            when=wider_than_32_bits,
            rule="Documentation/bpf/prog_*.rst",
        ),
        Refusal(
            "context-field",
            _CONTEXT,
            "this program type may not use that field of its context, or not at that width",
            "use what the type's context has: other program types have other fields, and newer "
            "kernels more",
            rule="Documentation/bpf/prog_*.rst",
        ),
        Refusal(
            "socket-field",
            r"(?P<register>R\d+) invalid (?P<type>\w*sock\w*) access off=(?P<offset>\d+) "
            r"size=(?P<size>\d+)",
            "programs may not read {size} bytes at offset {offset} of a {type}",
            "read fields with their own width; more of them after bpf_sk_fullsock or bpf_tcp_sock",
            rule="bpf-helpers(7)",
        ),
        Refusal(
            "different-pointers",
            r"same insn cannot be used with different pointers",
            "one access goes through pointers of different types, as paths join before it: a "
            "context here, a socket or number there",
            "access each in its own branch; barrier_var() keeps the compiler from joining them",
        ),
        Refusal(
            "kernel-write",
            r"only read is supported|only read from \S+ is supported|"
            r"cannot write into (?:\w*sock|ptr_)",
            "structures of the kernel's may be read, not written",
            "change them through a helper or kfunc that does it",
            rule="Documentation/bpf/kfuncs.rst",
        ),
        Refusal(
            "structure-field",
            r"access beyond (?:the end of member \w+|struct (?P<type>\w+))|"
            r"cannot access ptr member|access beyond the end of",
            "that offset is outside of the structure, or in the middle of a pointer",
            "read through the field's name (CO-RE: vmlinux.h, preserve_access_index); what lies "
            "behind a structure with bpf_probe_read_kernel",
            rule="Documentation/bpf/btf.rst",
        ),
    ),
)
