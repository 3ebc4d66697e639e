"""`osmia tailcalls` and `osmia prune`: what tail calls reach, and objects without the rest."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia as library
from osmia.kernel.programs.program import KernelProgram

from .conftest import Result

LEGACY = Path(__file__).parents[2] / "examples" / "legacy"
SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8); __type(key, __u32);
    __type(value, __u32); } calls SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
    __type(value, __u64); } counts SEC(".maps");
const volatile int feature = 0;
SEC("xdp") int entry(struct xdp_md *ctx)
{ if (feature) bpf_tail_call(ctx, &calls, 1); return 2; }
SEC("xdp") __tail(calls, 1) int counted(struct xdp_md *ctx)
{ __u32 key = 0; __u64 *v = bpf_map_lookup_elem(&counts, &key); return v ? ++*v : 0; }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "features.bpf.c"
    path.write_text(SOURCE)
    return path


def test_sites_are_shown_with_what_they_reach(osmia: Callable[..., Result]) -> None:
    done = osmia("tailcalls", LEGACY / "container.c", LEGACY / "host.c")
    assert done.status == 0
    assert "policy_calls, any key: indirect, as the key is variable" in done.out
    assert "reaches 10 policy_of_10, 20 policy_of_20, other slots" in done.out
    assert "bpf_tail_call(skb, &policy_calls, *endpoint);" in done.out
    assert "the limit of 33 tail calls cannot be reached" in done.out


def test_json_has_all_of_it(osmia: Callable[..., Result], source: Path) -> None:
    found = osmia("tailcalls", "-j", source, "--set", "feature=1").json
    assert [each["name"] for each in found["programs"] if each["entry"]] == ["entry"]
    (site,) = found["sites"]
    assert (site["maps"], site["keys"], site["direct"]) == (["calls"], [1], True)
    assert site["targets"] == {"1": "counted"}
    assert site["file"].endswith("features.bpf.c")
    assert found["longest_chain"] == ["entry", "counted"]
    assert found["limit_can_be_reached"] is False


def test_settings_decide_what_is_reached(osmia: Callable[..., Result], source: Path) -> None:
    assert osmia("tailcalls", "-j", source).json["sites"] == []
    assert "never reached: counted" in osmia("tailcalls", source).out


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_picture_is_written(osmia: Callable[..., Result], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"graph.{suffix}"
    done = osmia("tailcalls", LEGACY / "container.c", "-o", path)
    assert (done.status, done.out) == (0, "")
    text = path.read_text()
    assert "drop_notify" in text
    if suffix == "svg":
        ElementTree.fromstring(text)


def test_pictures_of_other_kinds_are_usage_errors(
    osmia: Callable[..., Result], source: Path, tmp_path: Path
) -> None:
    done = osmia("tailcalls", source, "-o", tmp_path / "graph.png")
    assert done.status == 2
    assert ".svg or .html" in done.err


@pytest.mark.kernel
@pytest.mark.parametrize("option", ["--slots", "--pin-root"])
def test_a_pinned_prog_array_tells_its_slots(
    osmia: Callable[..., Result], source: Path, bpffs: Path, option: str
) -> None:
    text = SOURCE.replace("__tail(calls, 1)", "")
    source.write_text(text)
    with library.compile(source).load() as loaded:
        loaded.maps["calls"][1] = loaded.programs["counted"]
        loaded.maps["calls"].pin(bpffs / "calls")
        assert isinstance(loaded.programs["counted"], KernelProgram)
        if option == "--pin-root":  # where a load would reuse it
            pinned = "__uint(pinning, LIBBPF_PIN_BY_NAME); } calls SEC"
            source.write_text(text.replace("} calls SEC", pinned))
        place = f"calls={bpffs / 'calls'}" if option == "--slots" else bpffs
        (site,) = osmia("tailcalls", "-j", source, "--set", "feature=1", option, place).json[
            "sites"
        ]
        loaded.maps["calls"].unpin(bpffs / "calls")
    assert site["targets"] == {"1": "counted"}


def test_what_would_go_is_shown(osmia: Callable[..., Result], source: Path) -> None:
    done = osmia("prune", source)
    assert done.status == 0
    assert "programs: counted" in done.out
    assert "maps: calls, counts" in done.out
    assert osmia("prune", source, "--set", "feature=1").out == ""
    kept = osmia("prune", "-j", source, "--keep", "counted").json
    assert (kept["programs"], kept["maps"]) == ([], [])


def test_a_pruned_file_loads_without_it(
    osmia: Callable[..., Result], source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "pruned.bpf.o"
    assert osmia("prune", source, "-o", target).status == 0
    obj = library.open(target)
    assert set(obj.programs) == {"entry"}
    assert set(obj.maps) == set()
    with obj.load("vm") as loaded:
        assert loaded.programs["entry"].run(bytes(64)).retval == 2


def test_a_program_to_keep_has_to_be_there(osmia: Callable[..., Result], source: Path) -> None:
    done = osmia("prune", source, "--keep", "nope")
    assert done.status == 2
    assert "nope" in done.err


def test_passes_are_explained(osmia: Callable[..., Result], source: Path) -> None:
    found = {each["option"]: each for each in osmia("explain", "-j", source).json}
    assert found["prune=True"]["changes"] == [
        "program counted goes",
        "function counted goes",
        "map calls goes",
        "map counts goes",
    ]
    assert found["prune=True"]["maps"] == -2
    assert found["calls='inline'"]["changes"] == []
    done = osmia("explain", LEGACY / "container.c")
    assert "judge becomes code of policy_of_10" in done.out
    assert "policy_calls with 10, 20" in done.out


def test_what_cannot_be_done_is_explained(osmia: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "deep.bpf.c"
    path.write_text(
        "#define SEC(x) __attribute__((section(x)))\n"
        "static __attribute__((noinline)) long a(long n);\n"
        "static __attribute__((noinline)) long b(long n) { return n ? a(n - 1) * 3 : 1; }\n"
        "static __attribute__((noinline)) long a(long n) { return n ? b(n - 1) + 2 : 0; }\n"
        'SEC("socket") int p(void *ctx) { return a((long)ctx); }\n'
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    found = {each["option"]: each for each in osmia("explain", "-j", path).json}
    assert "recursion" in found["calls='inline'"]["refused"]
    assert "calls='inline': cannot be done" in osmia("explain", path).out


@pytest.mark.kernel
def test_passes_are_options_of_run_and_load(
    osmia: Callable[..., Result], source: Path, bpffs: Path
) -> None:
    done = osmia("run", source, "--engine", "vm", "--packet", "00" * 64, "--prune")
    assert done.status == 0
    assert "counts" not in done.out
    done = osmia("prog", "load", source, bpffs / "both", "--set", "feature=1")
    assert sorted(each.name for each in (bpffs / "both").iterdir()) == ["counted", "entry"]
    done = osmia("prog", "load", source, bpffs / "one", "--prune", "--calls", "auto")
    assert done.status == 0
    assert (bpffs / "one").is_file()
