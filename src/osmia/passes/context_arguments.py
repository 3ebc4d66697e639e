"""Context arguments of global functions (`__arg_ctx`) for kernels before 6.8.

Those kernels take an argument for the context only if its type is a pointer to the struct
that the program's type has as context. A function may serve programs of several types, so
each program gets a copy of the function's type with the right pointer in it: types that
libbpf adds in the same way and order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

from osmia.btf import BTF, DeclTag, Func, FuncLinkage, FuncProto, Kind, Ptr
from osmia.btf.additions import Additions
from osmia.object.model import Program
from osmia.object.uapi import ProgramType

if TYPE_CHECKING:
    from osmia.passes.stages import Prepared

_TAG = "arg:ctx"
_CONTEXTS = {
    "__sk_buff": (
        "CGROUP_SKB FLOW_DISSECTOR LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT SCHED_ACT SCHED_CLS"
        " SK_SKB SOCKET_FILTER"
    ),
    "bpf_cgroup_dev_ctx": "CGROUP_DEVICE",
    "bpf_nf_ctx": "NETFILTER",
    "bpf_perf_event_data": "PERF_EVENT",
    "bpf_raw_tracepoint_args": "RAW_TRACEPOINT RAW_TRACEPOINT_WRITABLE",
    "bpf_sk_lookup": "SK_LOOKUP",
    "bpf_sock": "CGROUP_SOCK",
    "bpf_sock_addr": "CGROUP_SOCK_ADDR",
    "bpf_sock_ops": "SOCK_OPS",
    "bpf_sockopt": "CGROUP_SOCKOPT",
    "bpf_sysctl": "CGROUP_SYSCTL",
    "bpf_user_pt_regs_t": "KPROBE",
    "sk_msg_md": "SK_MSG",
    "sk_reuseport_md": "SK_REUSEPORT",
    "xdp_md": "XDP",
}
_CONTEXT_OF = {
    ProgramType[kind]: name for name, kinds in _CONTEXTS.items() for kind in kinds.split()
}

#: The structs that are contexts of programs and of nothing else.
CONTEXT_STRUCTS = _CONTEXTS.keys() - {"bpf_sock"}


def context_struct(kind: ProgramType) -> str | None:
    """The name of the struct that programs of a type have as their context, where it has one."""
    return _CONTEXT_OF.get(kind)


#: Program: FUNC of the object: the copy to name in the program's func_info.
Copies = dict[str, dict[int, int]]


def tagged_arguments(btf: BTF) -> list[DeclTag]:
    """The tags of context arguments, in order."""
    tags = (btf.type(type_id) for type_id in btf.ids_of_kind(Kind.DECL_TAG))
    return [tag for tag in tags if isinstance(tag, DeclTag) and tag.name == _TAG]


def with_context_types(
    btf: BTF, prepared: Prepared, programs: Iterable[Program]
) -> tuple[BTF, Copies]:
    """`btf` (of the object) with the copies that `programs` need, and which those are."""
    tags = tagged_arguments(btf)
    copies: Copies = {}
    if not tags:
        return btf, copies
    writer = _Writer(btf)
    for program in programs:
        context = _CONTEXT_OF.get(program.type)
        if context is not None:
            layout = prepared.layout(program.name)
            functions = prepared.object.functions
            present = {functions[name].btf_id for _, name in layout.functions}
            copies[program.name] = writer.copy(tags, present, context)
    return BTF(writer.result(), name=btf.name), copies


class _Writer:
    """Collects the types to add."""

    def __init__(self, btf: BTF) -> None:
        self.btf = btf
        self.added = Additions(btf)
        self.names: dict[str, int] = {}
        self.order = "<" if btf.byteorder == "little" else ">"

    def result(self) -> bytes:
        return self.added.append_to(bytearray(self.btf.to_bytes()))

    def copy(self, tags: list[DeclTag], present: set[int], context: str) -> dict[int, int]:
        """Copies of the tagged functions among `present`, for a context named `context`."""
        wanted = [tag for tag in tags if tag.type_id in present and self._differs(tag, context)]
        arguments: dict[int, list[int]] = {}
        for tag in wanted:
            arguments.setdefault(tag.type_id, []).append(tag.component)
        copies: dict[int, int] = {}
        pointer = 0
        for tag in wanted:
            # In libbpf's order: prototype, function, struct and pointer once, tag.
            if tag.type_id not in copies:
                first = not pointer
                pointer = pointer or self.added.next_id + 3
                copies[tag.type_id] = self._copy_function(tag, arguments[tag.type_id], pointer)
                if first:
                    self._add_pointer(context)
            name, info = self._words(tag.id, 2)
            self.added.add_type(name, info, copies[tag.type_id], tag.component)
        return copies

    def _copy_function(self, tag: DeclTag, arguments: list[int], pointer: int) -> int:
        function = self.btf.type(tag.type_id)
        assert isinstance(function, Func)
        prototype = self.btf.type(function.type_id)
        assert isinstance(prototype, FuncProto)
        words = list(self._words(prototype.id, 3 + 2 * len(prototype.parameters)))
        for number in arguments:
            words[4 + 2 * number] = pointer
        copied = self.added.add_type(*words)
        name, info = self._words(function.id, 2)
        return self.added.add_type(name, info, copied)

    def _add_pointer(self, context: str) -> None:
        """A pointer to the context's struct, of which only the name counts."""
        name = self.names.get(context) or self.btf.string_offset(context)
        if name is None:
            name = self.added.add_string(context)
        self.names[context] = name
        target = self.added.add_type(name, int(Kind.STRUCT) << 24, 0)
        self.added.add_type(0, int(Kind.PTR) << 24, target)

    def _words(self, type_id: int, count: int) -> tuple[int, ...]:
        place = self.btf.record_offset(type_id)
        return struct.unpack_from(f"{self.order}{count}I", self.btf.to_bytes(), place)

    def _differs(self, tag: DeclTag, context: str) -> bool:
        """Whether the argument is one of a global function and no pointer to the context yet."""
        function = self.btf.type(tag.type_id)
        if not isinstance(function, Func) or function.linkage != FuncLinkage.GLOBAL:
            return False
        prototype = self.btf.type(function.type_id)
        if not isinstance(prototype, FuncProto) or not (
            0 <= tag.component < len(prototype.parameters)
        ):
            return False
        argument = self.btf.type(self.btf.resolve(prototype.parameters[tag.component].type_id))
        if not isinstance(argument, Ptr):
            return False
        return self.btf.name_of(argument.target) != context
