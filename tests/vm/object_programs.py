"""Which programs of the repository's objects run on both engines, and why the others do not.

Every program of every object has to be in one of the lists: `test_objects` fails for one
that is in none, and for one that is no longer there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from osmia.object.uapi import ProgramType

from .test_failures import PROGRAMS

ROOT = Path(__file__).parents[2]
CORPUS = "tests/differential/corpus/"
SOURCES = "tests/toolchain/sources/"
SELFTEST = "src/osmia/selftest/programs/"

RUN: Mapping[str, str] = {
    "bench/vm/programs.bpf.c": (
        "empty alu sum parser primes multiply lookup_update direct indirect"
    ),
    "examples/flows.bpf.c": "ingress",
    "examples/fleet/limit.bpf.c": "ingress",
    "examples/testing/limit.bpf.c": "limiter",
    "examples/testing/nat.bpf.c": "leave come",
    "examples/legacy/container.c": (
        "entry handle_ipv4 handle_ipv6 drop_notify policy_of_10 policy_of_20"
    ),
    "examples/legacy/host.c": "to_container",
    "tests/engine/suite.bpf.c": "ingress add first second other",
    f"{SELFTEST}basics.bpf.c": "globals calls callbacks packets",
    f"{SELFTEST}maps.bpf.c": (
        "called hash count_per_cpu maps_in_maps tail_calls queues longest_prefix send_samples "
        "take_orders use_pinned"
    ),
    f"{SELFTEST}types.bpf.c": "fields questions configuration symbols",
    "src/osmia/tools/xdp_filter.bpf.c": "filter",
    "tests/engine/maps/tables.bpf.c": "to_ring to_perf",
    "tests/cli/counter.bpf.c": "count",
    "tests/cli/meaning.bpf.c": "say",
    "tests/cli/traffic.bpf.c": "count",
    "tests/cli/zoo/attached.bpf.c": "entered received classified sent",
    "tests/cli/zoo/data_sections.bpf.c": "data_sections",
    "tests/cli/zoo/inner_maps.bpf.c": "called inner_maps",
    "tests/cli/zoo/per_cpu.bpf.c": "per_cpu",
    "tests/summaries/addresses.bpf.c": "watch",
    "tests/summaries/histograms.bpf.c": "measure",
    "tests/summaries/numbers.bpf.c": "count",
    "tests/testing/limit.bpf.c": "ingress",
    f"{CORPUS}sections_unnamed.bpf.c": "count",
    "tests/kernel/libraries/conn.bpf.c": "ingress",
    f"{CORPUS}arena.bpf.c": "grow",
    f"{CORPUS}big.bpf.c": "walk",
    f"{CORPUS}callbacks.bpf.c": "run",
    f"{CORPUS}context_arguments.bpf.c": "switched packet",
    f"{CORPUS}core_ambiguity.bpf.c": "ambiguous",
    f"{CORPUS}core_anonymous.bpf.c": "anonymous",
    f"{CORPUS}core_arrays.bpf.c": "arrays elements",
    f"{CORPUS}core_bitfields.bpf.c": "probed packet",
    f"{CORPUS}core_enum64.bpf.c": "enums",
    f"{CORPUS}core_enums.bpf.c": "enums",
    f"{CORPUS}core_field_info.bpf.c": "ask",
    f"{CORPUS}core_fields.bpf.c": "fields",
    f"{CORPUS}core_flavours.bpf.c": "switched",
    f"{CORPUS}core_poison.bpf.c": "guarded",
    f"{CORPUS}core_subprograms.bpf.c": "first second",
    f"{CORPUS}core_type_exists.bpf.c": "type_exists",
    f"{CORPUS}core_type_ids.bpf.c": "type_ids",
    f"{CORPUS}core_type_matches.bpf.c": "type_matches",
    f"{CORPUS}core_type_sizes.bpf.c": "type_sizes",
    f"{CORPUS}data_sections.bpf.c": "prog",
    f"{CORPUS}dynptrs.bpf.c": "packet",
    f"{CORPUS}exceptions.bpf.c": "with_callback without",
    f"{CORPUS}kconfig_types.bpf.c": "config",
    f"{CORPUS}kernel_lists.bpf.c": "push insert",
    f"{CORPUS}ksyms_untyped.bpf.c": "addresses",
    f"{CORPUS}loops.bpf.c": "iterate until",
    f"{CORPUS}many_programs.bpf.c": " ".join(f"program_{number}" for number in range(20)),
    f"{CORPUS}maps_extra.bpf.c": "filter",
    f"{CORPUS}maps_in_maps.bpf.c": "count",
    f"{CORPUS}maps_kinds.bpf.c": "none",
    f"{CORPUS}maps_pinned.bpf.c": "count",
    f"{CORPUS}maps_prog_arrays.bpf.c": "parse deliver entry",
    f"{CORPUS}maps_storage.bpf.c": "count",
    f"{CORPUS}net_balancer.bpf.c": "encapsulate balance",
    f"{CORPUS}net_firewall.bpf.c": "filter",
    f"{CORPUS}net_nat.bpf.c": "leave arrive",
    f"{CORPUS}no_types.bpf.c": "count filter",
    f"{CORPUS}sections_cgroup.bpf.c": "a b c",
    f"{CORPUS}sections_data.bpf.c": "touch",
    f"{CORPUS}sections_network.bpf.c": (
        "a_xdp d_frags g_tc h_classifier i_action j_socket k_lwt_in l_lwt_out m_lwt_xmit"
    ),
    f"{CORPUS}sections_newer.bpf.c": "a b c d e f",
    f"{CORPUS}sections_off.bpf.c": "left_out taken",
    f"{CORPUS}sections_replace.bpf.c": "entry",
    f"{CORPUS}sections_strings.bpf.c": "strings",
    f"{CORPUS}sections_trace.bpf.c": "l m r",
    f"{CORPUS}sections_typed.bpf.c": "call",
    f"{CORPUS}sections_version.bpf.c": "packet",
    f"{CORPUS}struct_ops_optional.bpf.c": "packet",
    f"{CORPUS}subprogram_arguments.bpf.c": "tagged",
    f"{CORPUS}subprograms.bpf.c": "first second third",
    f"{CORPUS}tail_calls.bpf.c": "entry next",
    f"{SOURCES}atomics.bpf.c": "producer consumer exchange",
    f"{SOURCES}bitfields.bpf.c": "on_tcp on_packet",
    f"{SOURCES}core_questions.bpf.c": "ask",
    f"{SOURCES}exec_chain.bpf.c": "on_exit",
    f"{SOURCES}global_functions.bpf.c": "entry",
    f"{SOURCES}loops.bpf.c": "open_coded may_goto callbacks",
    f"{SOURCES}map_kinds.bpf.c": "use",
    f"{SOURCES}packet_counter.bpf.c": "count_packets",
    f"{SOURCES}stack_formats.bpf.c": "print",
    f"{SOURCES}tail_calls.bpf.c": "second third first",
    f"{SOURCES}typed_arguments.bpf.c": "plain structures no_parameters",
}
"""Programs that run on both engines with equal outcomes, by object."""

_COOKIE = "asks whether the kernel hands out cookies: the vm does not"
_DEVMAP = "the kernel runs no tests of programs for device and CPU maps"

#: Sources of objects that are linked with others: by the tests of linking, on both engines.
HALVES = ("tests/differential/linked/", "examples/multi/")

#: Sources that need clang 22.
NEWER = (
    f"{SELFTEST}jumps.bpf.c",
    "tests/formats/jump_tables.bpf.c",
    "tests/formats/instructions_v4.bpf.c",
    "tests/vm/labels.bpf.c",
)
_JUMPS = "the kernel takes jump tables since 6.19; compared with C in tests of their own"
_NEWEST = "compared on both engines, one by one, in tests/formats/test_instructions_v4.py"

REASONS: Mapping[str, Mapping[str, str]] = {
    NEWER[0]: {"jumps": _JUMPS},
    NEWER[1]: dict.fromkeys(("two_switches", "everything", "plain"), _JUMPS),
    NEWER[2]: dict.fromkeys(
        ["sign_extending", "ordered", "looping", "far_away", "swapped", "divided", "through_arena"],
        _NEWEST,
    ),
    NEWER[3]: dict.fromkeys(
        ["two_tables_one_jump", "one_table_two_ways", "through_memory", "chosen", "mixed"], _JUMPS
    ),
    "tests/formats/pointers.bpf.c": {"look": "the kernel gives pointers in data no addresses"},
    "tests/testing/limit.bpf.c": {"careless": "made for the verifier to refuse"},
    f"{SELFTEST}basics.bpf.c": {"refused": "made for the verifier to refuse"},
    f"{SELFTEST}probes.bpf.c": {"raw_tracepoint": _COOKIE},
    f"{SOURCES}wide_numbers.bpf.c": {"use": "the kernel lets no sleepable program use the map"},
    f"{CORPUS}core_qualified.bpf.c": {"qualified": "reads when the process began, in ns"},
    f"{CORPUS}kconfig_linux.bpf.c": {"versions": _COOKIE},
    f"{CORPUS}ksyms_typed.bpf.c": {"variables": "reads the kernel's variables"},
    f"{CORPUS}maps_rich_values.bpf.c": {"start": "its timer fires by the kernel's clock"},
    f"{CORPUS}sections_network.bpf.c": dict.fromkeys(
        ("b_devmap", "c_cpumap", "e_frags_devmap", "f_frags_cpumap"), _DEVMAP
    ),
    "tests/kernel/skeletons/skeleton.bpf.c": dict.fromkeys(
        ("enter", "sum", "left_out"), "run by skeletons in C, in the kernel"
    ),
    "tests/vm/failures.bpf.c": dict.fromkeys(
        PROGRAMS, "test_failures runs them, on numbers of its own"
    ),
    "tests/vm/packet_dynptrs.bpf.c": dict.fromkeys(
        ("of_link", "of_group"), "test_packet_dynptrs runs them, on numbers of its own"
    ),
    "tests/elf/object.bpf.c": {"entry": "half a program: its extern is in no other object"},
    "tests/formats/everything.bpf.c": dict.fromkeys(
        ("packets", "task"), "no kernel loads the object: it has a struct_ops of nobody"
    ),
}
"""Programs that could run on both engines by their type, and do not."""

TYPE_REASONS: Mapping[ProgramType, str] = {
    ProgramType.KPROBE: "needs a probe: its context is where a process stopped",
    ProgramType.TRACEPOINT: "needs a tracepoint of the kernel",
    ProgramType.RAW_TRACEPOINT_WRITABLE: "needs a tracepoint that lends its buffer",
    ProgramType.TRACING: "needs the kernel's functions and objects",
    ProgramType.PERF_EVENT: "needs a perf event",
    ProgramType.LSM: "needs a security hook of the kernel",
    ProgramType.STRUCT_OPS: "needs the kernel's callers",
    ProgramType.CGROUP_SOCK: "needs a control group's sockets",
    ProgramType.CGROUP_SOCK_ADDR: "needs a control group's sockets",
    ProgramType.CGROUP_SOCKOPT: "needs a control group's sockets",
    ProgramType.CGROUP_SYSCTL: "needs a control group's processes",
    ProgramType.CGROUP_DEVICE: "needs a control group's processes",
    ProgramType.SOCK_OPS: "needs the kernel's sockets",
    ProgramType.SK_SKB: "needs the kernel's sockets",
    ProgramType.SK_MSG: "needs the kernel's sockets",
    ProgramType.SK_LOOKUP: "needs the kernel's sockets",
    ProgramType.SK_REUSEPORT: "needs the kernel's sockets",
    ProgramType.FLOW_DISSECTOR: "needs the kernel's flow dissector",
    ProgramType.NETFILTER: "needs a netfilter hook",
    ProgramType.LWT_SEG6LOCAL: "needs a route with segments",
}
"""Why programs of a type never do: what their contexts are only the kernel has."""

READS_TASK = frozenset(
    {
        f"{SELFTEST}types.bpf.c",
        *(f"{CORPUS}core_{name}.bpf.c" for name in ("arrays", "fields", "flavours", "subprograms")),
    }
)
"""Objects whose programs read the running task: in a vm, what the test makes of itself."""

NOT_COMPARED: Mapping[str, frozenset[str]] = {
    # The record is filled from a buffer that bpf_dynptr_slice has no reason to write.
    f"{CORPUS}dynptrs.bpf.c": frozenset({"events"}),
    # Addresses.
    f"{CORPUS}arena.bpf.c": frozenset({"arena", "head"}),
    f"{CORPUS}kernel_lists.bpf.c": frozenset({"list", "tree"}),
    # The kernel's test runs have storage of their own, which is gone afterwards.
    f"{CORPUS}maps_storage.bpf.c": frozenset({"of_group"}),
}
"""Maps and variables that hold nothing certain."""

HEAVY = frozenset({"alu", "sum", "primes", "multiply", "may_goto", "walk", "indirect", "direct"})
"""Programs that get two packets, not all."""
COMPILED_ONLY = frozenset({"may_goto"})
"""Programs of more instructions than an interpreted run may take."""


def objects() -> Iterator[str]:
    """The source of every object of the repository, by its path from the root; of those that are
    halves, to be linked, there are tests of their own."""
    for directory in ("bench", "examples", "src", "tests"):
        for path in (ROOT / directory).rglob("*.bpf.c"):
            if not str(path.relative_to(ROOT)).startswith(HALVES):
                yield str(path.relative_to(ROOT))
    yield from ("examples/legacy/container.c", "examples/legacy/host.c")
