"""What hypothesis tries as the contexts of programs: what a run takes, and the kernel may give."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osmia.btf import BTF, Kind, types
from osmia.engine.loaded import LoadedObject
from osmia.errors import MissingPackageError, NotSupportedError
from osmia.object import Object
from osmia.object.model import Program
from osmia.object.uapi import AttachType, ProgramType
from osmia.testing.strategies import U32, encoded, types_within
from osmia.values.from_btf import codec

try:
    from hypothesis import strategies as st
except ImportError:
    raise MissingPackageError("hypothesis", extra="test") from None

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_WORDS = st.integers(0, (1 << 64) - 1)
_SKB = frozenset(
    {
        *(ProgramType.SCHED_CLS, ProgramType.SCHED_ACT, ProgramType.SOCKET_FILTER),
        *(ProgramType.CGROUP_SKB, ProgramType.LWT_IN, ProgramType.LWT_OUT, ProgramType.LWT_XMIT),
    }
)
_STRUCTS: Mapping[ProgramType, str] = {
    ProgramType.SK_LOOKUP: "bpf_sk_lookup",
    ProgramType.SOCK_OPS: "bpf_sock_ops",
    ProgramType.CGROUP_SOCK_ADDR: "bpf_sock_addr",
    ProgramType.CGROUP_SOCK: "bpf_sock",
    ProgramType.CGROUP_SYSCTL: "bpf_sysctl",
    ProgramType.CGROUP_DEVICE: "bpf_cgroup_dev_ctx",
}
_REGISTERS = {"x86_64": ("di", "si", "dx", "cx", "r8", "r9")}
"""Where a function's arguments are in struct pt_regs."""
_MOST_SEGMENTS = 65535
_FEW = 4


def contexts_of(what: Any, within: Object | LoadedObject | BTF | None) -> SearchStrategy[Any]:
    """See `osmia.testing.strategies.contexts`."""
    kind, expected, attach_to = _told(what)
    if kind is ProgramType.XDP:
        queue = st.fixed_dictionaries({"ingress_ifindex": st.just(1), "rx_queue_index": st.just(0)})
        return st.just({}) | queue
    if kind in _SKB:
        return _skb(kind)
    if kind in (ProgramType.RAW_TRACEPOINT, ProgramType.RAW_TRACEPOINT_WRITABLE):
        return st.lists(_WORDS, max_size=12)
    if kind in _STRUCTS:
        return _struct(types_within(within), _STRUCTS[kind])
    if kind is ProgramType.KPROBE:
        return _registers(types_within(within))
    if kind is ProgramType.TRACEPOINT and attach_to:
        return _tracepoint(types_within(within), attach_to.rpartition("/")[2])
    if expected is AttachType.TRACE_ITER and attach_to:
        return _iterated(types_within(within), attach_to)
    name = kind.name if isinstance(kind, ProgramType) else f"type {kind}"
    raise NotSupportedError(
        f"contexts of {name} programs: they are called with arguments (args=), or nobody tells"
        " their struct: give the program, and types that have it"
    )


def _told(what: Any) -> tuple[Any, Any, str]:
    """Type, attach type and what it attaches to, of a type or a program, loaded or not."""
    definition = what if isinstance(what, Program) else getattr(what, "definition", None)
    if definition is None:
        return what if isinstance(what, int) else what.type, None, ""
    return definition.type, definition.expected_attach_type, definition.attach_to


def _skb(kind: Any) -> SearchStrategy[Any]:
    """The fields of struct __sk_buff that a test run takes (net/bpf/test_run.c)."""
    optional = {
        "mark": U32,
        "priority": U32,
        "cb": st.lists(U32, min_size=5, max_size=5),
        "tstamp": _WORDS,
        "gso_segs": st.integers(0, _MOST_SEGMENTS),
        "gso_size": U32,
    }
    return st.fixed_dictionaries({}, optional=optional)


def _type(btf: BTF, name: str) -> int:
    found = btf.find(name, Kind.STRUCT)
    if not found:
        raise NotSupportedError(f"{btf.name or 'the object'} has no struct {name}")
    return found


def _struct(btf: BTF, name: str) -> SearchStrategy[bytes]:
    return encoded(btf, _type(btf, name))


def _registers(btf: BTF) -> SearchStrategy[bytes]:
    """struct pt_regs, with numbers where a function's arguments are."""
    type_id = _type(btf, "pt_regs")
    regs = codec(btf, type_id)
    declared = btf.type(type_id)
    names = [each.name for each in declared.members] if isinstance(declared, types.Struct) else []
    arguments = _REGISTERS.get(platform.machine(), ())
    if not all(name in names for name in arguments) or not arguments:
        return st.binary(min_size=regs.size, max_size=regs.size)
    given = st.fixed_dictionaries(dict.fromkeys(arguments, _WORDS))
    return given.map(lambda values: bytes(regs.encode(values)))


def _tracepoint(btf: BTF, event: str) -> SearchStrategy[bytes]:
    """The record of a tracepoint: trace_event_raw_NAME, that of its class where it has none."""
    if event.startswith(("sys_enter_", "sys_exit_")):
        event = "_".join(event.split("_")[:2])
    return _struct(btf, f"trace_event_raw_{event}")


def _iterated(btf: BTF, what: str) -> SearchStrategy[dict[str, Any]]:
    """Fields of an iterator's context (`run(objects=[…])`): numbers, and for what is pointed to the
    fields of it that are numbers. The iterator's own are left out."""
    composite = btf.type(_type(btf, f"bpf_iter__{what}"))
    assert isinstance(composite, types.Struct)
    fields: dict[str, SearchStrategy[Any]] = {}
    for name, type_id in _members(btf, composite):
        if name == "meta":
            continue
        kind = btf.type(btf.resolve(type_id))
        target = btf.type(btf.resolve(kind.target)) if isinstance(kind, types.Ptr) else None
        if isinstance(target, types.Struct):
            fields[name] = _some_numbers(btf, target)
        elif isinstance(kind, types.Int):
            fields[name] = _number(codec(btf, type_id).size)
    return st.fixed_dictionaries(fields)


def _some_numbers(btf: BTF, composite: types.Struct) -> SearchStrategy[dict[str, int]]:
    """A few of the members that are numbers: a struct of the kernel has hundreds."""
    numbers = {}
    for name, type_id in _members(btf, composite):
        kind = btf.type(btf.resolve(type_id))
        if isinstance(kind, types.Int) and not kind.is_bool:
            numbers[name] = _number(kind.size)
    if not numbers:
        return st.just({})
    chosen = st.lists(st.sampled_from(list(numbers)), unique=True, max_size=_FEW)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: numbers[n] for n in names}))


def _number(size: int) -> SearchStrategy[int]:
    return st.integers(0, (1 << (8 * size - 1)) - 1)


def _members(btf: BTF, composite: types.Struct) -> list[tuple[str, int]]:
    """The members that have names and are no bitfields; of anonymous unions the first."""
    found: list[tuple[str, int]] = []
    for each in composite.members:
        inner = btf.type(btf.resolve(each.type_id))
        if each.name:
            found += [(each.name, each.type_id)] * (not each.bitfield_size)
        elif isinstance(inner, types.Union | types.Struct) and inner.members:
            first = inner.members[0]
            found += [(first.name, first.type_id)] * bool(first.name)
    return found
