"""`osmia btf` and `osmia features`: what the kernel tells of itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from osmia import compile as compile_source
from osmia.btf import BTF, BTFBuilder, Kind, kernel_btf
from osmia.cli import btf_bulk
from osmia.cli.btf_text import record_lines, records
from osmia.elf import ElfFile
from osmia.kernel.load.target import kernel_target

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

needs_bpftool = pytest.mark.skipif(not shutil.which("bpftool"), reason="compares with bpftool")


def test_list(osmia: Cli, pinned: Path) -> None:
    listed = {each["id"]: each for each in osmia("btf", "list", "-j").json}
    kernel = next(each for each in listed.values() if each["name"] == "vmlinux")
    assert kernel["kernel"] and kernel["size"] > 1_000_000
    program = osmia("prog", "show", pinned / "count", "-j").json
    assert program["id"] in listed[program["btf_id"]]["prog_ids"]
    assert osmia("btf", "list").lines[0].split()[:3] == ["id", "name", "size"]
    assert osmia("btf", "show", "id", kernel["id"], "-j").json["name"] == "vmlinux"
    assert osmia("btf", "show", 4000000000).status == 1


@needs_bpftool
def test_raw_dumps_are_bpftools(osmia: Cli, compiled: Path) -> None:
    command = ["bpftool", "btf", "dump", "file", str(compiled)]
    dumped = osmia("btf", "dump", "file", compiled)
    assert dumped.out == subprocess.check_output(command, text=True)
    theirs = json.loads(subprocess.check_output([*command[:1], "-j", *command[1:]]))
    assert osmia("btf", "dump", "file", compiled, "-j").json == theirs


@needs_bpftool
def test_raw_dumps_of_the_kernel_are_bpftools() -> None:
    process = subprocess.Popen(
        ["bpftool", "btf", "dump", "id", "1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    theirs = list(islice(process.stdout, 20_000))
    process.stdout.close()
    process.wait()
    mine = (line for record in records(kernel_btf()) for line in record_lines(kernel_btf(), record))
    assert [f"{line}\n" for line in islice(mine, len(theirs))] == theirs


def test_all_types_as_c_are_kept_for_the_next_time(
    osmia: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMIA_CACHE", "off")
    made = osmia("btf", "dump", "vmlinux", "--c").out
    monkeypatch.setenv("OSMIA_CACHE", str(tmp_path))
    assert osmia("btf", "dump", "vmlinux", "--c").out == made
    with monkeypatch.context() as patch:
        patch.setattr("osmia.btf.c.dump._Dump", None)
        assert osmia("btf", "dump", "/sys/kernel/btf/vmlinux", "--c").out == made
        assert osmia("btf", "dump", "vmlinux", "--c", "-t", "list_head").status == 1


def test_one_type_as_c_compiles(osmia: Cli, pinned: Path) -> None:
    text = osmia("btf", "dump", "--c", "prog", "pinned", pinned / "count", "-t", "total").out
    assert "struct total {\n\t__u64 packets;\n\t__u64 bytes;\n};" in text
    assert "typedef unsigned long long __u64;" in text
    value = osmia("btf", "dump", "--c", "map", "pinned", pinned / "maps" / "totals", "value").out
    assert "struct total {" in value
    assert osmia("btf", "dump", "--c", "vmlinux", "-t", "no_such_type").status == 1


def test_raw_files_and_programs(osmia: Cli, compiled: Path, pinned: Path, tmp_path: Path) -> None:
    section = ElfFile.parse(compiled.read_bytes()).section(".BTF")
    assert section is not None
    (tmp_path / "raw.btf").write_bytes(section.data)
    assert osmia("btf", "dump", tmp_path / "raw.btf").out == osmia("btf", "dump", compiled).out
    of_program = osmia("btf", "dump", "prog", pinned / "count", "-j").json
    assert "packet_event" in [each["name"] for each in of_program["types"]]
    assert "struct total {" in osmia("btf", "dump", compiled, "format", "c").out


def test_vmlinux_header(osmia: Cli) -> None:
    header = osmia("btf", "vmlinux")
    assert header.status == 0
    assert header.out.startswith("#ifndef __VMLINUX_H__")
    assert "struct task_struct {" in header.out


def test_features(osmia: Cli) -> None:
    told = osmia("features", "-j").json
    kinds = {each["name"]: each for each in told["program_types"]}
    assert kinds["xdp"] == {"name": "xdp", "since": "4.8", "supported": True}
    assert {"map_types", "attach_types", "link_types", "misc"} <= told.keys()
    helpers = {each["name"]: each for each in told["helpers"]["xdp"]}
    assert helpers["bpf_redirect_map"]["since"] == "4.14"
    assert "bpf_probe_read" not in helpers
    table = osmia("features", "--part", "map_types")
    assert ["ringbuf", "5.8", "yes"] in [line.split() for line in table.lines]
    assert "program types" not in table.lines
    missing = osmia("features", "-j", "--missing", "-p", "program_types").json["program_types"]
    assert all(not each["supported"] for each in missing)
    assert "helpers of xdp programs" in osmia("features", "--helpers", "-p", "map_types").lines


READS_TASKS = """
struct task_struct { int pid; } __attribute__((preserve_access_index));
int found;
SEC("raw_tp/sched_switch") int p(void *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    found = BPF_CORE_READ(task, pid);
    return 0;
}
"""
READS_FILES = """
struct file { unsigned int f_flags; } __attribute__((preserve_access_index));
int found;
SEC("raw_tp/sched_switch") int p(void *ctx) {
    found = bpf_core_field_exists(struct file, f_flags);
    return 0;
}
"""


def source(path: Path, text: str) -> Path:
    headers = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>"
    path.write_text(f'{headers}\nchar LICENSE[] SEC("license") = "GPL";\n{text}')
    return path


def test_minimise_writes_what_objects_need(osmia: Cli, tmp_path: Path) -> None:
    tasks = source(tmp_path / "tasks.bpf.c", READS_TASKS)
    files = source(tmp_path / "files.bpf.c", READS_FILES)
    small = tmp_path / "small.btf"
    done = osmia("btf", "minimise", tasks, files, "-o", small, "-v")
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith(f"{small}: ")
    types = BTF(small.read_bytes())
    assert types.find("task_struct", Kind.STRUCT) and types.find("file", Kind.STRUCT)
    assert len(types) < 20
    again = tmp_path / "again.btf"
    assert osmia("btf", "minimise", tasks, files, "-o", again, "--btf", small).status == 0
    assert again.read_bytes() == small.read_bytes()
    obj = compile_source(tasks)
    with obj.load(target=kernel_target(core_btf=types)) as theirs, obj.load() as ours:
        assert theirs.programs["p"].info.tag == ours.programs["p"].info.tag


def test_a_minimise_that_fails_leaves_what_was_there(osmia: Cli, tmp_path: Path) -> None:
    (tmp_path / "small.btf").write_bytes(b"mine")
    (tmp_path / "broken.bpf.o").write_bytes(b"\x7fELF and no more")
    good = source(tmp_path / "tasks.bpf.c", READS_TASKS)
    done = osmia("btf", "minimise", good, tmp_path / "broken.bpf.o", "-o", tmp_path / "small.btf")
    assert done.status == 1
    assert "broken.bpf.o" in done.err
    assert (tmp_path / "small.btf").read_bytes() == b"mine"
    assert osmia("btf", "minimise", good).status == 2


def test_target_btf_answers_core_in_place_of_the_kernels_types(
    osmia: Cli, tmp_path: Path, bpffs: Path
) -> None:
    tasks = source(tmp_path / "tasks.bpf.c", READS_TASKS)
    small, other = tmp_path / "small.btf", tmp_path / "other.btf"
    assert osmia("btf", "minimise", tasks, "-o", small).status == 0
    builder = BTFBuilder()
    number = builder.add_int("int", 4, 1)
    builder.add_struct("task_struct", 64, [("pid", number, 8 * 12)])
    other.write_bytes(builder.build().to_bytes())
    for name, options in {"plain": [], "small": [small], "other": [other]}.items():
        btf = ["--target-btf", *options] if options else []
        loaded = osmia("prog", "load", tasks, bpffs / name, *btf)
        assert loaded.status == 0, loaded.err
    tags = {path.name: osmia("prog", "show", path, "-j").json["tag"] for path in bpffs.iterdir()}
    assert tags["small"] == tags["plain"] != tags["other"]
    log = osmia("prog", "log", tasks, "--target-btf", other)
    assert (log.status, "+12" in log.out or "= 12" in log.out) == (0, True)
    ran = osmia("run", tasks, "--target-btf", small, "--duration", "0.1")
    assert ran.status == 0, ran.err
    nothing = osmia("run", tasks, "--target-btf", tmp_path / "nothing.btf", "--duration", "0.1")
    assert (nothing.status, "nothing.btf" in nothing.err) == (1, True)


def test_a_target_directory_stands_for_another_machine(osmia: Cli, tmp_path: Path) -> None:
    version = source(
        tmp_path / "version.bpf.c",
        """
extern int LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_HZ __kconfig;
SEC("xdp") int p(struct xdp_md *ctx) {
    return LINUX_KERNEL_VERSION == KERNEL_VERSION(4, 9, 7) && CONFIG_HZ == 250 ? XDP_TX : XDP_DROP;
}
""",
    )
    machine = tmp_path / "machine"
    machine.mkdir()
    (machine / "vmlinux").write_bytes(BTFBuilder().build().to_bytes())
    (machine / "release").write_text("4.9.7-made-up\n")
    packet = ["run", version, "--engine", "vm", "--packet", "00" * 64, "--target", machine]
    asks = osmia(*packet)
    assert (asks.status, "CONFIG_HZ" in asks.err, "configuration" in asks.err) == (1, True, True)
    (machine / "config").write_text("CONFIG_HZ=250\n")
    assert "XDP_TX" in osmia(*packet).out
    assert osmia(*packet, "--target-btf", machine / "vmlinux").status == 2
    assert osmia("run", version, "--target", tmp_path / "nothing").status == 2


def test_target_btf_goes_for_the_engine_in_this_process_too(osmia: Cli, tmp_path: Path) -> None:
    reads = source(
        tmp_path / "reads.bpf.c",
        """
struct there { int x; } __attribute__((preserve_access_index));
SEC("xdp") int p(struct xdp_md *ctx) {
    return bpf_core_field_exists(struct there, x) ? XDP_TX : XDP_PASS;
}
""",
    )
    builder = BTFBuilder()
    builder.add_struct("there", 4, [("x", builder.add_int("int", 4, 1), 0)])
    (tmp_path / "there.btf").write_bytes(builder.build().to_bytes())
    packets = ["--engine", "vm", "--packet", "00" * 64]
    assert "XDP_PASS" in osmia("run", reads, *packets).out
    found = osmia("run", reads, *packets, "--target-btf", tmp_path / "there.btf")
    assert "XDP_TX" in found.out


@pytest.fixture
def module_types(tmp_path: Path) -> Path:
    """A copy of what /sys/kernel/btf/MODULE has: a struct on top of the kernel's types."""
    kernel = kernel_btf()
    builder = BTFBuilder(base=kernel)
    builder.add_struct("only_here", 4, [("field", kernel.find("int", Kind.INT), 0)])
    path = tmp_path / "module.btf"
    path.write_bytes(builder.build().to_bytes())
    return path


def test_types_on_top_of_others_want_their_base(osmia: Cli, module_types: Path) -> None:
    alone = osmia("btf", "dump", "file", module_types)
    assert alone.status == 1 and "types on top of others (split BTF): name the base" in alone.err
    kernel = Path("/sys/kernel/btf/vmlinux")
    for words in (("file", module_types), (module_types,)):
        dumped = osmia("btf", "dump", *words, "-B", kernel)
        assert dumped.status == 0, dumped.err
        assert dumped.lines[0].endswith("STRUCT 'only_here' size=4 vlen=1")
        assert len(dumped.lines) == 2
    as_c = osmia("btf", "dump", module_types, "--base-btf", kernel, "--c", "-t", "only_here")
    assert as_c.out.endswith("struct only_here {\n\tint field;\n};\n\n")
    run = osmia("btf", "minimise", module_types, "-o", "/dev/null", "--btf", module_types)
    assert run.status == 1 and "split BTF" in run.err


@needs_bpftool
def test_dumps_on_a_base_are_bpftools(osmia: Cli, module_types: Path) -> None:
    words = ["btf", "dump", "file", str(module_types), "-B", "/sys/kernel/btf/vmlinux"]
    assert osmia(*words).out == subprocess.check_output(["bpftool", *words], text=True)


def test_the_text_in_bulk_is_that_of_each_type_alone() -> None:
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    b.add_struct("bits", 4, [("a", number, 0, 3), ("", number, 3, 29)])
    b.add_struct("tab\tbed", 4, [("x", number, 0)])
    b.add_enum("sign", [("LOW", -1), ("HIGH", 1 << 30)], signed=True)
    prototype = b.add_func_proto(number, [("a", number), ("", 0)])
    b.add_func("f", prototype)
    b.add_fwd("later")
    for types in (b.build(), kernel_btf()):
        each = (line for record in records(types) for line in record_lines(types, record))
        assert "".join(btf_bulk.text(types)) == "".join(
            f"{btf_bulk.line_text(line)}\n" for line in each
        )


def test_types_of_c_source_are_those_of_its_object(osmia: Cli, compiled: Path) -> None:
    from .conftest import SOURCE

    of_source = osmia("btf", "dump", "--c", SOURCE)
    assert of_source.status == 0, of_source.err
    assert of_source.out == osmia("btf", "dump", "--c", compiled).out
