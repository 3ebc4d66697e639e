"""Light skeletons of osmia and of bpftool: compiled against libbpf's header, run, compared."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import osmia
from osmia.kernel.skeletons import light_skeleton
from osmia.kernel.skeletons.pkcs7 import Signer
from osmia.object.uapi import MapType

from ..kernel.skeletons.compiled import LoaderFailedError, Made, build, see
from .peers import NEWER_BPFTOOL, why_no_newer_bpftool

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


def _words(text: str) -> list[str]:
    return text.split()


#: Of the corpus: what bpftool 7.8 makes a skeleton of that compiles by itself and loads here.
#: Not core_enums and core_enum64: the kernel keeps candidates for CO-RE by name, whatever their
#: kind, so that its answer to an enumeration of 32 or 64 bits is the one it gave the last time.
OBJECTS = _words("""
    big callbacks context_arguments core_ambiguity core_anonymous core_arrays core_bitfields
    core_field_info core_flavours core_poison core_qualified core_resize core_subprograms
    core_type_exists core_type_ids core_type_sizes dynptrs exceptions kernel_lists kfuncs_strong
    kfuncs_weak ksyms_untyped loops many_programs maps_extra maps_group_storage maps_in_maps
    maps_kinds maps_rich_values maps_rings maps_storage net_firewall net_nat net_sockets no_types
    sections_cgroup sections_network sections_newer sections_sessions sections_strings
    sections_typed sections_version subprogram_arguments subprograms tail_calls tool_execs
    tool_opens tool_profile tool_queue_latency tool_tcp_connects
""")

#: Types that C has not by itself, and the objects' variables have.
TYPES = {
    "data_sections": "typedef __u32 u32; typedef __u64 u64;",
    "kconfig_types": "enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };",
    "sections_data": "struct wide { __u8 small; __u64 large; } __attribute__((aligned(64)));",
}

#: What this kernel's own CO-RE and tables have no answer for, whoever asks.
REFUSED = _words("core_fields core_type_matches ksyms_typed")

#: What bpftool 7.8 makes no skeleton of (it crashes, or has no slots of prog arrays), or one
#: that does not load here: flavours of kernel functions, a ring whose type no map has.
ALONE = _words("kfuncs_flavours maps_prog_arrays maps_typed_ring net_balancer sections_trace")


@pytest.fixture
def bpftool() -> Callable[[Path], str]:
    """The header that the newer bpftool writes."""
    if why_no_newer_bpftool():
        pytest.skip(f"no libbpf 1.8: {why_no_newer_bpftool()}")

    def header(path: Path) -> str:
        command: list[str | Path] = [NEWER_BPFTOOL / "bpftool", "gen", "skeleton", "-L", path]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text: str = done.stdout
        return text

    return header


def made(header: str, directory: Path, name: str) -> Made:
    return see(build(header, directory, types=TYPES.get(name, "")))


@pytest.mark.parametrize("name", [*OBJECTS, *TYPES])
def test_both_make_the_same_programs_maps_and_values(
    name: str,
    corpus_object: Callable[[str], Path],
    bpftool: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    path = corpus_object(name)
    ours = made(light_skeleton(osmia.open(path)), tmp_path / "ours", name)
    assert ours == made(bpftool(path), tmp_path / "theirs", name)
    assert len(ours.programs) == len(osmia.open(path).programs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_kernel_refuses_it_refuses_to_both(
    name: str,
    corpus_object: Callable[[str], Path],
    bpftool: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    path = corpus_object(name)
    with pytest.raises(LoaderFailedError) as ours:
        made(light_skeleton(osmia.open(path)), tmp_path / "ours", name)
    with pytest.raises(LoaderFailedError) as theirs:
        made(bpftool(path), tmp_path / "theirs", name)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("name", ALONE)
def test_objects_that_bpftool_has_no_skeleton_of_load(
    name: str, corpus_object: Callable[[str], Path], tmp_path: Path
) -> None:
    obj = osmia.open(corpus_object(name))
    ours = made(light_skeleton(obj), tmp_path / "ours", name)
    with obj.load() as bpf:
        assert set(ours.programs) == set(bpf.programs)
        for each, held in bpf.maps.items():
            info = held.info
            assert ours.maps[each].type == MapType(info.type).name
            assert ours.maps[each].value_size == info.value_size


def test_slots_of_prog_arrays_hold_programs(
    corpus_object: Callable[[str], Path], tmp_path: Path
) -> None:
    obj = osmia.open(corpus_object("maps_prog_arrays"))
    ours = made(light_skeleton(obj), tmp_path / "ours", "maps_prog_arrays")
    assert ours.maps["jumps"].contents == (None, "parse", None, None, "deliver", "parse")
    assert ours.maps["last"].contents == ("deliver",)


@pytest.mark.second_kernel
@pytest.mark.parametrize("name", ["sections_hooks", "sections_typed", "tool_execs"])
def test_both_make_the_same_on_a_kernel_with_trampolines(
    name: str,
    corpus_object: Callable[[str], Path],
    bpftool: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    path = corpus_object(name)
    ours = made(light_skeleton(osmia.open(path)), tmp_path / "ours", name)
    assert ours == made(bpftool(path), tmp_path / "theirs", name)


def test_signatures_are_those_of_bpftool(tmp_path: Path) -> None:
    if why_no_newer_bpftool():
        pytest.skip(f"no libbpf 1.8: {why_no_newer_bpftool()}")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.der -outform DER"
    command += " -days 9 -subj /CN=osmia"
    subprocess.run(command.split(), check=True, capture_output=True, cwd=tmp_path)
    osmia.compile('#include <linux/bpf.h>\n__attribute__((section("socket")))'
                  " int p(void *c) { return 0; }").save(tmp_path / "p.bpf.o")  # fmt: skip
    words = [
        str(NEWER_BPFTOOL / "bpftool"),
        *_words("gen skeleton -L -S -k k.pem -i c.der p.bpf.o"),
    ]
    done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=tmp_path)

    def array(name: str) -> bytes:
        found = re.search(rf'char {name}\[\][^"]*"(.*?)";', done.stdout, re.DOTALL)
        assert found is not None
        value: bytes = ast.literal_eval('b"' + found[1].replace("\\\n", "") + '"')
        return value

    code, theirs = array("opts_insn"), array("opts_sig")
    ours = Signer(tmp_path / "k.pem", tmp_path / "c.der").sign(code)
    assert ours[-256:] == theirs[-256:]  # who signed is said in another way before that
    assert array("opts_excl_hash") == sha256(code).digest()
