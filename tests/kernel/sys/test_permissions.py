"""What a process without all privileges is told: the capability that it lacks, not another."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from osmia.errors import BpfPermissionError, NotSupportedError
from osmia.kernel.probes import features
from osmia.kernel.programs import loading as program_load
from osmia.kernel.programs.verifier_log import explain
from osmia.object.uapi import AttachType, ProgramType

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

LOAD = """
import sys
from osmia import BpfPermissionError, Program
from osmia.isa import assemble
from osmia.object.uapi import ProgramType
try:
    Program.load(ProgramType[sys.argv[1]], assemble("r0 = 0\\nexit"), license="GPL").close()
except BpfPermissionError as error:
    print(error)
"""


def load_with(capabilities: str, program_type: str) -> str:
    """What loading a program says in a process that has only these capabilities."""
    chosen = ["--inh-caps", f"-all,{capabilities}", "--bounding-set", f"-all,{capabilities}"]
    command = ["setpriv", *chosen, sys.executable, "-c", LOAD, program_type]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("held", "program_type", "missing"),
    [
        ("-all", "SOCKET_FILTER", "CAP_BPF"),
        ("-all", "XDP", "CAP_BPF and CAP_NET_ADMIN"),
        ("+bpf", "XDP", "CAP_NET_ADMIN"),
        ("+bpf", "TRACEPOINT", "CAP_PERFMON"),
        ("+bpf,+net_admin", "RAW_TRACEPOINT", "CAP_PERFMON"),
        ("+bpf,+perfmon", "SCHED_CLS", "CAP_NET_ADMIN"),
    ],
)
def test_the_capability_that_is_missing_is_named(
    held: str, program_type: str, missing: str
) -> None:
    assert f"this process lacks {missing}" in load_with(held, program_type).split(",")[0]


@pytest.mark.parametrize(
    ("held", "program_type"),
    [("+bpf", "SOCKET_FILTER"), ("+bpf,+net_admin", "XDP"), ("+bpf,+perfmon", "TRACEPOINT")],
)
def test_a_process_with_the_right_capabilities_loads(held: str, program_type: str) -> None:
    assert load_with(held, program_type) == ""


def test_a_refusal_of_what_the_kernel_lacks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "has_attach_type", lambda attach_type: False)
    image = program_load.ProgramImage(
        type=ProgramType.TRACING, code=bytes(8), expected_attach_type=AttachType.TRACE_FENTRY
    )
    error = program_load._refusal(image, errno.EPERM)
    assert isinstance(error, NotSupportedError)
    assert "no attach type TRACE_FENTRY" in str(error)


def test_a_refusal_of_what_the_kernel_has_stays_one_of_permissions() -> None:
    image = program_load.ProgramImage(type=ProgramType.SOCKET_FILTER, code=bytes(8))
    assert isinstance(program_load._refusal(image, errno.EPERM), BpfPermissionError)


def test_what_the_verifier_forbids_without_perfmon_is_put_in_words() -> None:
    assert "CAP_PERFMON" in explain("13: (bc) w7 = w2\nR2 partial copy of pointer\n").explanation
