"""Refusals about memory of a known size: map values, records, buffers of helpers."""

from __future__ import annotations

from osmia.refusals.conditions import argument_of_global, at_call
from osmia.refusals.kind import Family, Refusal

_PAST_VALUE = (
    r"invalid access to map (?P<what>value|key), (?:value|key)_size=(?P<has>\d+) "
    r"off=(?P<offset>-?\d+) size=(?P<size>\d+)"
)
_PAST_MEMORY = (
    r"invalid access to memory, mem_size=(?P<has>\d+) off=(?P<offset>-?\d+) size=(?P<size>\d+)"
)

MEMORY = Family(
    "Map values and other memory",
    (
        Refusal(
            "map-value-null",
            r"(?P<register>R\d+) invalid mem access '(?:map_value_or_null|map_value_or_null\w*)'",
            "the pointer may be NULL: {value} is a map's value only if the key is in the map",
            "compare it with NULL before use: if (!value) return …;",
        ),
        Refusal(
            "global-argument-null",
            r"(?P<register>R\d+) invalid mem access '\w*_or_null\w*'",
            "the pointer may be NULL: global functions are verified alone, for every argument "
            "that its type allows",
            "compare it with NULL before use, declare the argument with __arg_nonnull (Linux 6.8), "
            "or make the function static",
            when=argument_of_global,
            rule="Documentation/bpf/btf.rst; “BPF_FUNC_GLOBAL” in include/uapi/linux/btf.h",
        ),
        Refusal(
            "pointer-null",
            r"(?P<register>R\d+) invalid mem access '(?P<type>\w*)_or_null\w*'",
            "the pointer may be NULL: {value} is valid only when the call succeeded",
            "compare it with NULL before use",
        ),
        Refusal(
            "null-arithmetic",
            r"(?P<register>R\d+) pointer arithmetic on \w*_or_null\w* prohibited",
            "the pointer may be NULL, and a sum of it no longer shows that: {value}",
            "compare it with NULL before use, also before something is added to it",
        ),
        Refusal(
            "length-zero",
            r"invalid zero-sized read|invalid access to \w+ ?\w*, \w+_size=\d+ off=\d+ size=0\b",
            "the length may be 0, which this argument does not allow",
            "exclude 0 as well: if (length == 0 || length > sizeof(buffer)) return …;",
            rule="ARG_CONST_SIZE and ARG_CONST_SIZE_OR_ZERO in include/linux/bpf.h",
        ),
        Refusal(
            "length-past-end",
            _PAST_VALUE + rf"|{_PAST_MEMORY.replace('?P<', '?P<m_')}",
            "{call} may use more bytes than there are behind the pointer that it is given",
            "limit the length to the size of the buffer: if (length > sizeof(*value)) return …;",
            when=at_call,
        ),
        Refusal(
            "map-value-variable",
            _PAST_VALUE + r".*max value is outside",
            "the access may reach past the end of the {what}'s {has} bytes; the largest index "
            "that is possible here does",
            "bound the index: if (index >= length) return …; (>=, not >), or mask it",
        ),
        Refusal(
            "map-value-past-end",
            _PAST_VALUE,
            "the access reaches past the end of the {what}: it has {has} bytes, this is {size} "
            "at offset {offset}",
            "stay within the {what}'s type; bound the index",
        ),
        Refusal(
            "memory-past-end",
            _PAST_MEMORY,
            "the access reaches past the end of the memory: it has {has} bytes, this is {size} "
            "at offset {offset}",
            "stay within it, or ask for as many bytes as are used where the memory comes from: "
            "sizeof of the whole type",
        ),
        Refusal(
            "map-value-unbounded",
            r"(?P<register>R\d+) unbounded memory access, make sure to bounds check",
            "the index has no upper bound that the verifier knows of",
            "compare or mask it before the access: if (index >= length) return …; or index &= 7",
        ),
        Refusal(
            "negative-index",
            r"(?P<register>R\d+) min value is negative, either use unsigned index",
            "the index may be negative here",
            "use an unsigned type, or compare with 0 too: if (index < 0) return …;",
        ),
        Refusal(
            "length-negative",
            r"(?P<register>R\d+) min value is negative, either use unsigned or",
            "the length may be negative here: it is of a signed type, or of 64 bits without bound",
            "use an unsigned type and compare it with the buffer's size, or mask it: length &= 63",
        ),
        Refusal(
            "length-unbounded",
            r"(?P<register>R\d+) unbounded memory access, use",
            "the length has no upper bound that the verifier knows of",
            "compare it with the buffer's size before the call: if (length > sizeof(buffer)) "
            "return …;",
        ),
        Refusal(
            "map-read-only",
            r"write into map forbidden",
            "the map is read-only to programs, as .rodata and maps with BPF_F_RDONLY_PROG are",
            "declare the variable without const, or set it before the load",
        ),
        Refusal(
            "map-write-only",
            r"read from map forbidden",
            "the map is write-only to programs: it has BPF_F_WRONLY_PROG",
            "leave the flag out, or read the map outside of programs",
        ),
        Refusal(
            "memory-read-only",
            r"(?P<register>R\d+) cannot write into rdonly_\w+",
            "the memory behind {value} may be read, not written",
            "write to a copy; slices of packets that may be written come from "
            "bpf_dynptr_slice_rdwr",
            rule="Documentation/bpf/kfuncs.rst",
        ),
        Refusal(
            "special-field-access",
            r"(?P<field>bpf_\w+|kptr|\w+) cannot be accessed directly by load/store",
            "this would read or write a map value's {field}, which only its functions may",
            "leave the field out: assign the value's other fields one by one",
            rule="Documentation/bpf/map_hash.rst",
        ),
    ),
)
