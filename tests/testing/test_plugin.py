"""The plugin as a suite meets it: markers, engines, what is left behind, what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from osmia.kernel.sys import pins

from .conftest import RunTests

VERDICTS = """
@pytest.mark.bpf("limit.bpf.c", data={"limit": 2})
def test_limit(bpf):
    ingress = bpf.programs["ingress"]
    assert [ingress.run(PACKET).retval for _ in range(3)] == [2, 2, 1]
"""


@pytest.mark.kernel
def test_a_marked_test_runs_once_for_each_engine(run_tests: RunTests) -> None:
    done = run_tests(VERDICTS, "-v")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["*test_limit[[]vm]*PASSED*", "*test_limit[[]kernel]*PASSED*"])


def test_an_engine_that_was_not_asked_for_is_deselected(run_tests: RunTests) -> None:
    run_tests(VERDICTS, "--bpf-engine=vm").assert_outcomes(passed=1, deselected=1)


def test_tests_without_an_engine_run_whatever_was_asked_for(run_tests: RunTests) -> None:
    done = run_tests(VERDICTS + "def test_other(): pass\n", "--bpf-engine=vm")
    done.assert_outcomes(passed=2, deselected=1)


def test_a_wrong_engine_is_named_with_those_there_are(run_tests: RunTests) -> None:
    done = run_tests(VERDICTS, "--bpf-engine=jvm")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*no engine 'jvm'; there are kernel, vm*"])


def test_a_missing_engine_is_skipped_with_its_reason(run_tests: RunTests) -> None:
    missing = """
import osmia.testing.engines
osmia.testing.engines.why_not = {"vm": "", "kernel": "no BPF"}.get
"""
    done = run_tests(VERDICTS, "-rs", conftest=missing)
    done.assert_outcomes(passed=1, skipped=1)
    done.stdout.fnmatch_lines(["*engine 'kernel': no BPF*"])


def test_each_test_has_maps_and_data_of_its_own(run_tests: RunTests) -> None:
    run_tests(
        """
@pytest.mark.bpf("limit.bpf.c", engines="vm", data={"limit": 0})
@pytest.mark.parametrize("turn", range(3))
def test_fresh(bpf, turn):
    assert bpf.data["dropped"] == 0 and len(bpf.maps["sources"]) == 0
    assert bpf.programs["ingress"].run(PACKET).retval == 1
    assert bpf.data["dropped"] == 1 and bpf.maps["sources"][SOURCE].packets == 1
"""
    ).assert_outcomes(passed=3)


def test_markers_of_a_module_and_of_a_test_are_joined(run_tests: RunTests) -> None:
    run_tests(
        """
pytestmark = pytest.mark.bpf("limit.bpf.c", engines=["vm"], data={"limit": 5, "dropped": 7})

@pytest.mark.bpf(data={"limit": 0}, autoload="careless")
def test_joined(bpf):
    assert (bpf.data["limit"], bpf.data["dropped"]) == (0, 7)
    assert set(bpf.programs) == {"ingress", "careless"}
"""
    ).assert_outcomes(passed=1)


def test_it_is_closed_afterwards_and_compiled_once(run_tests: RunTests) -> None:
    run_tests(
        """
compiled = []
compile_ = osmia.compile
osmia.compile = lambda source, **options: compiled.append(source) or compile_(source, **options)
kept = []

@pytest.mark.bpf("limit.bpf.c", engines="vm")
def test_one(bpf):
    kept.append(bpf)

@pytest.mark.bpf("limit.bpf.c", engines="vm")
def test_two(bpf):
    assert kept[0].closed and not bpf.closed
    assert len(compiled) == 1
"""
    ).assert_outcomes(passed=2)


@pytest.mark.kernel
def test_pins_are_in_a_directory_of_the_test_and_gone_afterwards(run_tests: RunTests) -> None:
    before = set(pins.find_bpffs(mount=True).iterdir())
    run_tests(
        """
import os
from osmia.kernel.sys import pins

seen = []

@pytest.mark.bpf("limit.bpf.c", engines="kernel")
@pytest.mark.parametrize("turn", range(2))
def test_pins(bpf, bpf_pins, turn):
    assert len(bpf.maps["sources"]) == 0        # none of another test
    bpf.programs["ingress"].run(PACKET)
    bpf.programs["ingress"].pin(bpf_pins / "ingress")
    assert (bpf_pins / "ingress").exists()
    seen.append(bpf_pins)
    assert not seen[0].exists() or turn == 0
"""
    ).assert_outcomes(passed=2)
    left = set(pins.find_bpffs().iterdir()) - before
    assert [path for path in left if path.name == "sources"] == []


def test_a_factory_makes_fixtures_of_any_scope(run_tests: RunTests) -> None:
    run_tests(
        """
limiter = bpf_fixture("limit.bpf.c", engines="vm", data={"limit": 1}, scope="module")

def test_first(limiter):
    assert limiter.programs["ingress"].run(PACKET).retval == 2

def test_second_sees_what_the_first_did(limiter):
    assert limiter.programs["ingress"].run(PACKET).retval == 1
"""
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("engines='vm'", "names what is loaded"),
        ("'limit.bpf.c', engine='vm'", "no argument 'engine'; there are source, engines"),
        ("'limit.bpf.c', engines=[]", "at least one"),
        ("'limit.bpf.c', data=3", "data=3: a mapping"),
        ("3", "a path, C text or an Object, not 3"),
    ],
)
def test_a_wrong_marker_is_an_error_in_words(run_tests: RunTests, mark: str, said: str) -> None:
    done = run_tests(f"@pytest.mark.bpf({mark})\ndef test_it(bpf): pass\n")
    done.assert_outcomes(errors=1)
    assert said in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("'none.bpf.c', engines='vm'", "there is no 'none.bpf.c' in"),
        ("'limit.bpf.c', engines='vm', data={'limits': 1}", "limits"),
        ("'int x\\n', engines='vm'", "CompileError"),
    ],
)
def test_what_cannot_be_loaded_is_told_without_a_traceback(
    run_tests: RunTests, mark: str, said: str
) -> None:
    done = run_tests(f"@pytest.mark.bpf({mark})\ndef test_it(bpf): pass\n")
    done.assert_outcomes(errors=1)
    assert said in done.stdout.str()
    assert "testing/loading.py" not in done.stdout.str()


def test_the_fixture_without_a_marker_says_what_is_missing(run_tests: RunTests) -> None:
    done = run_tests("def test_it(bpf): pass\n")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*the fixture 'bpf' needs a marker*"])


def test_a_suite_that_does_not_use_it_imports_nothing_of_osmia(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
import sys

def test_modules():
    loaded = {name for name in sys.modules if name.split(".")[0] == "osmia"}
    assert loaded == {"osmia", "osmia.testing", "osmia.testing.plugin"}
"""
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.kernel
def test_workers_of_xdist_do_not_meet(run_tests: RunTests, pytester: pytest.Pytester) -> None:
    run_tests(
        """
@pytest.mark.bpf("limit.bpf.c", data={"limit": 2})
@pytest.mark.parametrize("turn", range(8))
def test_fresh(bpf, turn):
    assert len(bpf.maps["sources"]) == 0
    assert [bpf.programs["ingress"].run(PACKET).retval for _ in range(3)] == [2, 2, 1]
""",
        "--collect-only",
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n2")
    done.assert_outcomes(passed=16)


def test_pytest_imports_osmia_as_everybody_does(run_tests: RunTests) -> None:
    run_tests(
        """
import osmia.vm.engine

def test_loaders():
    ours = [each for name, each in sys.modules.items() if name.startswith("osmia.")]
    rewritten = {each.__name__ for each in ours if "Rewrit" in type(each.__loader__).__name__}
    assert rewritten <= {"osmia.testing", "osmia.testing.plugin"} and len(ours) > 20
""".replace("import osmia", "import sys, osmia")
    ).assert_outcomes(passed=1)


def test_the_module_is_light() -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); import osmia.testing.plugin;"
        " print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['osmia', 'osmia.testing', 'osmia.testing.plugin']"


CAPTURED = """
import struct
def capture(path, *packets):
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for packet in packets:
        data += struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet
    path.write_bytes(data)

def pytest_configure(config):
    capture(config.rootpath / "traffic.pcap", bytes(64), bytes(range(80)))
"""


def test_a_captures_packets_are_a_test_each(run_tests: RunTests) -> None:
    tests = """
@pytest.mark.bpf("limit.bpf.c", engines="vm", pcap="traffic.pcap")
def test_packets(bpf, bpf_packet):
    assert len(bpf_packet) in (64, 80)
    assert bpf.programs["ingress"].run(bpf_packet).data == bpf_packet

@pytest.mark.bpf("limit.bpf.c", engines="vm")
def test_none(bpf, bpf_packet): pass
"""
    done = run_tests(tests, "-v", conftest=CAPTURED)
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines_random(
        [
            "*test_packets[[]vm-packet1-758d6336]*PASSED*",
            "*test_packets[[]vm-packet2-*]*PASSED*",
            "*the fixture 'bpf_packet' needs a capture*",
        ]
    )


def test_a_capture_that_is_none_is_said(run_tests: RunTests) -> None:
    tests = """
@pytest.mark.bpf("limit.bpf.c", pcap="nowhere.pcap")
def test_packets(bpf, bpf_packet): pass
"""
    done = run_tests(tests)
    assert "there is no 'nowhere.pcap' in" in done.stdout.str()
